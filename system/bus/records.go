package bus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"
	"unsafe"

	"github.com/segmentio/kafka-go/compress"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Where a batch of records has what, and what its attributes say: record
// batches of the Kafka protocol, magic 2.
const (
	batchLengthAt = 8
	batchHead     = 12 // what its length does not count
	batchCRCAt    = 17
	batchSummedAt = 21 // the CRC is over what follows
	batchLeast    = 49 // the length of one without records
	batchMagic    = 2

	compressed = 0x07
	control    = 0x20 // says how a transaction ended, and is for no consumer
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errUnread = errors.New("records cannot be read")

// records hands yield the records of a partition from offset on, in order. raw
// is batches as a broker sends them: it may begin before offset, and its last
// batch may be cut off, which is then left for the next fetch. The message and
// what it holds are yield's own. next is the offset to go on at. An error is
// yield's, or errUnread.
func records(raw []byte, topic string, partition int, offset int64, yield func(Message) error) (next int64, err error) {
	for len(raw) >= batchHead {
		length := int(int32(binary.BigEndian.Uint32(raw[batchLengthAt:])))
		if length < batchLeast {
			return offset, fmt.Errorf("%w: the length of a batch is %d", errUnread, length)
		}
		if len(raw)-batchHead < length {
			return offset, nil
		}
		whole := raw[:batchHead+length]
		raw = raw[len(whole):]
		if offset, err = batch(whole, topic, partition, offset, yield); err != nil {
			return offset, err
		}
	}
	return offset, nil
}

// batch is records for one batch that is whole.
func batch(raw []byte, topic string, partition int, offset int64, yield func(Message) error) (next int64, err error) {
	var b kmsg.RecordBatch
	if err := b.ReadFrom(raw); err != nil {
		return offset, fmt.Errorf("%w: %w", errUnread, err)
	}
	if b.Magic != batchMagic {
		return offset, fmt.Errorf("%w: their format is %d, not %d", errUnread, b.Magic, batchMagic)
	}
	if sum := crc32.Checksum(raw[batchSummedAt:], castagnoli); sum != binary.BigEndian.Uint32(raw[batchCRCAt:]) {
		return offset, fmt.Errorf("%w: the checksum of a batch is %08x", errUnread, sum)
	}
	end := b.FirstOffset + int64(b.LastOffsetDelta) + 1
	if end <= offset || b.Attributes&control != 0 {
		return max(offset, end), nil
	}
	list := b.Records
	if codec := compress.Compression(b.Attributes & compressed); codec != compress.None {
		if list, err = inflate(codec, list); err != nil {
			return offset, err
		}
	}
	var r kmsg.Record
	for range b.NumRecords {
		length, n := binary.Varint(list)
		if n <= 0 || length < 0 || length > int64(len(list)-n) {
			return offset, fmt.Errorf("%w: one is cut off", errUnread)
		}
		size := n + int(length)
		own := bytes.Clone(list[:size]) // for all that the message holds
		if err := r.UnsafeReadFrom(own); err != nil {
			return offset, fmt.Errorf("%w: %w", errUnread, err)
		}
		list = list[size:]
		at := b.FirstOffset + int64(r.OffsetDelta)
		if at < offset {
			continue // it was read before
		}
		m := Message{
			Topic:     topic,
			Partition: partition,
			Offset:    at,
			Key:       text(r.Key),
			Value:     r.Value[:len(r.Value):len(r.Value)],
			Headers:   headersOf(r.Headers),
			Time:      time.UnixMilli(b.FirstTimestamp + r.TimestampDelta64),
		}
		if err := yield(m); err != nil {
			return offset, err
		}
		offset = at + 1
	}
	// The last ones may have been removed from the log.
	return max(offset, end), nil
}

// text is bytes that nobody changes any more, as they are.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// headersOf are the headers of a record; nil if it has none.
func headersOf(list []kmsg.Header) []Header {
	if len(list) == 0 {
		return nil
	}
	out := make([]Header, len(list))
	for i, h := range list {
		out[i] = Header{Key: h.Key, Value: text(h.Value)}
	}
	return out
}

// inflated bounds what becomes of a batch, in bytes.
const inflated = 256 << 20

func inflate(c compress.Compression, list []byte) ([]byte, error) {
	codec := c.Codec()
	if codec == nil {
		return nil, fmt.Errorf("%w: they are compressed by method %d", errUnread, c)
	}
	from := codec.NewReader(bytes.NewReader(list))
	defer from.Close()
	plain, err := io.ReadAll(io.LimitReader(from, inflated+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnread, err)
	}
	if len(plain) > inflated {
		return nil, fmt.Errorf("%w: a batch has more than %d bytes", errUnread, inflated)
	}
	return plain, nil
}
