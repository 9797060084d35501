package spool

import (
	"errors"
	"testing"

	"github.com/ordbench/ordbench/system/telemetry/otlp"
)

// Packed spans are the same spans.
func TestPackedSpansAreWhatTheyWere(t *testing.T) {
	s, err := Open("", "", resource("order"), keys)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const spans = 5000
	for n := range spans {
		finish(s, begin(s, n+1))
	}
	away := errors.New("the collector is away")
	if err := s.DrainPacked(func(_, _ []byte) error { return away }); !errors.Is(err, away) {
		t.Errorf("drained: %v", err)
	}
	got := newCollected()
	var sizes []int
	send := func(head, list []byte) error {
		sizes = append(sizes, len(list))
		return got.send(head, list)
	}
	if err := s.DrainPacked(func(head, list []byte) error { return Unpack(append(head, list...), send) }); err != nil {
		t.Fatal(err)
	}
	if len(got.spans) != spans || !got.services["order"] || len(sizes) < 2 || sizes[0] > 2*sendSize {
		t.Errorf("%d spans of %d, of %v, in requests of %v", len(got.spans), spans, got.services, sizes)
	}
	for n, times := range got.spans {
		if times != 1 {
			t.Fatalf("span %d came %d times", n, times)
		}
	}
	if err := Unpack([]byte("no spans"), send); !errors.Is(err, errNotASpool) {
		t.Errorf("unpacked: %v", err)
	}
}

// entry is a span as a half has it.
func entry(s Span) []byte {
	s.size = uint32(len(s.Own))
	b := append(s.bytes(), s.Own...)
	return append(b, make([]byte, entrySize(len(s.Own))-len(b))...)
}

// Whatever packed spans are, they are read or refused, and what is read is OTLP.
func FuzzUnpack(f *testing.F) {
	name := otlp.AppendName(nil, "span", otlp.Internal)
	plain := Span{Record: Record{TraceID: otlp.TraceID{1}, ID: spanID(1), Start: 1}, Own: append(own(1), AppendFields(nil, name)...)}
	short := Span{Record: Record{TraceID: otlp.TraceID{1}, ID: spanID(2), Start: 1, Template: 4}, Own: own(2)}
	templates := common{nil, []byte(keys[0]), []byte(keys[1]), []byte(keys[2]), name}
	whole := append(append(packedHead(resource("order"), templates), entry(plain)...), entry(short)...)
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Fuzz(func(t *testing.T, packed []byte) {
		err := Unpack(packed, func(head, list []byte) error {
			if len(list) == 0 {
				t.Fatal("a request without spans")
			}
			var scanner otlp.Scanner
			_, _ = scanner.Scan(append(head, list...), func(*otlp.Resource, *otlp.Span) error { return nil })
			return nil
		})
		if err != nil && !errors.Is(err, errNotASpool) {
			t.Fatal(err)
		}
	})
}
