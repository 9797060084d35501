package wire

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ordbench/ordbench/loadgen"
	"github.com/ordbench/ordbench/loadgen/shop"
)

// forgetful answers each order only when it comes for the third time: first
// the connection ends without an answer, then nobody knows.
type forgetful struct {
	mu     sync.Mutex
	bodies map[string]string
	seen   map[string]int
}

func (f *forgetful) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("Idempotency-Key")
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	f.seen[key]++
	n := f.seen[key]
	if n > 1 && f.bodies[key] != string(body) {
		n = 0
	}
	f.bodies[key] = string(body)
	f.mu.Unlock()
	switch n {
	case 0:
		w.WriteHeader(http.StatusUnprocessableEntity)
	case 1:
		panic(http.ErrAbortHandler)
	case 2:
		w.WriteHeader(http.StatusGatewayTimeout)
	default:
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, `{"order_id":"o-%s"}`, key)
	}
}

func TestAnAttemptIsRepeatedUnderItsKeyAndIsStillOne(t *testing.T) {
	const orders = 40
	for name, open := range map[string]func(Config) loadgen.Engine{
		"the usual engine": New,
		"net/http":         func(cfg Config) loadgen.Engine { return NewNetHTTP(cfg) },
	} {
		t.Run(name, func(t *testing.T) {
			desk := &forgetful{bodies: map[string]string{}, seen: map[string]int{}}
			server := httptest.NewServer(desk)
			defer server.Close()
			s, err := shop.New(shop.Config{
				Seed: 1, Mix: map[loadgen.Op]float64{shop.PlaceOrder: 1},
				Retry: shop.Retry{Tries: 3, After: time.Millisecond},
			})
			if err != nil {
				t.Fatal(err)
			}
			var ledger bytes.Buffer
			plan := loadgen.Plan{Phases: []loadgen.Phase{{Name: "p", Law: loadgen.Constant{PerSecond: 400}, For: orders * time.Second / 400, Record: true}}}
			report, err := loadgen.New(loadgen.Config{
				Plan: plan, Workload: s, Engine: open(Config{BaseURL: server.URL, Connections: 8, Timeout: 10 * time.Second}), Ledger: loadgen.NewLedgerWriter(&ledger), Grace: 30 * time.Second,
			}).Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			o := report.Phases[0].Ops[shop.PlaceOrder]
			if o.Counts.Scheduled != orders || o.Counts.OK != orders || o.Repeats != 2*orders {
				t.Errorf("%+v, %d repeats; want %d attempts, all of them ok at their third try", o.Counts, o.Repeats, orders)
			}
			if n := o.Response.TotalCount(); n != orders {
				t.Errorf("%d times of %d attempts", n, orders)
			}
			lines := strings.Count(ledger.String(), "\n") - 1 // without the header
			if lines != 3*orders || strings.Count(ledger.String(), ",unknown,") != 2*orders {
				t.Errorf("%d lines in the ledger, want one for each try:\n%s", lines, ledger.String())
			}
			desk.mu.Lock()
			defer desk.mu.Unlock()
			for key, n := range desk.seen {
				if n != 3 {
					t.Errorf("%s came %d times, or with another body", key, n)
				}
			}
		})
	}
}
