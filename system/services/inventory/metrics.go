package inventory

import "github.com/prometheus/client_golang/prometheus"

// metrics of the inventory service. The names are stable.
type metrics struct {
	orders *prometheus.CounterVec // ordbench_inventory_orders_total{outcome}
	batch  prometheus.Histogram   // ordbench_inventory_batch_duration_seconds
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		orders: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ordbench_inventory_orders_total",
			Help: "Orders consumed: reserved, rejected, sold, released, returned, repeated, ignored, unreadable, retried or dead.",
		}, []string{"outcome"}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "ordbench_inventory_batch_duration_seconds",
			Help:    "Seconds from a batch of messages to its commit.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}),
	}
	reg.MustRegister(m.orders, m.batch)
	return m
}

// aside counts a message that failed.
func (m *metrics) aside(dead bool) {
	outcome := "retried"
	if dead {
		outcome = "dead"
	}
	m.orders.WithLabelValues(outcome).Inc()
}
