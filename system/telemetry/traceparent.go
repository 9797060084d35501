package telemetry

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/rand/v2"

	"github.com/ordbench/ordbench/system/telemetry/otlp"
)

// spanContext names a span to others. The zero names none.
type spanContext struct {
	trace   otlp.TraceID
	id      otlp.SpanID
	sampled bool
}

func (c spanContext) valid() bool { return c.trace != otlp.TraceID{} }

// The length of a traceparent, and where its fields begin.
const (
	parentSize = len("00-0123456789abcdef0123456789abcdef-0123456789abcdef-01")
	traceAt    = 3
	spanAt     = 36
	flagsAt    = 53
)

// parseTraceparent reads what W3C Trace Context calls traceparent; the zero is
// for one that names no span. Later versions may append fields.
func parseTraceparent(s string) spanContext {
	if len(s) < parentSize || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return spanContext{}
	}
	var c spanContext
	var version, flags [1]byte
	if !lowerHex(version[:], s[:2]) || !lowerHex(c.trace[:], s[traceAt:35]) || !lowerHex(c.id[:], s[spanAt:52]) || !lowerHex(flags[:], s[flagsAt:parentSize]) {
		return spanContext{}
	}
	longer := len(s) > parentSize
	if version[0] == 0xff || version[0] == 0 && (longer || flags[0] > 3) || longer && s[parentSize] != '-' ||
		c.trace == (otlp.TraceID{}) || c.id == (otlp.SpanID{}) {
		return spanContext{}
	}
	c.sampled = flags[0]&1 != 0
	return c
}

// lowerHex decodes hex digits of which none is a capital.
func lowerHex(to []byte, digits string) bool {
	var all byte
	for i := range to {
		hi, lo := nibbles[digits[2*i]], nibbles[digits[2*i+1]]
		all |= hi | lo
		to[i] = hi<<4 | lo&15
	}
	return all <= 15
}

// nibbles is what each digit stands for, more than 15 for what is none.
var nibbles = func() (n [256]byte) {
	for c := range n {
		n[c] = 0xff
	}
	for i, c := range "0123456789abcdef" {
		n[c] = byte(i)
	}
	return n
}()

// String is the traceparent of c, "" if c names no span.
func (c spanContext) String() string {
	if !c.valid() {
		return ""
	}
	b := [parentSize]byte{0: '0', 1: '0', 2: '-', 35: '-', 52: '-', 53: '0', 54: '0'}
	hex.Encode(b[traceAt:], c.trace[:])
	hex.Encode(b[spanAt:], c.id[:])
	if c.sampled {
		b[54] = '1'
	}
	return string(b[:])
}

// child names a new span of the trace of parent, or of a new trace if parent
// names none. A trace is sampled as a whole, by its id, so that all who see
// it agree.
func child(parent spanContext, sample float64) spanContext {
	c := parent
	if !parent.valid() {
		putRandom(c.trace[:8])
		putRandom(c.trace[8:])
		c.sampled = sampled(c.trace, sample)
	}
	putRandom(c.id[:])
	return c
}

// sampled tells whether a trace belongs to a share of all.
func sampled(trace otlp.TraceID, share float64) bool {
	if share >= 1 {
		return true
	}
	var n uint64
	for _, c := range trace[8:] {
		n = n<<8 | uint64(c)
	}
	return float64(n>>1) < share*math.MaxInt64
}

// putRandom fills 8 bytes, not all of them 0.
func putRandom(b []byte) {
	binary.LittleEndian.PutUint64(b, rand.Uint64()|1<<32)
}

type spanKey struct{}

// within is ctx within a span.
func within(ctx context.Context, c spanContext) context.Context {
	return context.WithValue(ctx, spanKey{}, c)
}

// around is the span that ctx is within, for others to know.
func around(ctx context.Context) spanContext {
	switch v := ctx.Value(spanKey{}).(type) {
	case spanContext:
		return v
	case *httpSpan:
		v.keep()
		return v.context
	}
	return spanContext{}
}

// Traceparent is the span of ctx as W3C Trace Context writes it, "" if there
// is none.
func Traceparent(ctx context.Context) string { return around(ctx).String() }

// Continue is ctx within the span that a traceparent names, for what is
// logged of a message whose span has not begun.
func Continue(ctx context.Context, traceparent string) context.Context {
	if c := parseTraceparent(traceparent); c.valid() {
		return within(ctx, c)
	}
	return ctx
}
