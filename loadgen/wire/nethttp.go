// Package wire holds the engines that carry calls to an HTTP target: an event
// loop for cleartext on Linux, net/http for all else. Call New and give the
// engine to loadgen.New.
//
// The invariant: one Call is at most one request on the wire. No engine
// follows a redirect, uses a proxy or repeats a request behind the back of
// the account, and Refused means that no byte of the request was written.
package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/ordbench/ordbench/loadgen"
)

// The defaults of Config.
const (
	DefaultConnections = 128
	DefaultTimeout     = 5 * time.Second
)

// Config is the target of an engine.
type Config struct {
	BaseURL     string        // "http://127.0.0.1:8080"
	Connections int           // at most this many at a time; 0 is DefaultConnections
	Loops       int           // threads that drive them, where the engine is an event loop; 0 is one
	First       bool          // where the engine is an event loop, and the system allows it, its threads go before all others: they need little, and must not wait for what they drive
	Timeout     time.Duration // for a free connection from due, and again for the answer from sent; 0 is DefaultTimeout
	TLS         *tls.Config   // for https; nil trusts the system's roots
	HTTP2       bool          // and nothing else: agreed on over TLS, known before in cleartext; a call at a time on each connection

	// Dial connects; nil dials TCP. Only net/http can use another.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// NetHTTP is the engine on net/http: HTTP/1.1 or HTTP/2, cleartext or TLS, on
// every system.
//
// Each connection has a goroutine. Those that are free queue for the lead;
// the leader takes the next call, waits until it is due, passes the lead on
// and sends the call itself, so no call ever changes hands. When all are busy
// nobody leads, and the schedule itself is the queue. The next step of a flow
// waits where the leader sees it and holds no connection.
type NetHTTP struct {
	cfg    Config
	origin origin
	base   *url.URL
	addr   string // host:port
	client *http.Transport
	err    error
	nap    func(time.Duration) // tests under synthetic time replace it
	spin   time.Duration
}

// NewNetHTTP prepares an engine; problems of cfg are reported by Run.
func NewNetHTTP(cfg Config) *NetHTTP {
	cfg = cfg.withDefaults()
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{}).DialContext
	}
	e := &NetHTTP{cfg: cfg, nap: nap, spin: maxSpin}
	e.base, e.addr, e.err = target(cfg)
	if e.err == nil {
		e.origin = newOrigin(e.base)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!cfg.HTTP2)
	protocols.SetHTTP2(cfg.HTTP2)
	protocols.SetUnencryptedHTTP2(cfg.HTTP2)
	e.client = &http.Transport{
		Protocols:              protocols,
		TLSClientConfig:        cfg.TLS,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
		DialContext:            e.dial,
	}
	return e
}

func (c Config) withDefaults() Config {
	if c.Connections == 0 {
		c.Connections = DefaultConnections
	}
	if c.Loops == 0 {
		c.Loops = 1
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	return c
}

// target takes the base URL apart and reports every problem of cfg.
func target(cfg Config) (base *url.URL, addr string, err error) {
	var errs []error
	if cfg.Connections < 0 {
		errs = append(errs, fmt.Errorf("engine: %d connections, want at least 1", cfg.Connections))
	}
	if cfg.Loops < 0 {
		errs = append(errs, fmt.Errorf("engine: %d loops, want at least 1", cfg.Loops))
	}
	if cfg.Timeout < 0 {
		errs = append(errs, fmt.Errorf("engine: timeout %v, want more than 0", cfg.Timeout))
	}
	base, err = url.Parse(cfg.BaseURL)
	switch {
	case err != nil:
		errs = append(errs, fmt.Errorf("engine: base URL: %w", err))
	case base.Scheme != "http" && base.Scheme != "https" || base.Hostname() == "":
		errs = append(errs, fmt.Errorf("engine: base URL %q, want http://host:port", cfg.BaseURL))
	default:
		port := base.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[base.Scheme]
		}
		addr = net.JoinHostPort(base.Hostname(), port)
	}
	return base, addr, errors.Join(errs...)
}

// Run sends the calls of job; see loadgen.Engine.
func (e *NetHTTP) Run(ctx context.Context, job loadgen.Job) error {
	if e.err != nil {
		return e.err
	}
	// Connections outlive ctx by the grace, no longer.
	hard, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	r := &netRun{
		NetHTTP: e, job: job, hard: hard,
		turn:  make(chan struct{}, 1),
		lead:  lead{sooner: make(chan struct{}, 1)},
		pacer: pacer{start: job.Start, nap: e.nap, margin: margin{most: e.spin}},
	}
	var workers, grace sync.WaitGroup
	for range e.cfg.Connections {
		workers.Go(func() { (&worker{netRun: r}).run(ctx) })
	}
	grace.Go(func() { r.stopAfterGrace(ctx, kill) })
	r.turn <- struct{}{}
	workers.Wait()
	r.drop(ctx)
	kill()
	grace.Wait()
	return nil
}

// netRun is one Run of the engine.
type netRun struct {
	*NetHTTP
	job   loadgen.Job
	hard  context.Context // ends when what is in flight is given up
	turn  chan struct{}   // to lead: it is in here while nobody does
	lead  lead
	pacer pacer // the leader's
}

// drop settles what was taken and not sent when the load was stopped.
func (r *netRun) drop(ctx context.Context) {
	w := worker{netRun: r}
	for r.lead.left(&w.call) {
		reply := w.settle(ctx)
		r.job.Replies.Done(&w.call, &reply)
	}
}

// stopAfterGrace gives up what is in flight when ctx ended a grace ago.
func (r *netRun) stopAfterGrace(ctx context.Context, kill func()) {
	select {
	case <-r.hard.Done():
		return
	case <-ctx.Done():
	}
	timer := time.NewTimer(r.job.Grace)
	defer timer.Stop()
	select {
	case <-r.hard.Done():
	case <-timer.C:
		kill()
	}
}

// now is the time from the start of the plan.
func (r *netRun) now() time.Duration { return time.Since(r.job.Start) }
