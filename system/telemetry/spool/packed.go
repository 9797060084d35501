package spool

import (
	"bytes"
	"encoding/binary"
)

// PackedType is the media type of packed spans.
const PackedType = "application/vnd.ordbench.spans"

// packedMagic begins packed spans, in which no OTLP request begins like that:
// there its first byte is a tag of a kind that does not exist. Packed spans are
// that, the resource, the templates, both after their length of 4 bytes, and
// then spans as a half has them. As a request they are a third of what they are
// as OTLP, and nobody has to make that of them while the system is at work.
const packedMagic = "ordpack2"

// packedHead is what stands before the spans.
func packedHead(resource []byte, templates common) []byte {
	size := 0
	for _, t := range templates[1:] {
		size += 4 + len(t)
	}
	b := append(make([]byte, 0, len(packedMagic)+8+len(resource)+size), packedMagic...)
	b = append(binary.NativeEndian.AppendUint32(b, uint32(len(resource))), resource...)
	b = binary.NativeEndian.AppendUint32(b, uint32(size))
	for _, t := range templates[1:] {
		b = append(binary.NativeEndian.AppendUint32(b, uint32(len(t))), t...)
	}
	return b
}

// IsPacked tells packed spans from an OTLP request.
func IsPacked(request []byte) bool { return bytes.HasPrefix(request, []byte(packedMagic)) }

// Unpack makes OTLP requests of packed spans. The bytes that send is given are
// its own until it returns.
func Unpack(packed []byte, send Send) error {
	if !IsPacked(packed) {
		return errNotASpool
	}
	resource, rest, err := cutSized(packed[len(packedMagic):])
	if err != nil {
		return err
	}
	kept, rest, err := cutSized(rest)
	if err != nil {
		return err
	}
	templates, err := readTemplates(kept)
	if err != nil {
		return err
	}
	var list []byte
	for len(rest) > 0 {
		n, longer, err := templates.expand(list[:0], rest)
		if err != nil {
			return err
		}
		if list = longer; len(list) > 0 {
			if err := send(head(resource, len(list)), list); err != nil {
				return err
			}
		}
		rest = rest[n:]
	}
	return nil
}

// cutSized cuts bytes off that stand after their length.
func cutSized(b []byte) (part, rest []byte, err error) {
	if len(b) < 4 {
		return nil, nil, errNotASpool
	}
	size := binary.NativeEndian.Uint32(b)
	if b = b[4:]; uint64(size) > uint64(len(b)) {
		return nil, nil, errNotASpool
	}
	return b[:size], b[size:], nil
}
