package otlp

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Scanner walks through requests. It keeps its memory from one to the next,
// and is for one goroutine.
type Scanner struct {
	resource Resource
	span     Span
}

var errMalformed = errors.New("not an OTLP trace request")

// Scan hands each span of an ExportTraceServiceRequest to fn. A span whose
// ids are not of the right length is no span of any trace; malformed counts
// those. An error of fn ends the scan and is returned as it is.
func (s *Scanner) Scan(request []byte, fn func(*Resource, *Span) error) (malformed int, err error) {
	err = fields(request, func(num protowire.Number, v value) error {
		if num != 1 || v.kind != protowire.BytesType {
			return nil
		}
		n, err := s.resourceSpans(v.bytes, fn)
		malformed += n
		return err
	})
	return malformed, err
}

func (s *Scanner) resourceSpans(b []byte, fn func(*Resource, *Span) error) (malformed int, err error) {
	s.resource.Attributes = s.resource.Attributes[:0]
	// The resource may stand behind its spans, so it is looked for first.
	err = fields(b, func(num protowire.Number, v value) error {
		if num != 1 || v.kind != protowire.BytesType {
			return nil
		}
		return fields(v.bytes, func(num protowire.Number, v value) error {
			if num != 1 || v.kind != protowire.BytesType {
				return nil
			}
			return attribute(&s.resource.Attributes, v.bytes)
		})
	})
	if err != nil {
		return 0, err
	}
	err = fields(b, func(num protowire.Number, v value) error {
		if num != 2 || v.kind != protowire.BytesType {
			return nil
		}
		return fields(v.bytes, func(num protowire.Number, v value) error {
			if num != 2 || v.kind != protowire.BytesType {
				return nil
			}
			whole, err := s.readSpan(v.bytes)
			if err != nil {
				return err
			}
			if !whole {
				malformed++
				return nil
			}
			return fn(&s.resource, &s.span)
		})
	})
	return malformed, err
}

// readSpan reads one span; whole is false if its ids are none.
func (s *Scanner) readSpan(b []byte) (whole bool, err error) {
	sp := &s.span
	*sp = Span{Attributes: sp.Attributes[:0], Links: sp.Links[:0]}
	traced, named, child := false, false, true
	err = fields(b, func(num protowire.Number, v value) error {
		switch {
		case num == 1 && v.kind == protowire.BytesType:
			traced = len(v.bytes) == len(sp.TraceID)
			copy(sp.TraceID[:], v.bytes)
		case num == 2 && v.kind == protowire.BytesType:
			named = len(v.bytes) == len(sp.ID)
			copy(sp.ID[:], v.bytes)
		case num == 4 && v.kind == protowire.BytesType:
			child = len(v.bytes) == len(sp.Parent) || len(v.bytes) == 0
			sp.Parent = SpanID{}
			copy(sp.Parent[:], v.bytes)
		case num == 5 && v.kind == protowire.BytesType:
			sp.Name = v.bytes
		case num == 6 && v.kind == protowire.VarintType:
			sp.Kind = Kind(v.number)
		case num == 7 && v.kind == protowire.Fixed64Type:
			sp.Start = v.number
		case num == 8 && v.kind == protowire.Fixed64Type:
			sp.End = v.number
		case num == 9 && v.kind == protowire.BytesType:
			return attribute(&sp.Attributes, v.bytes)
		case num == 13 && v.kind == protowire.BytesType:
			return link(&sp.Links, v.bytes)
		case num == 15 && v.kind == protowire.BytesType:
			return sp.readStatus(v.bytes)
		}
		return nil
	})
	return traced && named && child && sp.TraceID != TraceID{} && sp.ID != SpanID{}, err
}

func (s *Span) readStatus(b []byte) error {
	return fields(b, func(num protowire.Number, v value) error {
		switch {
		case num == 2 && v.kind == protowire.BytesType:
			s.Message = v.bytes
		case num == 3 && v.kind == protowire.VarintType:
			s.Status = int32(v.number)
		}
		return nil
	})
}

// link reads one link; one whose ids are not of the right length names
// nothing and is left out.
func link(list *[]Link, b []byte) error {
	var l Link
	traced, named := false, false
	err := fields(b, func(num protowire.Number, v value) error {
		switch {
		case num == 1 && v.kind == protowire.BytesType:
			traced = len(v.bytes) == len(l.TraceID)
			copy(l.TraceID[:], v.bytes)
		case num == 2 && v.kind == protowire.BytesType:
			named = len(v.bytes) == len(l.ID)
			copy(l.ID[:], v.bytes)
		}
		return nil
	})
	if err == nil && traced && named {
		*list = append(*list, l)
	}
	return err
}

// attribute reads one KeyValue.
func attribute(list *[]Attribute, b []byte) error {
	var a Attribute
	known := false
	err := fields(b, func(num protowire.Number, v value) error {
		switch {
		case num == 1 && v.kind == protowire.BytesType:
			a.Key = v.bytes
		case num == 2 && v.kind == protowire.BytesType:
			return fields(v.bytes, func(num protowire.Number, v value) error {
				was, wasKnown := a, known
				a.Text, a.Int, a.Double, known = nil, 0, 0, true // one of them: the last
				switch {
				case num == 1 && v.kind == protowire.BytesType:
					a.Text = v.bytes
				case num == 2 && v.kind == protowire.VarintType:
					a.Int = int64(min(v.number, 1))
				case num == 3 && v.kind == protowire.VarintType:
					a.Int = int64(v.number)
				case num == 4 && v.kind == protowire.Fixed64Type:
					a.Double = math.Float64frombits(v.number)
				case num >= 5 && num <= 7 && v.kind == protowire.BytesType, num == 8 && v.kind == protowire.VarintType:
					known = false // lists, maps, bytes and indices of strings
				default: // of no meaning here
					a, known = was, wasKnown
				}
				return nil
			})
		}
		return nil
	})
	if err == nil && known {
		*list = append(*list, a)
	}
	return err
}

// value is what a field holds.
type value struct {
	kind   protowire.Type
	bytes  []byte
	number uint64
}

// fields hands each field of a message to fn.
func fields(b []byte, fn func(protowire.Number, value) error) error {
	for len(b) > 0 {
		// Nearly all fields are bytes whose tag and length take a byte each.
		if tag := b[0]; tag&7 == byte(protowire.BytesType) && tag >= 8 && tag < 0x80 && len(b) >= 2 && b[1] < 0x80 && len(b) >= 2+int(b[1]) {
			end := 2 + int(b[1])
			v := value{kind: protowire.BytesType, bytes: b[2:end:end]}
			b = b[end:]
			if err := fn(protowire.Number(tag>>3), v); err != nil {
				return err
			}
			continue
		}
		num, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("%w: %w", errMalformed, protowire.ParseError(n))
		}
		b = b[n:]
		v := value{kind: kind}
		switch kind {
		case protowire.VarintType:
			v.number, n = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			v.number, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			v.bytes, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(num, kind, b)
		}
		if n < 0 {
			return fmt.Errorf("%w: %w", errMalformed, protowire.ParseError(n))
		}
		b = b[n:]
		if err := fn(num, v); err != nil {
			return err
		}
	}
	return nil
}
