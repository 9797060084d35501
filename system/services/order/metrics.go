package order

import "github.com/prometheus/client_golang/prometheus"

// metrics of the order service. The names are stable.
type metrics struct {
	placed    prometheus.Counter     // ordbench_order_placed_total
	replayed  prometheus.Counter     // ordbench_order_replayed_total
	inFlight  prometheus.Counter     // ordbench_order_in_flight_total
	lost      prometheus.Counter     // ordbench_order_events_lost_total
	recovered prometheus.Counter     // ordbench_order_recovered_total
	moved     *prometheus.CounterVec // ordbench_order_moved_total{status}
	events    *prometheus.CounterVec // ordbench_order_events_total{outcome}
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		reg.MustRegister(c)
		return c
	}
	counters := func(name, help, label string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
		reg.MustRegister(c)
		return c
	}
	return &metrics{
		placed:    counter("ordbench_order_placed_total", "Orders accepted and on disk."),
		replayed:  counter("ordbench_order_replayed_total", "Requests answered with the order that their key already stood for."),
		inFlight:  counter("ordbench_order_in_flight_total", "Requests turned away because one with their key was in flight."),
		lost:      counter("ordbench_order_events_lost_total", "Events given up: without an outbox nothing brings them back."),
		recovered: counter("ordbench_order_recovered_total", "Transactions over several services that the recovery brought to their end."),
		moved:     counters("ordbench_order_moved_total", "Orders that reached a status.", "status"),
		events:    counters("ordbench_order_events_total", "Events that moved no order: repeated, ignored, unreadable, retried or dead.", "outcome"),
	}
}

// aside counts a message that failed.
func (m *metrics) aside(dead bool) {
	outcome := "retried"
	if dead {
		outcome = "dead"
	}
	m.events.WithLabelValues(outcome).Inc()
}
