package wire

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/ordbench/ordbench/loadgen"
	"github.com/ordbench/ordbench/loadgen/shop"
)

// pipes is a network in memory, which synthetic time needs.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	conn, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (p pipes) Close() error {
	close(p)
	return nil
}

func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// serve answers with h on a network in memory until the test ends. It runs
// under synthetic time.
func serve(t *testing.T, h http.Handler) pipes {
	t.Helper()
	l := make(pipes)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Only behind the body does a server notice that a client has left.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		h.ServeHTTP(w, r)
	})}
	ended := make(chan struct{})
	go func() {
		srv.Serve(l)
		close(ended)
	}()
	t.Cleanup(func() {
		srv.Close()
		<-ended
	})
	return l
}

// synthetic is an engine for synthetic time, where spinning would last for
// ever, because time stands still while a goroutine runs.
func synthetic(cfg Config) *NetHTTP {
	cfg.BaseURL = "http://shop.test"
	e := NewNetHTTP(cfg)
	e.nap, e.spin = time.Sleep, 0
	return e
}

// orders is a workload that only places orders.
func orders(t testing.TB) *shop.Shop {
	t.Helper()
	s, err := shop.New(shop.Config{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// one is a plan of one recorded phase.
func one(law loadgen.Law, length time.Duration) loadgen.Plan {
	return loadgen.Plan{Seed: 1, Phases: []loadgen.Phase{{Name: "p", Law: law, For: length, Record: true}}}
}

// accept answers an order.
func accept(w http.ResponseWriter) {
	w.WriteHeader(http.StatusAccepted)
	w.Write([]byte(`{"order_id":"o-1","status":"PENDING"}`))
}
