package wire

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"net/url"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/ordbench/ordbench/loadgen"
)

// New gives the engine that is best for the target: an event loop for
// cleartext HTTP/1.1 on Linux, net/http for all else. Problems of cfg are reported by
// Run.
func New(cfg Config) loadgen.Engine {
	base, err := url.Parse(cfg.BaseURL)
	if runtime.GOOS != "linux" || cfg.Dial != nil || cfg.HTTP2 || err != nil || base.Scheme != "http" {
		return NewNetHTTP(cfg)
	}
	return newEventLoop(cfg)
}

// eventLoop is the engine for cleartext HTTP/1.1 on Linux. A thread of its own
// sends calls from one schedule over free connections and reads the answers:
// no goroutine, channel, lock or allocation stands between a due time and the
// system call.
//
// The name of the target is looked up once, when it starts.
type eventLoop struct {
	cfg  Config
	base *url.URL
	addr string // host:port
	err  error
	open func(start time.Time) (kernel, error) // tests replace it
	spin time.Duration
}

func newEventLoop(cfg Config) *eventLoop {
	cfg = cfg.withDefaults()
	e := &eventLoop{cfg: cfg, open: openKernel, spin: maxSpin}
	e.base, e.addr, e.err = target(cfg)
	return e
}

// Run sends the calls of job; see loadgen.Engine.
func (e *eventLoop) Run(ctx context.Context, job loadgen.Job) error {
	if e.err != nil {
		return e.err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	routes, lost := lookUp(ctx, e.addr)
	var (
		loops sync.WaitGroup
		mu    sync.Mutex
		errs  []error
	)
	n := min(e.cfg.Loops, e.cfg.Connections)
	procs.add(n)
	defer procs.add(-n)
	for i := range n {
		l := newLoop(share(e.cfg.Connections, n, i), e.spin)
		l.job, l.timeout, l.origin = job, e.cfg.Timeout, newOrigin(e.base)
		l.routes, l.lost = routes, lost
		l.steps, _ = job.Replies.(loadgen.Flows)
		loops.Go(func() {
			if err := e.run(ctx, l); err != nil {
				cancel() // the other loops stop too
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	loops.Wait()
	return errors.Join(errs...)
}

// procs lets the threads of loops, which keep their turns while they sleep, come
// on top of those that run everything else.
var procs extra

// extra changes how many threads may run Go at the same time.
type extra struct{ mu sync.Mutex }

func (x *extra) add(n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + n)
}

// share is how many of all the i-th of n has.
func share(all, n, i int) int { return (i+1)*all/n - i*all/n }

// run is the life of one loop.
func (e *eventLoop) run(ctx context.Context, l *loop) (err error) {
	// The thread ends with this goroutine, because its timers are changed.
	runtime.LockOSThread()
	if l.os, err = e.open(l.job.Start); err != nil {
		return err
	}
	defer l.os.close()
	if e.cfg.First {
		GoFirst()
	}
	ended, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-ctx.Done():
			l.stop()
		case <-ended:
		}
	}()
	defer func() {
		close(ended)
		<-watched
	}()
	return l.run()
}

// lookUp gives the addresses of host:port.
func lookUp(ctx context.Context, addr string) ([]netip.AddrPort, error) {
	fail := func(err error) ([]netip.AddrPort, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return fail(err)
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return fail(&net.AddrError{Err: "invalid port", Addr: addr})
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return fail(err)
	}
	var routes []netip.AddrPort
	for _, ip := range ips {
		routes = append(routes, netip.AddrPortFrom(ip, uint16(port)))
	}
	return routes, nil
}

// isEOF says that the target has closed its side.
func isEOF(err error) bool { return errors.Is(err, io.EOF) }
