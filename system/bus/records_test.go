package bus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"reflect"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/compress"
	"github.com/segmentio/kafka-go/protocol"
)

// written are messages as kafka-go writes a batch of them, the first of which
// has the offset base.
func written(t testing.TB, base int64, codec compress.Compression, msgs ...Message) []byte {
	t.Helper()
	list := make([]protocol.Record, len(msgs))
	for i, m := range msgs {
		list[i] = protocol.Record{Offset: int64(i), Time: m.Time, Key: key(m.Key), Value: protocol.NewBytes(m.Value), Headers: headers(m.Headers)}
	}
	var out bytes.Buffer
	set := protocol.RecordSet{Version: batchMagic, Attributes: protocol.Attributes(codec), Records: protocol.NewRecordReader(list...)}
	if _, err := set.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	batch := out.Bytes()[4:] // behind its size
	binary.BigEndian.PutUint64(batch, uint64(base))
	return batch
}

// told is a message of a test, as it comes back.
func told(offset int64, headers ...Header) Message {
	return Message{
		Topic: "orders", Partition: 3, Offset: offset, Key: fmt.Sprint("key-", offset), Value: fmt.Append(nil, "value ", offset),
		Headers: headers, Time: time.UnixMilli(1_700_000_000_000 + offset),
	}
}

// collect reads raw from offset on.
func collect(raw []byte, offset int64) (got []Message, next int64, err error) {
	next, err = records(raw, "orders", 3, offset, func(m Message) error {
		got = append(got, m)
		return nil
	})
	return got, next, err
}

func TestRecordsAreThoseThatWereWritten(t *testing.T) {
	t.Parallel()
	traced := Header{Traceparent, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	all := []Message{told(10, traced), told(11), told(12, Header{"a", "1"}, Header{"b", ""}), told(13, traced)}
	for codec := compress.None; codec <= compress.Zstd; codec++ {
		first, second := written(t, 10, codec, all[:3]...), written(t, 13, codec, all[3])
		both := append(append([]byte{}, first...), second...)
		for _, c := range []struct {
			what   string
			raw    []byte
			offset int64
			want   []Message
			next   int64
		}{
			{"nothing", nil, 10, nil, 10},
			{"all", both, 10, all, 14},
			{"from the middle of a batch", both, 12, all[2:], 14},
			{"from behind a batch", both, 13, all[3:], 14},
			{"from behind all", both, 20, nil, 20},
			{"the last batch cut off", both[:len(both)-1], 10, all[:3], 13},
			{"the last head cut off", both[:len(first)+batchHead-1], 10, all[:3], 13},
		} {
			got, next, err := collect(c.raw, c.offset)
			if err != nil || next != c.next || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s, %s: %v, next %d, %v; want %v, next %d", codec, c.what, got, next, err, c.want, c.next)
			}
		}
	}
}

func TestRecordsStopWhereTheyAreTold(t *testing.T) {
	t.Parallel()
	full := errors.New("full")
	raw := written(t, 5, compress.None, told(5), told(6), told(7))
	next, err := records(raw, "orders", 3, 5, func(m Message) error {
		if m.Offset == 6 {
			return full
		}
		return nil
	})
	if !errors.Is(err, full) || errors.Is(err, errUnread) || next != 6 {
		t.Errorf("next %d, %v", next, err)
	}
}

// What a broker says of itself, and what a log no longer has, is not waited for.
func TestRecordsGoOnBehindWhatIsForNobody(t *testing.T) {
	t.Parallel()
	raw := written(t, 5, compress.None, told(5), told(6))
	attributes := raw[batchSummedAt:]
	attributes[1] |= control
	resum(raw)
	if got, next, err := collect(raw, 5); err != nil || len(got) != 0 || next != 7 {
		t.Errorf("control batch: %v, next %d, %v", got, next, err)
	}
	attributes[1] &^= control
	binary.BigEndian.PutUint32(raw[23:], 9) // the last offset of the batch: five were removed
	resum(raw)
	if got, next, err := collect(raw, 5); err != nil || len(got) != 2 || next != 15 {
		t.Errorf("compacted batch: %v, next %d, %v", got, next, err)
	}
}

