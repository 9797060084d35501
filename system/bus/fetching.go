package bus

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetching is a fetch as kafka-go's connection takes it, and as kmsg writes
// and reads it. kafka-go reads an answer by reflection, record by record and
// field by field: with some eighty partitions that was a twentieth of all that
// a busy pipeline did.
type fetching struct{ kmsg.FetchRequest }

// newFetching asks for what is there, and waits for at most wait, in ms, where
// there is nothing.
func newFetching(wait int64) *fetching {
	f := &fetching{kmsg.NewFetchRequest()}
	f.MaxWaitMillis = int32(wait)
	f.MinBytes = 1
	f.MaxBytes = fetchMaxBytes
	f.SessionEpoch = -1
	return f
}

// add asks for what follows p.
func (f *fetching) add(p *position) {
	part := kmsg.NewFetchRequestTopicPartition()
	part.Partition = int32(p.partition)
	part.FetchOffset = p.offset
	part.PartitionMaxBytes = partitionMaxBytes
	for i := range f.Topics {
		if t := &f.Topics[i]; t.Topic == p.topic {
			t.Partitions = append(t.Partitions, part)
			return
		}
	}
	t := kmsg.NewFetchRequestTopic()
	t.Topic = p.topic
	t.Partitions = append(t.Partitions, part)
	f.Topics = append(f.Topics, t)
}

// ApiKey, Prepare, Required and RawExchange are for kafka-go's connection.
func (*fetching) ApiKey() protocol.ApiKey                   { return protocol.Fetch }
func (f *fetching) Prepare(version int16)                   { f.Version = version }
func (*fetching) Required(_ map[protocol.ApiKey]int16) bool { return true }

var formatter = kmsg.NewRequestFormatter(kmsg.FormatterClientID(clientID))

// mostAnswered bounds an answer, in bytes. A broker keeps to what it was asked
// for except where a single batch is longer.
const mostAnswered = 256 << 20

var bodies = sync.Pool{New: func() any { return new([]byte) }}

// RawExchange asks and reads the answer, a *fetched.
func (f *fetching) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	const correlation = 1 // there is one request at a time
	if _, err := rw.Write(formatter.AppendRequest(nil, &f.FetchRequest, correlation)); err != nil {
		return nil, err
	}
	var head [8]byte
	if _, err := io.ReadFull(rw, head[:]); err != nil {
		return nil, err
	}
	size, answers := int(int32(binary.BigEndian.Uint32(head[:])))-4, binary.BigEndian.Uint32(head[4:])
	if size < 0 || size > mostAnswered || answers != correlation {
		return nil, fmt.Errorf("an answer of %d bytes to request %d, which was %d", size, answers, correlation)
	}
	got := &fetched{body: bodies.Get().(*[]byte)}
	got.Version = f.Version
	if cap(*got.body) < size {
		*got.body = make([]byte, size)
	}
	body := (*got.body)[:size]
	if _, err := io.ReadFull(rw, body); err != nil {
		got.release()
		return nil, err
	}
	if err := got.ReadFrom(body); err != nil {
		got.release()
		return nil, err
	}
	return got, nil
}

// fetched is the answer to a fetch. Its records are good until it is released.
type fetched struct {
	kmsg.FetchResponse
	body *[]byte
}

// ApiKey is for kafka-go's connection.
func (*fetched) ApiKey() protocol.ApiKey { return protocol.Fetch }

func (f *fetched) release() { bodies.Put(f.body) }
