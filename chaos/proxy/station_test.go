package proxy

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// station runs a Station before an echo, and a Remote of it.
func station(t *testing.T) (*Station, *Remote) {
	t.Helper()
	echo, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { echo.Close() })
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); c.Close() }()
		}
	}()
	l, err := Open(echo.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := &Station{token: "secret", links: []*Link{l}, names: []map[string]bool{{}}, asked: time.Now()}
	control, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: s.handler()}
	go func() { _ = server.Serve(control) }()
	t.Cleanup(func() { server.Close() })
	r := Dial(control.Addr().String(), "secret")
	t.Cleanup(func() { r.Close() })
	return s, r
}

func TestRemoteLinkDoesWhatALinkDoes(t *testing.T) {
	s, r := station(t)
	l := r.Link(0)
	if err := l.Set("slow", Rule{Delay: 30 * time.Millisecond, Direction: Forward}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	p, err := l.Probe(ctx, 10)
	if err != nil || p.Took < 30*time.Millisecond {
		t.Errorf("a probe met %+v, %v", p, err)
	}
	c, err := net.Dial("tcp4", s.links[0].Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("0123456789")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if n, stands := l.Count("slow"); !stands || n.Connections != 1 || n.Bytes < 10 {
		t.Errorf("counted %+v, %t", n, stands)
	}
	if n, err := l.Clear("slow"); err != nil || n.Connections != 1 {
		t.Errorf("cleared %+v, %v", n, err)
	}
	if _, stands := l.Count("slow"); stands {
		t.Error("it stands after it was cleared")
	}
	if err := l.Set("gone", Rule{Refuse: true}); err != nil {
		t.Fatal(err)
	}
	if p, err := l.Probe(ctx, 1); err != nil || !p.Refused {
		t.Errorf("a probe of a cut link met %+v, %v", p, err)
	}
}

func TestRulesOfAStationEndWithTheirLease(t *testing.T) {
	s, r := station(t)
	if err := r.Link(0).Set("slow", Rule{Delay: time.Hour}); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	asked := s.asked
	s.mu.Unlock()
	if n := s.expire(asked.Add(Lease - 1)); n != 0 {
		t.Errorf("%d rules ended before their lease", n)
	}
	if n := s.expire(asked.Add(Lease)); n != 1 {
		t.Errorf("%d rules ended with their lease, want 1", n)
	}
	if _, stands := s.links[0].Count("slow"); stands {
		t.Error("the rule stands without a lease")
	}
}

func TestStationObeysOnlyWhoKnowsTheToken(t *testing.T) {
	s, r := station(t)
	stranger := Dial(strings.TrimPrefix(r.base, "http://"), "guess")
	defer stranger.Close()
	if err := stranger.Link(0).Set("cut", Rule{Refuse: true}); err == nil || !strings.Contains(err.Error(), "who are you?") {
		t.Errorf("a stranger was told %v", err)
	}
	if len(*s.links[0].rules.Load()) != 0 {
		t.Error("a stranger's rule stands")
	}
	if err := r.Link(7).Set("x", Rule{}); err == nil || !strings.Contains(err.Error(), "no such route") {
		t.Errorf("a route that is not there: %v", err)
	}
}

func TestStationWantsAWholeConfiguration(t *testing.T) {
	good := StationConfig{Control: "127.0.0.1:0", Token: "t", Routes: []Route{{Link: "a->b", Listen: "127.0.0.1:0", Upstream: "b:1"}}}
	for name, spoil := range map[string]func(*StationConfig){
		"no token":    func(c *StationConfig) { c.Token = "" },
		"no route":    func(c *StationConfig) { c.Routes = nil },
		"no upstream": func(c *StationConfig) { c.Routes = []Route{{Link: "a->b", Listen: "127.0.0.1:0"}} },
		"no address":  func(c *StationConfig) { c.Routes = []Route{{Link: "a->b", Listen: "here", Upstream: "b:1"}} },
	} {
		c := good
		spoil(&c)
		if err := RunStation(t.Context(), c, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s: it runs", name)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := RunStation(ctx, good, slog.New(slog.DiscardHandler)); err != nil {
		t.Error(err)
	}
}
