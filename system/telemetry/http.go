package telemetry

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/ordbench/ordbench/system/telemetry/otlp"
	"github.com/ordbench/ordbench/system/telemetry/spool"
)

// TraceparentField is the header field of W3C Trace Context.
const TraceparentField = "Traceparent"

// httpSpan is the span of an exchange over HTTP, and of a request that is
// served the context. A nil one is none. It is for one goroutine.
type httpSpan struct {
	context.Context
	tracer  *Tracer
	context spanContext
	buf     *[]byte // nil: it is not sampled
	slot    int

	template spool.Template
}

// begin begins a span of an exchange; own is an attribute that it has beside the
// common ones.
func (t *Tracer) begin(parent spanContext, c common, own func([]byte) []byte) *httpSpan {
	s := &httpSpan{tracer: t, context: child(parent, t.sample)}
	if !s.context.sampled {
		return s
	}
	s.buf = scratch.Get().(*[]byte)
	start := nanos(time.Now())
	b := otlp.AppendStart((*s.buf)[:0], s.context.trace, s.context.id, parent.id, start)
	*s.buf = own(append(b, c.inline...))
	s.template, s.slot = c.template, t.box.Begin(start, c.template, *s.buf)
	return s
}

// Value is the span itself, or what the context around it has.
func (s *httpSpan) Value(key any) any {
	if key == (spanKey{}) {
		return s
	}
	return s.Context.Value(key)
}

// end ends the span with the code of the answer, or with what went wrong.
func (s *httpSpan) end(code int, failed bool, err error) {
	if s == nil || s.buf == nil {
		return
	}
	b := *s.buf
	if code != 0 {
		b = withInt(b, semconv.HTTPResponseStatusCodeKey, int64(code))
	}
	status, message := failure(err)
	if failed {
		status = otlp.StatusError
		kind := semconv.ErrorTypeOther.Value.AsString()
		if err == nil {
			kind = strconv.Itoa(code)
		}
		b = withText(b, semconv.ErrorTypeKey, kind)
	}
	stop := nanos(time.Now())
	b = otlp.AppendEnd(b, stop, status, message)
	s.tracer.box.Finish(stop, nil, spool.Begun{Slot: s.slot, Template: s.template, Span: b})
	*s.buf = b
	scratch.Put(s.buf)
	s.buf = nil
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
		return common{inline: rt.attributes(m, secure)(otlp.AppendName(nil, rt.name, otlp.Server))}
	case secure:
		return rt.secure
	}
	return rt.plain
}

// serve begins the span of a request that a route answers. The request it
// returns carries the span.
func (t *Tracer) serve(r *http.Request, rt *route, believe func(*http.Request) bool) (*http.Request, *httpSpan) {
	if t == nil {
		return r, nil
	}
	var parent spanContext
	if claim := r.Header[TraceparentField]; len(claim) == 1 && (believe == nil || believe(r)) {
		parent = parseTraceparent(claim[0])
	}
	span := t.begin(parent, rt.common(r), func(b []byte) []byte { return withText(b, semconv.URLPathKey, r.URL.Path) })
	span.Context = r.Context()
	return r.WithContext(span), span
}

// Annotate says on the span of ctx, if it is that of a request, which order
// the request is about. A replay is a request that brought back what an
// earlier one had placed. It is for the goroutine that answers the request.
func Annotate(ctx context.Context, orderID string, replay bool) {
	s, _ := ctx.Value(spanKey{}).(*httpSpan)
	if s == nil || s.buf == nil {
		return
	}
	*s.buf = withText(*s.buf, AttrOrder, orderID)
	if replay {
		*s.buf = withYes(*s.buf, AttrReplayed)
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
	full   []byte // url.full
}

// aimed is the aim of r.
func (t *transport) aimed(r *http.Request) *aim {
	m, u := method(r.Method), r.URL
	if last := t.last.Load(); last != nil && last.method == m && last.url == *u {
		return last
	}
	a := &aim{method: m, url: *u, full: withText(nil, semconv.URLFullKey, u.String())}
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
	a := t.aimed(r)
	span := t.tracer.begin(around(r.Context()), a.common, func(b []byte) []byte { return append(b, a.full...) })
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
		span.end(0, true, err)
		return nil, err
	}
	span.end(res.StatusCode, res.StatusCode >= http.StatusBadRequest, nil)
	return res, nil
}

// CloseIdleConnections closes those of base.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
