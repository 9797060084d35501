package services_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ordbench/ordbench/reports/traces"
	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/failpoint"
	"github.com/ordbench/ordbench/system/telemetry"
	"github.com/ordbench/ordbench/system/telemetry/otlp"
	"github.com/ordbench/ordbench/system/telemetry/spool"
)

// front stands in for the gateway: it begins the traces.
func front(t *testing.T, tracing telemetry.Tracing, order string) (url string, tracer *telemetry.Tracer) {
	t.Helper()
	tracer, err := telemetry.StartTracer(tracing, "gateway", "gateway-0", nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: tracer.Transport(&http.Transport{DisableKeepAlives: true})}
	h := telemetry.NewRequests(prometheus.NewRegistry()).Traced(tracer, nil).
		Route("POST /orders", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, "http://"+order+"/orders", r.Body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			req.Header.Set("idempotency-key", r.Header.Get("Idempotency-Key"))
			res, err := client.Do(req)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			defer res.Body.Close()
			w.WriteHeader(res.StatusCode)
			_, _ = io.Copy(w, res.Body)
		}))
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String(), tracer
}

// The order service is killed under load, payment fails and is tried again,
// and gives up and is asked once more: the tree of every order is whole. What
// is measured is 9,999 in 10,000; of these few not one may be torn.
func TestTracesAreWholeThroughAKillARetryAndARedrive(t *testing.T) {
	book := traces.NewBook(traces.Options{Sample: 1, Slowest: 1000})
	collector := httptest.NewServer(otlp.Receiver{Take: func(request []byte) (int, error) { book.Take(request); return 0, nil }}.Handler())
	defer collector.Close()
	tracing := telemetry.Tracing{Endpoint: collector.URL, Sample: 1, Spool: t.TempDir()}
	s := boot(t, func(s *stack) {
		s.separateOrder = true
		s.order.Tracing, s.inventory.Tracing, s.payment.Tracing, s.notification.Tracing = tracing, tracing, tracing, tracing
	})
	gateway, tracer := front(t, tracing, s.order.Listen)
	direct := s.order.Listen
	through := func(do func()) {
		s.order.Listen = gateway
		defer func() { s.order.Listen = direct }()
		do()
	}

	// A kill, with requests under way.
	s.order.Listen = gateway
	accepted := s.load(t, 8, 150, s.orders.kill)
	s.order.Listen = direct
	s.startOrder(t)
	for id := range accepted {
		s.awaitStatus(t, id, "CONFIRMED")
	}

	// A retry: the first two attempts fail, the third does not.
	const point = "payment.before-commit"
	arm := func(times int) {
		if err := failpoint.Arm(point, failpoint.Plan{Action: failpoint.Error, Times: times}); err != nil {
			t.Fatal(err)
		}
	}
	defer func() { _ = failpoint.Disarm(point) }()
	arm(2)
	var retried, redriven string
	through(func() { retried = s.place(t, "retried", `{"user_id":"u","total":1}`) })
	s.awaitStatus(t, retried, "CONFIRMED")

	// A redrive: all attempts fail, and later somebody sends it back.
	arm(0)
	through(func() { redriven = s.place(t, "redriven", `{"user_id":"u","total":1}`) })
	var dead bus.Message
	eventually(t, "a dead letter of "+redriven, func() bool {
		err := bus.ReadTopic(t.Context(), s.brokers, bus.DeadTopic(events.PaymentGroup), func(m bus.Message) error {
			if e, err := events.Decode(m.Value); err == nil && e.OrderID == redriven {
				dead = m
			}
			return nil
		})
		return err == nil && dead.Value != nil
	})
	if err := failpoint.Disarm(point); err != nil {
		t.Fatal(err)
	}
	pub := bus.NewPublisher(s.brokers)
	defer pub.Close()
	if err := pub.Publish(t.Context(), bus.Redriven(dead, bus.RetryTopic(events.PaymentGroup))); err != nil {
		t.Fatal(err)
	}
	s.awaitStatus(t, redriven, "CONFIRMED")
	s.awaitQuiet(t)

	// Everybody ends in order, and so sends what is left; of the one that
	// was killed somebody else must.
	for _, r := range []*replica{s.orders, s.inventories, s.payments, s.notifications} {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	}
	if err := tracer.Close(); err != nil {
		t.Error(err)
	}
	var recovered atomic.Uint64
	err := spool.Recover(tracing.Spool, func(head, spans []byte) error {
		recovered.Add(1)
		book.Take(append(head, spans...))
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	db := s.open(t, s.order.Database)
	rows, err := db.Query(t.Context(), `SELECT id, status FROM orders`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, status string
		if err := rows.Scan(&id, &status); err != nil {
			t.Fatal(err)
		}
		book.Order(id, status)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	v := book.Close()
	if v.Orders < 150 || v.Complete != v.Orders {
		t.Errorf("%d of %d trees are whole: %+v", v.Complete, v.Orders, v.Incomplete)
	}
	// The attempts that failed are in the trees too.
	failed := map[string]int{}
	for _, o := range v.Slowest {
		for _, span := range o.Spans {
			if span.Failed && span.Kind == "consumer" {
				failed[o.OrderID]++
			}
		}
	}
	if failed[retried] != 2 || failed[redriven] < 4 {
		t.Errorf("%d attempts of the order that was retried failed, want 2; %d of the one that was redriven, want 4 at least", failed[retried], failed[redriven])
	}
	t.Logf("%d orders, %d spans, %d interrupted, %d files recovered at the end", v.Orders, v.Spans, v.Interrupted, recovered.Load())
}
