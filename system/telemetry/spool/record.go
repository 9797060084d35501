package spool

import (
	"unsafe"

	"github.com/ordbench/ordbench/system/telemetry/otlp"
)

// Record is what every span has of its own. The file has it as memory does: it
// is read on the machine on which it was written, or on one of the same kind.
type Record struct {
	TraceID    otlp.TraceID
	ID, Parent otlp.SpanID
	Start, End uint64 // nanoseconds of the Unix epoch
	Template   Template
	size       uint32 // bytes of its own attributes, which follow
}

// Template is what spans have in common, by its number. The zero is nothing.
type Template uint32

const recordSize = int(unsafe.Sizeof(Record{}))

// bytes is the record itself.
func (r *Record) bytes() []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(r)), recordSize)
}

// Span is a span on its way. Own is what it has beside its record and its
// template, made by AppendText and its like.
type Span struct {
	Record
	Own  []byte
	held int // one more than its slot; 0: it has none
}

// entrySize is what a span takes of a half that has size bytes of its own.
func entrySize(size int) int { return recordSize + (size+7)&^7 }

// readEntry reads the first span of a half, and says how long it is there.
func readEntry(half []byte) (r Record, own []byte, size int, err error) {
	if len(half) < recordSize {
		return Record{}, nil, 0, errNotASpool
	}
	copy(r.bytes(), half)
	if size = entrySize(int(r.size)); size > len(half) {
		return Record{}, nil, 0, errNotASpool
	}
	return r, half[recordSize:][:r.size], size, nil
}

// common is what spans have in common: templates by number, of which the first
// is nothing. Those that come next are names of keys.
type common [][]byte

// append appends a span, as OTLP, to a list; tail are fields that it has besides.
func (c common) append(list []byte, r *Record, own, tail []byte) ([]byte, error) {
	if int(r.Template) >= len(c) {
		return nil, errNotASpool
	}
	var start, end [64]byte
	var few [512]byte
	fields, err := c.fields(few[:0], own)
	if err != nil {
		return nil, err
	}
	return otlp.AppendSpan(list, otlp.AppendStart(start[:0], r.TraceID, r.ID, r.Parent, r.Start),
		fields, c[r.Template], tail, otlp.AppendEnd(end[:0], r.End)), nil
}

// expand appends spans of a half, as OTLP, to a list until it is long enough, and
// says how many bytes of the half these were.
func (c common) expand(list, half []byte) (n int, longer []byte, err error) {
	for n < len(half) && len(list) < sendSize {
		r, own, size, err := readEntry(half[n:])
		if err != nil {
			return 0, nil, err
		}
		if list, err = c.append(list, &r, own, nil); err != nil {
			return 0, nil, err
		}
		n += size
	}
	return n, list, nil
}
