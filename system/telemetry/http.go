package telemetry

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/ordbench/ordbench/system/telemetry/otlp"
	"github.com/ordbench/ordbench/system/telemetry/spool"
)

// TraceparentField is the header field of W3C Trace Context.
const TraceparentField = "Traceparent"

// httpSpan is the span of an exchange over HTTP, and of a request that is
// served the context. A nil one is none.
type httpSpan struct {
	context.Context
	tracer  *Tracer
	context spanContext

	mu   sync.Mutex
	open bool          // it is sampled, and has not ended
	kept bool          // the spool has it
	span [1]spool.Span // as Finish takes it
	room [64]byte      // for what it has of its own
}

// begin begins the span of an exchange; key and value are an attribute of its
// own.
func (s *httpSpan) begin(t *Tracer, parent spanContext, start time.Time, c common, key spool.Key, value string) {
	s.tracer, s.context = t, child(parent, t.sample)
	if s.open = s.context.sampled; s.open {
		s.span[0] = spool.Span{
			Record: record(s.context, parent, nanos(start), c),
			Own:    spool.AppendText(append(s.room[:0], c.inline...), key, value),
		}
	}
}

// keep has the spool keep the span from now on. A request that nobody else has
// heard of has left nothing that a kill could tear from it, so that it is time
// when others are told of it; most that are refused never come that far.
func (s *httpSpan) keep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open && !s.kept {
		s.kept = true
		s.tracer.box.Begin(&s.span[0])
	}
}

// Value is the span itself, or what the context around it has.
func (s *httpSpan) Value(key any) any {
	if key == (spanKey{}) {
		return s
	}
	return s.Context.Value(key)
}

// end ends the span with the code of the answer, or with what went wrong.
func (s *httpSpan) end(at time.Time, code int, failed bool, err error) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open {
		return
	}
	s.open = false
	b := s.span[0].Own
	if code != 0 {
		b = spool.AppendInt(b, ownStatus, int64(code))
	}
	if failed {
		kind, message := strconv.Itoa(code), ""
		if err != nil {
			kind, message = semconv.ErrorTypeOther.Value.AsString(), err.Error()
		}
		b = spool.AppendFields(spool.AppendText(b, ownError, kind), otlp.AppendStatus(nil, otlp.StatusError, message))
	}
	s.span[0].Own = b
	s.tracer.box.Finish(nanos(at), nil, s.span[:])
}

// route is what the spans of the requests that it answers have in common.
type route struct {
	name, method, pattern string
	plain, secure         common // of its own method
}

// route describes a route by its name, a method and a path pattern.
func (t *Tracer) route(name string) *route {
	if t == nil {
		return nil
	}
	rt := &route{name: name}
	rt.method, rt.pattern, _ = strings.Cut(name, " ")
	rt.plain = t.makeCommon(name, otlp.Server, rt.attributes(rt.method, false))
	rt.secure = t.makeCommon(name, otlp.Server, rt.attributes(rt.method, true))
	return rt
}

func (rt *route) attributes(method string, secure bool) func([]byte) []byte {
	return func(b []byte) []byte {
		b = withText(b, semconv.HTTPRequestMethodKey, method)
		b = withText(b, semconv.HTTPRouteKey, rt.pattern)
		return withText(b, semconv.URLSchemeKey, scheme(secure))
	}
}

// common is what the span of r has in common with others.
func (rt *route) common(r *http.Request) common {
	switch m, secure := method(r.Method), r.TLS != nil; {
	case m != rt.method: // a HEAD that a GET answers
		return inline(rt.attributes(m, secure)(otlp.AppendName(nil, rt.name, otlp.Server)))
	case secure:
		return rt.secure
	}
	return rt.plain
}

// serve begins the span of a request that a route answers. The request it
// returns carries the span.
func (t *Tracer) serve(span *httpSpan, r *http.Request, start time.Time, rt *route, believe func(*http.Request) bool) *http.Request {
	var parent spanContext
	if claim := r.Header[TraceparentField]; len(claim) == 1 && (believe == nil || believe(r)) {
		parent = parseTraceparent(claim[0])
	}
	span.Context = r.Context()
	span.begin(t, parent, start, rt.common(r), ownPath, r.URL.Path)
	return r.WithContext(span)
}

// Annotate says on the span of ctx, if it is that of a request, which order
// the request is about. A replay is a request that brought back what an
// earlier one had placed.
func Annotate(ctx context.Context, orderID string, replay bool) {
	s, _ := ctx.Value(spanKey{}).(*httpSpan)
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open {
		return
	}
	span := &s.span[0]
	span.Own = spool.AppendText(span.Own, ownOrder, orderID)
	if replay {
		span.Own = spool.AppendYes(span.Own, ownReplayed)
	}
}

// method is one of few, whatever a client makes up.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodPost, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions:
		return m
	}
	return semconv.HTTPRequestMethodOther.Value.AsString()
}

func scheme(secure bool) string {
	if secure {
		return "https"
	}
	return "http"
}

// Transport makes a span of each exchange over base and tells the other side
// of it. A nil Tracer returns base as it is. The caller's header is copied,
// because it may be in use elsewhere, unless it has an empty TraceparentField:
// that is filled in, which saves a call the price of a header.
func (t *Tracer) Transport(base http.RoundTripper) http.RoundTripper {
	if t == nil {
		return base
	}
	return &transport{tracer: t, base: base}
}

type transport struct {
	tracer *Tracer
	base   http.RoundTripper
	last   atomic.Pointer[aim] // of many requests in a row there is but one
}

// aim is what the spans of like requests to one URL say of it.
type aim struct {
	method string
	url    url.URL
	common common
	full   string // url.full
}

// aimed is the aim of r.
func (t *transport) aimed(r *http.Request) *aim {
	m, u := method(r.Method), r.URL
	if last := t.last.Load(); last != nil && last.method == m && last.url == *u {
		return last
	}
	a := &aim{method: m, url: *u, full: u.String()}
	a.common = t.tracer.common(sort{kind: otlp.Client, of: m, to: u.Host}, m, func(b []byte) []byte {
		b = withText(b, semconv.HTTPRequestMethodKey, m)
		host, port, err := net.SplitHostPort(u.Host)
		if err != nil {
			host = u.Host
		}
		b = withText(b, semconv.ServerAddressKey, host)
		if n, err := strconv.ParseUint(port, 10, 16); err == nil {
			b = withInt(b, semconv.ServerPortKey, int64(n))
		}
		return b
	})
	t.last.Store(a)
	return a
}

// RoundTrip ends the span with the header of the answer.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !t.tracer.on() {
		delete(r.Header, TraceparentField)
		return t.base.RoundTrip(r)
	}
	a := t.aimed(r)
	var span httpSpan
	span.begin(t.tracer, around(r.Context()), time.Now(), a.common, ownURL, a.full)
	span.keep()
	if slot := r.Header[TraceparentField]; len(slot) == 1 && slot[0] == "" {
		slot[0] = span.context.String()
	} else {
		header := make(http.Header, len(r.Header)+1)
		for k, v := range r.Header {
			header[k] = v
		}
		header[TraceparentField] = []string{span.context.String()}
		sent := *r
		sent.Header = header
		r = &sent
	}
	res, err := t.base.RoundTrip(r)
	if err != nil {
		span.end(time.Now(), 0, true, err)
		return nil, err
	}
	span.end(time.Now(), res.StatusCode, res.StatusCode >= http.StatusBadRequest, nil)
	return res, nil
}

// CloseIdleConnections closes those of base.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
