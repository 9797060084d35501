package notification

import "github.com/prometheus/client_golang/prometheus"

// metrics of the notification service. The names are stable.
type metrics struct {
	sent   *prometheus.CounterVec // ordbench_notification_sent_total{kind}
	events *prometheus.CounterVec // ordbench_notification_events_total{outcome}
	batch  prometheus.Histogram   // ordbench_notification_batch_duration_seconds
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ordbench_notification_sent_total",
			Help: "Notifications sent: confirmed, rejected, cancelled or refunded.",
		}, []string{"kind"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ordbench_notification_events_total",
			Help: "Events that nobody was told of: repeated, ignored, unreadable, retried or dead.",
		}, []string{"outcome"}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "ordbench_notification_batch_duration_seconds",
			Help:    "Seconds from a batch of messages to its commit.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}),
	}
	reg.MustRegister(m.sent, m.events, m.batch)
	return m
}

// aside counts a message that failed.
func (m *metrics) aside(dead bool) {
	outcome := "retried"
	if dead {
		outcome = "dead"
	}
	m.events.WithLabelValues(outcome).Inc()
}
