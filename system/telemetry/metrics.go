package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// The metrics that several components share. Their names are stable; a
// component documents its own beside the code that counts them, under the
// same prefix.
const (
	// MetricInfo is 1, labelled with component and replica.
	MetricInfo = "ordbench_component_info"
	// MetricRequests counts answered HTTP requests by route and code. Code
	// 499 is a client that hung up before it was answered.
	MetricRequests = "ordbench_http_requests_total"
	// MetricDuration is the histogram of seconds from a request's header
	// to the end of its answer, by route and code.
	MetricDuration = "ordbench_http_request_duration_seconds"
	// MetricInFlight is the number of HTTP requests being answered.
	MetricInFlight = "ordbench_http_requests_in_flight"
	// MetricBreakerState is 1 for the state that a breaker is in and 0 for
	// the others, by breaker and state.
	MetricBreakerState = "ordbench_breaker_state"
	// MetricBreakerTrips counts how often a breaker opened, by breaker.
	MetricBreakerTrips = "ordbench_breaker_trips_total"
	// MetricSpansLost counts the spans that were not sent, and not kept to be
	// sent later.
	MetricSpansLost = "ordbench_spans_lost_total"
)

// NewRegistry makes the registry of one process: the Go runtime, the process
// and MetricInfo are in it already.
func NewRegistry(component, replica string) *prometheus.Registry {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        MetricInfo,
		Help:        "Which component and replica this is.",
		ConstLabels: prometheus.Labels{"component": component, "replica": replica},
	})
	info.Set(1)
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		info,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return reg
}
