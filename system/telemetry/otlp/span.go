// Package otlp reads and writes traces as the OpenTelemetry protocol carries
// them: a Scanner walks through an export request without allocating, the
// Append functions write one, and a Receiver takes requests from exporters.
//
// The invariant: what the Scanner accepts it reads as the generated code of
// go.opentelemetry.io/proto/otlp does, so that a span means here what it means
// to every other collector. That code allocates for each attribute, which
// would cost more than the spans themselves.
package otlp

import "bytes"

// TraceID names a trace.
type TraceID [16]byte

// SpanID names a span within its trace; the zero is no span.
type SpanID [8]byte

// Kind is what a span is to its neighbours.
type Kind int32

// The kinds.
const (
	Internal Kind = 1
	Server   Kind = 2
	Client   Kind = 3
	Producer Kind = 4
	Consumer Kind = 5
)

// StatusError is the status of a span that failed.
const StatusError = 2

// Span is one span of a request. Its slices alias the request and are good
// until the function that was given it returns.
type Span struct {
	TraceID    TraceID
	ID         SpanID
	Parent     SpanID
	Name       []byte
	Kind       Kind
	Start, End uint64 // nanoseconds of the Unix epoch
	Status     int32
	Message    []byte // of the status
	Attributes []Attribute
	Links      []Link
}

// Attribute is one attribute of a span or of its resource. Values that are no
// string, bool, int or double are left out.
type Attribute struct {
	Key    []byte
	Text   []byte  // of a string
	Int    int64   // of an int; 1 for a bool that is true
	Double float64 // of a double
}

// Link names a span of another trace, or of the same.
type Link struct {
	TraceID TraceID
	ID      SpanID
}

// Resource is who made the spans.
type Resource struct{ Attributes []Attribute }

// Text is the value of a string attribute; nil if there is none.
func (s *Span) Text(key string) []byte { return text(s.Attributes, key) }

// Text is the value of a string attribute; nil if there is none.
func (r *Resource) Text(key string) []byte { return text(r.Attributes, key) }

// Int is the value of an integer or bool attribute, 0 if there is none.
func (s *Span) Int(key string) int64 {
	if a := find(s.Attributes, key); a != nil {
		return a.Int
	}
	return 0
}

func text(list []Attribute, key string) []byte {
	if a := find(list, key); a != nil {
		return a.Text
	}
	return nil
}

func find(list []Attribute, key string) *Attribute {
	for i := range list {
		if bytes.Equal(list[i].Key, []byte(key)) { // does not allocate
			return &list[i]
		}
	}
	return nil
}
