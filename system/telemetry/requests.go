package telemetry

import (
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// StatusHungUp is the code counted for a client that went away before it was
// answered. It is never sent.
const StatusHungUp = 499

// Requests counts the HTTP requests of one server. Wrap each handler with
// Route.
type Requests struct {
	count    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge
	tracer   *Tracer                  // nil: requests are not traced
	believe  func(*http.Request) bool // whether the sender's trace is continued; nil: always
}

// NewRequests registers the request metrics with reg.
func NewRequests(reg prometheus.Registerer) *Requests {
	m := &Requests{
		count: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: MetricRequests,
			Help: "HTTP requests answered, by route and code.",
		}, []string{"route", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    MetricDuration,
			Help:    "Seconds from a request's header to the end of its answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route", "code"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: MetricInFlight,
			Help: "HTTP requests being answered.",
		}),
	}
	reg.MustRegister(m.count, m.duration, m.inFlight)
	return m
}

// Traced makes a span of each request too, which continues the trace of its
// sender if he is to be believed; a nil believe believes everybody.
func (m *Requests) Traced(t *Tracer, believe func(*http.Request) bool) *Requests {
	m.tracer, m.believe = t, believe
	return m
}

// series is what one route and code count into, looked up once.
type series struct {
	count    prometheus.Counter
	duration prometheus.Observer
}

func (s series) observe(took time.Duration) {
	s.count.Inc()
	s.duration.Observe(took.Seconds())
}

// Counter counts answers to a route with a code, which somebody else gives than a
// handler, by the time that they took.
func (m *Requests) Counter(route string, code int) func(took time.Duration) {
	s := m.series(route, code)
	return s.observe
}

func (m *Requests) series(route string, code int) series {
	label := strconv.Itoa(code)
	return series{
		count:    m.count.WithLabelValues(route, label),
		duration: m.duration.WithLabelValues(route, label),
	}
}

// Route counts what h answers under the given name, which must be one of few:
// a pattern, never a path.
func (m *Requests) Route(name string, h http.Handler) http.Handler {
	var known sync.Map // code -> series
	find := func(code int) series {
		if s, ok := known.Load(code); ok {
			return s.(series)
		}
		s := m.series(name, code)
		known.Store(code, s)
		return s
	}
	spans := m.tracer.route(name)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		var seen *statusWriter
		var span *httpSpan
		if !m.tracer.on() {
			seen = &statusWriter{ResponseWriter: w}
		} else {
			both := &tracedWriter{statusWriter: statusWriter{ResponseWriter: w}}
			seen, span = &both.statusWriter, &both.span
			r = m.tracer.serve(span, r, start, spans, m.believe)
		}
		m.inFlight.Inc()
		defer func() {
			m.inFlight.Dec()
			p := recover()
			code := seen.outcome(r, p)
			took := time.Since(start)
			span.end(start.Add(took), code, code >= http.StatusInternalServerError || code == StatusHungUp, nil)
			find(code).observe(took)
			if p != nil {
				panic(p) // net/http closes the connection
			}
		}()
		h.ServeHTTP(seen, r)
	})
}

// tracedWriter is a statusWriter and the span beside it, in one piece of memory.
type tracedWriter struct {
	statusWriter
	span httpSpan
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(code int) {
	if w.status == 0 && code >= 200 { // 1xx answers precede the answer
		w.status = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *statusWriter) outcome(r *http.Request, panicked any) int {
	err, _ := panicked.(error)
	switch {
	case w.status != 0:
		return w.status
	case errors.Is(err, http.ErrAbortHandler), panicked == nil && r.Context().Err() != nil:
		return StatusHungUp
	case panicked != nil:
		return http.StatusInternalServerError
	default:
		return http.StatusOK // net/http sends it for a handler that wrote nothing
	}
}
