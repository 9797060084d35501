package gateway

import "github.com/prometheus/client_golang/prometheus"

// metrics are the gateway's own.
//
//	ordbench_gateway_refused_total{by}                   answers with X-Refused-By
//	ordbench_gateway_rejected_total{reason}              requests that their clients got wrong
//	ordbench_gateway_upstream_failures_total{dependency,kind}  exchanges without an answer
//	ordbench_gateway_ratelimit_local_total               decisions made without the cache
type metrics struct {
	refused  *prometheus.CounterVec
	rejected *prometheus.CounterVec
	failures *prometheus.CounterVec
	local    prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) metrics {
	m := metrics{
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ordbench_gateway_refused_total",
			Help: "Requests refused before they were processed, by what refused them.",
		}, []string{"by"}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ordbench_gateway_rejected_total",
			Help: "Requests that their clients got wrong, by what was wrong.",
		}, []string{"reason"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ordbench_gateway_upstream_failures_total",
			Help: "Exchanges with a dependency that brought no answer.",
		}, []string{"dependency", "kind"}),
		local: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ordbench_gateway_ratelimit_local_total",
			Help: "Rate limit decisions made without the cache.",
		}),
	}
	reg.MustRegister(m.refused, m.rejected, m.failures, m.local)
	return m
}
