package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
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
	if ctx.Value(secretly{}) != nil {
		theirs = tls.Server(theirs, &tls.Config{Certificates: certificate().TLS.Certificates, NextProtos: []string{"h2", "http/1.1"}})
	}
	select {
	case p <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// secretly marks a dial that is for TLS.
type secretly struct{}

// certificate is a closed server of example.com, for what it is known by.
var certificate = sync.OnceValue(func() *httptest.Server {
	srv := httptest.NewTLSServer(nil)
	srv.Close()
	return srv
})

// trusting is what a client needs to believe in certificate.
func trusting() *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(certificate().Certificate())
	return &tls.Config{RootCAs: roots}
}

// serve answers with h on a network in memory until the test ends. It runs
// under synthetic time.
func serve(t *testing.T, h http.Handler) pipes {
	t.Helper()
	l := make(pipes)
	srv := &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Only behind the body does a server notice that a client has left.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		h.ServeHTTP(w, r)
	})}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetHTTP2(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
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

// engine makes one of the engines.
type engine func(Config) loadgen.Engine

// eachEngine runs a test with all engines of this system, on a real network.
func eachEngine(t *testing.T, test func(t *testing.T, open engine)) {
	t.Helper()
	t.Run("net/http", func(t *testing.T) {
		test(t, func(cfg Config) loadgen.Engine { return NewNetHTTP(cfg) })
	})
	if runtime.GOOS == "linux" {
		t.Run("event loop", func(t *testing.T) {
			test(t, func(cfg Config) loadgen.Engine { return newEventLoop(cfg) })
		})
	}
}

// eachSynthetic runs a test with all engines and protocols under synthetic time
// and on a network in memory. They do not spin, which would last for ever,
// because time stands still while a goroutine runs.
func eachSynthetic(t *testing.T, test func(t *testing.T, open engine)) {
	t.Helper()
	eachCleartext(t, test)
	certificate() // real time does not mix with synthetic time
	for _, c := range []struct{ name, url string }{
		{"net/http with TLS", "https://example.com"},
		{"net/http with HTTP/2", "http://192.0.2.1"},
		{"net/http with HTTP/2 and TLS", "https://example.com"},
	} {
		synthetic(t, c.name, test, func(t *testing.T, cfg Config) loadgen.Engine {
			cfg.HTTP2 = strings.Contains(c.name, "HTTP/2")
			if dial := cfg.Dial; strings.HasPrefix(c.url, "https:") {
				if cfg.Connections > 100 {
					t.Skip("so many handshakes take seconds and prove no more")
				}
				cfg.TLS = trusting()
				cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
					return dial(context.WithValue(ctx, secretly{}, true), network, addr)
				}
			}
			return unspun(cfg, c.url)
		})
	}
}

// eachCleartext is eachSynthetic over HTTP/1.1 in cleartext.
func eachCleartext(t *testing.T, test func(t *testing.T, open engine)) {
	t.Helper()
	synthetic(t, "net/http", test, func(_ *testing.T, cfg Config) loadgen.Engine { return unspun(cfg, "http://192.0.2.1") })
	synthetic(t, "event loop", test, func(_ *testing.T, cfg Config) loadgen.Engine {
		cfg.BaseURL = "http://192.0.2.1"
		e := newEventLoop(cfg)
		e.open = func(start time.Time) (kernel, error) { return newMemory(start, cfg.Dial), nil }
		e.spin = 0
		return e
	})
}

func synthetic(t *testing.T, name string, test func(t *testing.T, open engine), open func(*testing.T, Config) loadgen.Engine) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			test(t, func(cfg Config) loadgen.Engine { return open(t, cfg) })
		})
	})
}

// unspun is net/http that sleeps where it would spin.
func unspun(cfg Config, url string) loadgen.Engine {
	cfg.BaseURL = url
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
