package resilience

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ordbench/ordbench/system/telemetry"
)

// Breakers are the breakers of one process. As a prometheus.Collector they
// show telemetry.MetricBreakerState and MetricBreakerTrips.
type Breakers []*Breaker

var (
	stateDesc = prometheus.NewDesc(telemetry.MetricBreakerState,
		"1 for the state that the breaker is in.", []string{"breaker", "state"}, nil)
	tripsDesc = prometheus.NewDesc(telemetry.MetricBreakerTrips,
		"Times the breaker opened.", []string{"breaker"}, nil)
)

// Snapshot tells what each breaker did so far, in their order.
func (bs Breakers) Snapshot() []BreakerState {
	states := make([]BreakerState, len(bs))
	for i, b := range bs {
		states[i] = b.Snapshot()
	}
	return states
}

// Describe implements prometheus.Collector.
func (bs Breakers) Describe(ch chan<- *prometheus.Desc) {
	ch <- stateDesc
	ch <- tripsDesc
}

// Collect implements prometheus.Collector.
func (bs Breakers) Collect(ch chan<- prometheus.Metric) {
	for _, now := range bs.Snapshot() {
		for _, state := range []string{"closed", "open", "half-open", "disabled"} {
			value := 0.0
			if state == now.State {
				value = 1
			}
			ch <- prometheus.MustNewConstMetric(stateDesc, prometheus.GaugeValue, value, now.Name, state)
		}
		ch <- prometheus.MustNewConstMetric(tripsDesc, prometheus.CounterValue, float64(now.Trips), now.Name)
	}
}