func TestRecordsThatAreBrokenAreNotRead(t *testing.T) {
	t.Parallel()
	whole := written(t, 5, compress.None, told(5), told(6))
	for what, harm := range map[string]func([]byte){
		"a bit flipped":     func(b []byte) { b[len(b)-2] ^= 1 },
		"an older format":   func(b []byte) { b[16] = 1; resum(b) },
		"no such codec":     func(b []byte) { b[batchSummedAt+1] |= 7; resum(b) },
		"not gzip":          func(b []byte) { b[batchSummedAt+1] |= 1; resum(b) },
		"no room for it":    func(b []byte) { binary.BigEndian.PutUint32(b[batchLengthAt:], 3) },
		"a negative length": func(b []byte) { binary.BigEndian.PutUint32(b[batchLengthAt:], 1<<31) },
		"more than it has":  func(b []byte) { binary.BigEndian.PutUint32(b[57:], 3); resum(b) },
		"a record too long": func(b []byte) { b[61] = 0x7e; resum(b) },
	} {
		raw := bytes.Clone(whole)
		harm(raw)
		if got, next, err := collect(raw, 5); !errors.Is(err, errUnread) || next > 7 || next < 5 || len(got) > 2 {
			t.Errorf("%s: %v, next %d, %v", what, got, next, err)
		}
	}
}

// FuzzRecords holds the reading of batches to kafka-go's writing of them, and
// to sense whatever the bytes are.
func FuzzRecords(f *testing.F) {
	f.Add("key", []byte("value"), "traceparent", "00-1", uint8(0), uint8(0), []byte{})
	f.Add("", []byte{}, "", "", uint8(4), uint8(1), written(f, 0, compress.None, told(0), told(1)))
	f.Fuzz(func(t *testing.T, k string, value []byte, name, text string, codec, from uint8, raw []byte) {
		m := Message{Topic: "orders", Partition: 3, Offset: 7, Key: k, Value: value, Headers: []Header{{name, text}}, Time: time.UnixMilli(1)}
		batch := written(t, 7, compress.Compression(codec%5), m)
		got, next, err := collect(batch, 7)
		if len(m.Value) == 0 && len(got) == 1 && len(got[0].Value) == 0 {
			m.Value = got[0].Value // none and empty are the same here
		}
		if err != nil || next != 8 || len(got) != 1 || !reflect.DeepEqual(got[0], m) {
			t.Fatalf("%v, next %d, %v; want %v", got, next, err, m)
		}
		if len(raw) > batchSummedAt {
			resum(raw) // so that more than the checksum is seen
		}
		if _, next, err = collect(raw, int64(from)); next < int64(from) || err != nil && !errors.Is(err, errUnread) {
			t.Fatalf("from %d: next %d, %v", from, next, err)
		}
	})
}

// resum gives the first batch of raw the checksum of what it has now.
func resum(raw []byte) {
	whole := raw
	if length := int(int32(binary.BigEndian.Uint32(raw[batchLengthAt:]))); length >= batchLeast && length <= len(raw)-batchHead {
		whole = raw[:batchHead+length]
	}
	binary.BigEndian.PutUint32(whole[batchCRCAt:], crc32.Checksum(whole[batchSummedAt:], castagnoli))
}

// A fetch of many partitions, some of which have something.
func BenchmarkRecords(b *testing.B) {
	msgs := make([]Message, 16)
	for i := range msgs {
		msgs[i] = told(int64(i), Header{Traceparent, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
	}
	raw := written(b, 0, compress.None, msgs...)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := collect(raw, 0); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/16, "ns/record")
}
