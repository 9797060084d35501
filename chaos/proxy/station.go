package proxy

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// StationConfig is what a process is told that stands in links between
// others. Its JSON is written by the runtime that starts it.
type StationConfig struct {
	Control string  `json:"control"` // host:port where it takes orders
	Token   string  `json:"token"`   // whoever gives orders has to know it
	Routes  []Route `json:"routes"`
}

// Route is one address of a link.
type Route struct {
	Link     string `json:"link"`
	Listen   string `json:"listen"`   // IPv4 host:port, where clients connect to
	Upstream string `json:"upstream"` // host:port, where their connections go to
}

// Validate says what is wrong with a configuration.
func (c StationConfig) Validate() error {
	if c.Token == "" {
		return errors.New("there is no token: anybody could give orders")
	}
	if len(c.Routes) == 0 {
		return errors.New("there are no routes")
	}
	for _, r := range c.Routes {
		if _, _, err := net.SplitHostPort(r.Upstream); err != nil || r.Link == "" {
			return fmt.Errorf("route %q to %q: a link and host:port are needed", r.Link, r.Upstream)
		}
	}
	return nil
}

// Lease is how long rules stand in a Station that nobody asks anything: what
// disturbed a link is over when whoever ordered it is gone.
const Lease = 3 * time.Second

// Station is the proxies of many links in a process of its own, which take
// orders over HTTP.
type Station struct {
	token string
	links []*Link // by the number of their route

	mu    sync.Mutex
	names []map[string]bool // of the rules that stand, by route
	asked time.Time
}

// RunStation stands in the links until ctx ends.
func RunStation(ctx context.Context, cfg StationConfig, log *slog.Logger) (err error) {
	if err := cfg.Validate(); err != nil {
		return err
	}
	s := &Station{token: cfg.Token, asked: time.Now()}
	defer func() { err = errors.Join(err, s.close()) }()
	for _, r := range cfg.Routes {
		l, err := Listen(r.Listen, r.Upstream)
		if err != nil {
			return err
		}
		s.links = append(s.links, l)
		s.names = append(s.names, map[string]bool{})
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", cfg.Control)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	log.Info("stands in links", "routes", len(s.links), "control", listener.Addr().String())
	look := time.NewTicker(Lease / 10)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			if n := s.expire(time.Now()); n > 0 {
				log.Warn("nobody asks any more: rules are lifted", "rules", n)
			}
		case err := <-served:
			return err
		case <-ctx.Done():
			return server.Close()
		}
	}
}

// expire lifts every rule when nobody has asked anything for the lease, and
// says how many there were.
func (s *Station) expire(now time.Time) (lifted int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.asked) < Lease {
		return 0
	}
	for i, names := range s.names {
		for name := range names {
			_, _ = s.links[i].Clear(name) // a link that can't listen again is looked at by whoever needs it
			delete(names, name)
			lifted++
		}
	}
	return lifted
}

// ruleState is what is told of a rule.
type ruleState struct {
	Count  Count
	Stands bool
}

// probeOrder asks for a probe.
type probeOrder struct {
	Bytes  int
	Within time.Duration
}

// Bounds of a probe that somebody asks for.
const (
	mostProbeBytes   = 64 << 20
	longestProbe     = 2 * time.Minute
	mostOrderedBytes = 1 << 20
)

// handler takes orders:
//
//	PUT, GET, DELETE /routes/{route}/rules/{rule}
//	POST             /routes/{route}/probe
//	POST             /lease
func (s *Station) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /routes/{route}/rules/{rule}", func(w http.ResponseWriter, r *http.Request) {
		var rule Rule
		i, ok := s.route(w, r, &rule)
		if !ok {
			return
		}
		s.mu.Lock()
		s.names[i][r.PathValue("rule")] = true
		s.mu.Unlock()
		if err := s.links[i].Set(r.PathValue("rule"), rule); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("GET /routes/{route}/rules/{rule}", func(w http.ResponseWriter, r *http.Request) {
		if i, ok := s.route(w, r, nil); ok {
			c, stands := s.links[i].Count(r.PathValue("rule"))
			answer(w, ruleState{c, stands})
		}
	})
	mux.HandleFunc("DELETE /routes/{route}/rules/{rule}", func(w http.ResponseWriter, r *http.Request) {
		i, ok := s.route(w, r, nil)
		if !ok {
			return
		}
		s.mu.Lock()
		delete(s.names[i], r.PathValue("rule"))
		s.mu.Unlock()
		c, err := s.links[i].Clear(r.PathValue("rule"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer(w, ruleState{Count: c})
	})
	mux.HandleFunc("POST /routes/{route}/probe", func(w http.ResponseWriter, r *http.Request) {
		var order probeOrder
		i, ok := s.route(w, r, &order)
		if !ok {
			return
		}
		if order.Bytes < 1 || order.Bytes > mostProbeBytes || order.Within <= 0 || order.Within > longestProbe {
			http.Error(w, "a probe of 1 byte to 64 MiB, within 2 minutes", http.StatusBadRequest)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), order.Within)
		defer cancel()
		p, err := s.links[i].Probe(ctx, order.Bytes)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer(w, p)
	})
	mux.HandleFunc("POST /lease", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+s.token)) != 1 {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		s.mu.Lock()
		s.asked = time.Now()
		s.mu.Unlock()
		mux.ServeHTTP(w, r)
	})
}

// route finds the route of a request and reads its body into v, if there is
// one to read.
func (s *Station) route(w http.ResponseWriter, r *http.Request, v any) (i int, ok bool) {
	if _, err := fmt.Sscanf(r.PathValue("route"), "%d", &i); err != nil || i < 0 || i >= len(s.links) {
		http.Error(w, "no such route", http.StatusNotFound)
		return 0, false
	}
	if v == nil {
		return i, true
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, mostOrderedBytes))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return 0, false
	}
	return i, true
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // who asked may be gone
}

func (s *Station) close() error {
	errs := make([]error, len(s.links))
	for i, l := range s.links {
		errs[i] = l.Close()
	}
	return errors.Join(errs...)
}
