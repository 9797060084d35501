package telemetry

import (
	"net"
	"net/http"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// httpSpan is the span of an exchange over HTTP. The zero is none.
type httpSpan struct{ trace.Span }

// serve begins the span of a request that a route answers; route is a method
// and a path pattern. The request it returns carries the span.
func (t *Tracer) serve(r *http.Request, route string, believe func(*http.Request) bool) (*http.Request, httpSpan) {
	if t == nil {
		return r, httpSpan{}
	}
	ctx := r.Context()
	if believe == nil || believe(r) {
		ctx = w3c.Extract(ctx, propagation.HeaderCarrier(r.Header))
	}
	_, pattern, _ := strings.Cut(route, " ")
	ctx, span := t.tracer.Start(ctx, route, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		method(r.Method), semconv.HTTPRoute(pattern), semconv.URLPath(r.URL.Path), scheme(r),
	))
	return r.WithContext(ctx), httpSpan{span}
}

// end ends the span with the code of the answer, 0 if there was none.
func (s httpSpan) end(code int) {
	if s.Span == nil {
		return
	}
	if code != 0 {
		s.SetAttributes(semconv.HTTPResponseStatusCode(code))
	}
	if code >= http.StatusInternalServerError || code == StatusHungUp {
		s.SetAttributes(semconv.ErrorTypeKey.String(strconv.Itoa(code)))
		s.SetStatus(codes.Error, "")
	}
	s.End()
}

// method is an attribute of few values, whatever a client makes up.
func method(m string) attribute.KeyValue {
	switch m {
	case http.MethodGet, http.MethodPost, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions:
		return semconv.HTTPRequestMethodKey.String(m)
	}
	return semconv.HTTPRequestMethodOther
}

func scheme(r *http.Request) attribute.KeyValue {
	if r.TLS != nil {
		return semconv.URLScheme("https")
	}
	return semconv.URLScheme("http")
}

// Transport makes a span of each exchange over base and tells the other side
// of it. A nil Tracer returns base as it is.
func (t *Tracer) Transport(base http.RoundTripper) http.RoundTripper {
	if t == nil {
		return base
	}
	return transport{t, base}
}

type transport struct {
	tracer *Tracer
	base   http.RoundTripper
}

// RoundTrip ends the span with the header of the answer.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	host, port, err := net.SplitHostPort(r.URL.Host)
	if err != nil {
		host = r.URL.Host
	}
	number, _ := strconv.Atoi(port)
	ctx, span := t.tracer.tracer.Start(r.Context(), r.Method, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		method(r.Method), semconv.ServerAddress(host), semconv.ServerPort(number), semconv.URLFull(r.URL.String()),
	))
	header := make(http.Header, len(r.Header)+1) // the caller's may be in use elsewhere
	for k, v := range r.Header {
		header[k] = v
	}
	r = r.WithContext(ctx)
	r.Header = header
	if sc := span.SpanContext(); sc.IsValid() {
		header["Traceparent"] = []string{traceparent(sc)}
	}
	res, err := t.base.RoundTrip(r)
	if err != nil {
		span.SetAttributes(semconv.ErrorTypeOther)
		span.SetStatus(codes.Error, err.Error())
		span.End()
		return nil, err
	}
	code := res.StatusCode
	span.SetAttributes(semconv.HTTPResponseStatusCode(code))
	if code >= http.StatusBadRequest {
		span.SetAttributes(semconv.ErrorTypeKey.String(strconv.Itoa(code)))
		span.SetStatus(codes.Error, "")
	}
	span.End()
	return res, nil
}

// CloseIdleConnections closes those of base.
func (t transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
