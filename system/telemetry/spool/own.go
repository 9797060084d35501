package spool

import (
	"encoding/binary"

	"github.com/ordbench/ordbench/system/telemetry/otlp"
)

// Key is the name of an attribute that spans have of their own: 1 for the first
// of those that Open was given.
type Key byte

// mostKeys is how many an item has room for.
const mostKeys = 63

// What spans have of their own is a list of items: a tag, which is the kind of
// the item and the key above that, and then the value. A text is its length and
// its bytes, as are fields, a number is itself; lengths and numbers are varints.
const (
	itemFields = iota // of an OTLP span, as they are; without a key
	itemText
	itemInt
	itemYes // true; without a value

	kindBits = 2
)

func appendTag(own []byte, kind byte, key Key) []byte {
	return append(own, byte(key)<<kindBits|kind)
}

// AppendText appends a text attribute to what a span has of its own.
func AppendText(own []byte, key Key, text string) []byte {
	own = binary.AppendUvarint(appendTag(own, itemText, key), uint64(len(text)))
	return append(own, text...)
}

// AppendInt appends an integer attribute.
func AppendInt(own []byte, key Key, n int64) []byte {
	return binary.AppendUvarint(appendTag(own, itemInt, key), uint64(n))
}

// AppendYes appends an attribute that is true.
func AppendYes(own []byte, key Key) []byte { return appendTag(own, itemYes, key) }

// AppendFields appends fields of an OTLP span.
func AppendFields(own, fields []byte) []byte {
	if len(fields) == 0 {
		return own
	}
	own = binary.AppendUvarint(appendTag(own, itemFields, 0), uint64(len(fields)))
	return append(own, fields...)
}

// fields appends what a span has of its own as OTLP.
func (c common) fields(b, own []byte) ([]byte, error) {
	for len(own) > 0 {
		kind, key := own[0]&(1<<kindBits-1), Key(own[0]>>kindBits)
		own = own[1:]
		var name string
		if kind != itemFields {
			if key == 0 || int(key) >= len(c) {
				return nil, errNotASpool
			}
			name = string(c[key])
		}
		if kind == itemYes {
			b = otlp.AppendBool(b, otlp.OfSpan, name, true)
			continue
		}
		value, n := binary.Uvarint(own)
		if n <= 0 {
			return nil, errNotASpool
		}
		own = own[n:]
		if kind == itemInt {
			b = otlp.AppendInt(b, otlp.OfSpan, name, int64(value))
			continue
		}
		if value > uint64(len(own)) {
			return nil, errNotASpool
		}
		if kind == itemText {
			b = otlp.AppendText(b, otlp.OfSpan, name, string(own[:value]))
		} else {
			b = append(b, own[:value]...)
		}
		own = own[value:]
	}
	return b, nil
}
