package payment

import "github.com/prometheus/client_golang/prometheus"

// metrics of the payment service. The names are stable.
type metrics struct {
	orders   *prometheus.CounterVec // ordbench_payment_orders_total{outcome}
	timeouts prometheus.Counter     // ordbench_payment_timeouts_total
	batch    prometheus.Histogram   // ordbench_payment_batch_duration_seconds
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		orders: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ordbench_payment_orders_total",
			Help: "Orders consumed: captured, declined, refunded, repeated, ignored, unreadable, retried or dead.",
		}, []string{"outcome"}),
		timeouts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ordbench_payment_timeouts_total",
			Help: "Charges that the provider did not answer in time, and that were asked for under their keys.",
		}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "ordbench_payment_batch_duration_seconds",
			Help:    "Seconds from a batch of messages to its commit.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}),
	}
	reg.MustRegister(m.orders, m.timeouts, m.batch)
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
