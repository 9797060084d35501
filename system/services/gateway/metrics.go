package gateway

import "github.com/prometheus/client_golang/prometheus"

// metrics are the gateway's own.
//
//	ordbench_gateway_refused_total{by}                   answers with X-Refused-By
//	ordbench_gateway_rejected_total{reason}              requests that their clients got wrong
//	ordbench_gateway_upstream_failures_total{dependency,kind}  exchanges without an answer
//	ordbench_gateway_retries_total{dependency}           calls that were made again
//	ordbench_gateway_calls{dependency}                   calls that hold a place, now
//	ordbench_gateway_waiting{dependency}                 calls that wait for one, now
//	ordbench_gateway_ratelimit_local_total               decisions made without the cache
type metrics struct {
	reg      prometheus.Registerer
	refused  *prometheus.CounterVec
	rejected *prometheus.CounterVec
	failures *prometheus.CounterVec
	local    prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) metrics {
	m := metrics{
		reg: reg,
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

// watch shows what the pool and the retries of a dependency do.
func (m metrics) watch(u *upstream) {
	labels := prometheus.Labels{"dependency": u.name}
	m.reg.MustRegister(
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "ordbench_gateway_retries_total", Help: "Calls to a dependency that were made again.", ConstLabels: labels,
		}, func() float64 { return float64(u.retry.Spent()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "ordbench_gateway_calls", Help: "Calls to a dependency that hold a place.", ConstLabels: labels,
		}, func() float64 { return float64(u.pool.Busy()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "ordbench_gateway_waiting", Help: "Calls to a dependency that wait for a place.", ConstLabels: labels,
		}, func() float64 { return float64(u.pool.Waiting()) }),
	)
}
