package otlp

import "google.golang.org/protobuf/encoding/protowire"

// A message grows by appending its fields, so what is known of a span when it
// starts is already a span, and what its end adds is appended behind it.

// AppendStart appends what is a span's own of what is known when it starts.
func AppendStart(b []byte, trace TraceID, id, parent SpanID, start uint64) []byte {
	b = appendBytes(b, 1, trace[:])
	b = appendBytes(b, 2, id[:])
	if parent != (SpanID{}) {
		b = appendBytes(b, 4, parent[:])
	}
	b = append(b, 7<<3|byte(protowire.Fixed64Type))
	return protowire.AppendFixed64(b, start)
}

// AppendName appends what spans share with others of their kind.
func AppendName(b []byte, name string, kind Kind) []byte {
	b = appendBytes(b, 5, name)
	return append(b, 6<<3|byte(protowire.VarintType), byte(kind))
}

// AppendEnd appends when a span ended.
func AppendEnd(b []byte, end uint64) []byte {
	b = append(b, 8<<3|byte(protowire.Fixed64Type))
	return protowire.AppendFixed64(b, end)
}

// AppendStatus appends how a span ended, which is nothing if it is not known to
// have failed.
func AppendStatus(b []byte, status int32, message string) []byte {
	if status == 0 && message == "" {
		return b
	}
	size := 0
	if message != "" {
		size += protowire.SizeTag(2) + protowire.SizeBytes(len(message))
	}
	if status != 0 {
		size += protowire.SizeTag(3) + protowire.SizeVarint(uint64(status))
	}
	b = protowire.AppendTag(b, 15, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	if message != "" {
		b = appendBytes(b, 2, message)
	}
	if status != 0 {
		b = protowire.AppendTag(b, 3, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(status))
	}
	return b
}

// AppendLink appends a link to a span.
func AppendLink(b []byte, l Link) []byte {
	const id, trace = 2 + len(l.ID), 2 + len(l.TraceID)
	b = append(b, 13<<3|byte(protowire.BytesType), byte(trace+id))
	b = appendBytes(b, 1, l.TraceID[:])
	return appendBytes(b, 2, l.ID[:])
}

// The attributes of a span are its field 9, those of a resource its field 1.
const (
	OfSpan     protowire.Number = 9
	OfResource protowire.Number = 1
)

// AppendText appends a string attribute.
func AppendText(b []byte, of protowire.Number, key, text string) []byte {
	if len(key)+len(text) < short {
		b = appendKey(b, of, key, 2+len(text))
		b = append(b, 1<<3|byte(protowire.BytesType), byte(len(text)))
		return append(b, text...)
	}
	return appendAttribute(b, of, key, protowire.SizeTag(1)+protowire.SizeBytes(len(text)), func(b []byte) []byte {
		return appendBytes(b, 1, text)
	})
}

// short is how long key and value of an attribute are, together, whose lengths
// all take a byte: nearly all are shorter, and half a dozen make up a span.
const short = 0x80 - 6

// appendKey is what stands before the value, of size bytes, of an attribute
// that is short.
func appendKey(b []byte, of protowire.Number, key string, size int) []byte {
	b = append(b, byte(of)<<3|byte(protowire.BytesType), byte(4+len(key)+size), 1<<3|byte(protowire.BytesType), byte(len(key)))
	b = append(b, key...)
	return append(b, 2<<3|byte(protowire.BytesType), byte(size))
}

// AppendBool appends a bool attribute.
func AppendBool(b []byte, of protowire.Number, key string, yes bool) []byte {
	return appendAttribute(b, of, key, protowire.SizeTag(2)+1, func(b []byte) []byte {
		b = protowire.AppendTag(b, 2, protowire.VarintType)
		return protowire.AppendVarint(b, protowire.EncodeBool(yes))
	})
}

// AppendInt appends an integer attribute.
func AppendInt(b []byte, of protowire.Number, key string, n int64) []byte {
	if size := 1 + protowire.SizeVarint(uint64(n)); len(key)+size < short {
		b = append(appendKey(b, of, key, size), 3<<3|byte(protowire.VarintType))
		return protowire.AppendVarint(b, uint64(n))
	}
	return appendAttribute(b, of, key, protowire.SizeTag(3)+protowire.SizeVarint(uint64(n)), func(b []byte) []byte {
		b = protowire.AppendTag(b, 3, protowire.VarintType)
		return protowire.AppendVarint(b, uint64(n))
	})
}

// AppendDouble appends a floating-point attribute; bits are those of the
// number.
func AppendDouble(b []byte, of protowire.Number, key string, bits uint64) []byte {
	return appendAttribute(b, of, key, protowire.SizeTag(4)+protowire.SizeFixed64(), func(b []byte) []byte {
		b = protowire.AppendTag(b, 4, protowire.Fixed64Type)
		return protowire.AppendFixed64(b, bits)
	})
}

func appendAttribute(b []byte, of protowire.Number, key string, size int, value func([]byte) []byte) []byte {
	b = protowire.AppendTag(b, of, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(protowire.SizeTag(1)+protowire.SizeBytes(len(key))+protowire.SizeTag(2)+protowire.SizeBytes(size)))
	b = appendBytes(b, 1, key)
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	return value(b)
}

// AppendSpan appends a whole span, in parts, as an element of a list of them,
// which is what AppendRequest takes.
func AppendSpan(b []byte, parts ...[]byte) []byte {
	size := 0
	for _, part := range parts {
		size += len(part)
	}
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	for _, part := range parts {
		b = append(b, part...)
	}
	return b
}

// AppendRequest appends the head of a request whose spans, a list made with
// AppendSpan, are size bytes long and follow it. The resource is a list of
// attributes.
func AppendRequest(b, resource []byte, scope, schemaURL string, size int) []byte {
	named := appendBytes(nil, 1, scope)
	spans := protowire.SizeTag(1) + protowire.SizeBytes(len(named)) + protowire.SizeTag(3) + protowire.SizeBytes(len(schemaURL)) + size
	all := protowire.SizeTag(1) + protowire.SizeBytes(len(resource)) + protowire.SizeTag(2) + protowire.SizeBytes(spans)
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(all))
	b = appendBytes(b, 1, resource)
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(spans))
	b = appendBytes(b, 1, named)
	return appendBytes(b, 3, schemaURL)
}

func appendBytes[T []byte | string](b []byte, num protowire.Number, v T) []byte {
	if num < 16 && len(v) < 0x80 {
		b = append(b, byte(num)<<3|byte(protowire.BytesType), byte(len(v)))
	} else {
		b = protowire.AppendTag(b, num, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(len(v)))
	}
	return append(b, v...)
}
