// Package spool keeps spans where the death of their process cannot lose
// them: Open a spool, Begin and Finish spans in it, and Drain it to a
// collector now and then. What a process left behind, Recover sends.
//
// Spans of one sort have most of their bytes in common, and those are kept once,
// as a Template; what is written for each span is a Record and the few
// attributes that are its own.
//
// The invariant: a span is in the hands of the kernel as soon as it has begun.
// The spool is a file in memory, shared with the page cache, so a write to it
// is a copy and no call, and what was written is there when the process is
// gone without notice. Of a span that had ended nothing is lost; one that had
// not is told of with the attribute Interrupted. Only a crash of the machine,
// or a collector that stays away for longer than the spool has room, loses
// spans, and Lost counts the latter.
package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ordbench/ordbench/system/telemetry/otlp"
)

// Interrupted is the attribute, true, of a span whose process was gone before
// the span had ended.
const Interrupted = "ordbench.interrupted"

// A spool is a head, then templates, then slots for the spans that have begun,
// then two halves for those that have ended: while one is sent the other is
// written. A span in a half is its Record, and then its own attributes, filled
// up to a multiple of 8 bytes; one in a slot has a word before that says whether
// there is one. A template is its length, 4 bytes, and its bytes; the first ones
// are the names of keys.
const (
	headSize     = 4096
	templateSize = 256 << 10 // one takes some 350
	slotSize     = 512       // a span takes some 100, and long URLs more
	slots        = 4096
	halfSize     = 4 << 20
	fileSize     = headSize + templateSize + slots*slotSize + 2*halfSize

	magicAt     = 0
	usedAt      = 8  // bytes of each half that count, 2 times 8
	beatAt      = 24 // the latest moment of which something is written
	templatesAt = 32 // bytes of the templates that count, 8
	resourceAt  = 40 // length, 4 bytes, and the resource

	slotHead = 8 // before the record in a slot
	ownLimit = slotSize - slotHead - recordSize
)

// magic says what the file is, and in which version.
const magic = "ordspan5"

// suffix of the files that Recover looks for.
const suffix = ".spans"

// head of a request that carries spans of a spool.
const (
	scope     = "github.com/ordbench/ordbench/system/telemetry"
	SchemaURL = "https://opentelemetry.io/schemas/1.43.0"
)

// Send gives one export request to a collector: first head, then spans. The
// bytes are its own until it returns.
type Send func(head, spans []byte) error

// sendSize is when a request is long enough: a buffer of that size stays in the
// cache of a processor while it is filled and sent.
const sendSize = 256 << 10

// Spool is the spool of one process.
type Spool struct {
	file     *os.File // nil: the spool is in the memory of the process alone
	mem      []byte
	resource []byte

	mu        sync.Mutex
	active    int // the half that is written
	free      []int
	templates common
	wake      chan struct{}

	sent int    // of the half that is not active, by calls of Drain that failed later
	buf  []byte // of Drain

	lost atomic.Uint64
}

// Open makes a spool in dir, in a file named after name; its resource is a
// list of attributes, and keys are those that spans have of their own. Without a
// dir the spool dies with the process.
func Open(dir, name string, resource []byte, keys []string) (*Spool, error) {
	if len(resource) > headSize-resourceAt-4 {
		return nil, fmt.Errorf("spool: the resource is %d bytes long", len(resource))
	}
	if len(keys) > mostKeys {
		return nil, fmt.Errorf("spool: %d keys are too many", len(keys))
	}
	s := &Spool{resource: resource, templates: make(common, 1), wake: make(chan struct{}, 1)}
	if dir == "" {
		s.mem = make([]byte, fileSize)
	} else if err := s.create(dir, name); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	s.free = make([]int, slots)
	for i := range s.free {
		s.free[i] = slots - 1 - i // the first are used the most, and stay in the cache
	}
	copy(s.mem[resourceAt+4:], resource)
	atomic.StoreUint32(s.word(resourceAt), uint32(len(resource)))
	copy(s.mem[magicAt:], magic)
	for _, key := range keys {
		s.Template([]byte(key)) // there is room
	}
	return s, nil
}

// create makes the file. It gets its name only once it is locked, so that
// nobody takes it for what a dead process left.
func (s *Spool) create(dir, name string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	path := filepath.Join(dir, fmt.Sprintf("%s-%d-%d", name, os.Getpid(), time.Now().UnixNano()))
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(lock(f), f.Truncate(fileSize))
	if err == nil {
		s.mem, err = unix.Mmap(int(f.Fd()), 0, fileSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	}
	if err == nil {
		err = os.Rename(path, path+suffix)
	}
	if err != nil {
		return errors.Join(err, os.Remove(path), f.Close())
	}
	s.file = f
	return nil
}

func (s *Spool) path() string { return s.file.Name() + suffix }

// lock takes the file for as long as it is open. The kernel lets it go when
// the process dies.
func lock(f *os.File) error {
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return nil
}

func (s *Spool) word(at int) *uint32  { return (*uint32)(unsafe.Pointer(&s.mem[at])) }
func (s *Spool) count(at int) *uint64 { return (*uint64)(unsafe.Pointer(&s.mem[at])) }
func (s *Spool) used(half int) *uint64 {
	return s.count(usedAt + 8*half)
}

func slotAt(i int) int    { return headSize + templateSize + i*slotSize }
func halfAt(half int) int { return slotAt(slots) + half*halfSize }

// Template keeps what spans have in common for as long as the spool lasts: a
// process makes few, once each. Where there is no room left ok is false, and
// every span needs to have it by itself.
func (s *Spool) Template(common []byte) (t Template, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mem == nil {
		return 0, false
	}
	used := s.count(templatesAt)
	kept := s.mem[headSize:][:*used:templateSize]
	if len(kept)+4+len(common) > templateSize || len(s.templates) > math.MaxUint16 {
		return 0, false
	}
	kept = append(binary.NativeEndian.AppendUint32(kept, uint32(len(common))), common...)
	s.templates = append(s.templates, kept[len(kept)-len(common):])
	atomic.StoreUint64(used, uint64(len(kept)))
	return Template(len(s.templates) - 1), true
}

// Begin notes a span that has begun, with what is known of it. One that has more
// of its own than a slot has room for, or one too many, is not kept until it
// ends.
func (s *Spool) Begin(span *Span) {
	s.mu.Lock()
	span.held = 0
	if s.mem != nil && len(s.free) > 0 && len(span.Own) <= ownLimit {
		slot := s.free[len(s.free)-1]
		s.free = s.free[:len(s.free)-1]
		span.held = slot + 1
		span.size = uint32(len(span.Own))
		at := slotAt(slot)
		copy(s.mem[at+slotHead:], span.bytes())
		copy(s.mem[at+slotHead+recordSize:], span.Own)
		// The mark comes last: a slot without one is empty.
		atomic.StoreUint32(s.word(at), 1)
		s.beat(span.Start)
	}
	s.mu.Unlock()
}

// beat notes a moment of which something is written. Those of a batch are one.
func (s *Spool) beat(at uint64) {
	if latest := s.count(beatAt); *latest != at {
		atomic.StoreUint64(latest, at)
	}
}

// Finish keeps spans that have ended, at the nanosecond given, until they are
// sent, whether Begin was given them or not. tail is what each of them has
// besides, made as Own is.
func (s *Spool) Finish(end uint64, tail []byte, spans []Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mem == nil {
		s.lost.Add(uint64(len(spans)))
		return
	}
	used := s.used(s.active)
	kept := s.mem[halfAt(s.active):][:*used:halfSize]
	for i := range spans {
		span := &spans[i]
		size := len(span.Own) + len(tail)
		if len(kept)+entrySize(size) > halfSize {
			s.lost.Add(1)
			continue
		}
		next := len(kept) + entrySize(size)
		span.End, span.size = end, uint32(size)
		kept = append(append(append(kept, span.bytes()...), span.Own...), tail...)[:next]
	}
	// The count comes after what it counts: what is behind it was never
	// written. The slots come last: until then they have the spans.
	atomic.StoreUint64(used, uint64(len(kept)))
	s.beat(end)
	for i := range spans {
		if slot := spans[i].held - 1; slot >= 0 {
			atomic.StoreUint32(s.word(slotAt(slot)), 0)
			s.free = append(s.free, slot)
		}
	}
	if len(kept) > halfSize/4 {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// Wake carries a token when the spool should be drained early.
func (s *Spool) Wake() <-chan struct{} { return s.wake }

// Lost counts the spans that had ended and for which there was no room.
func (s *Spool) Lost() uint64 { return s.lost.Load() }

// Drain sends what has ended so far, as OTLP. What cannot be sent stays. One call
// of Drain or DrainPacked is under way at a time.
func (s *Spool) Drain(send Send) error {
	return s.drain(func(half []byte, templates common) (n int, err error) {
		n, list, err := templates.expand(s.buf[:0], half)
		if err != nil { // nobody else writes it
			return 0, err
		}
		s.buf = list
		return n, send(head(s.resource, len(list)), list)
	})
}

// DrainPacked sends the same, packed, to who has Unpack.
func (s *Spool) DrainPacked(send Send) error {
	return s.drain(func(half []byte, templates common) (n int, err error) {
		// A copy: who sends may still be at it when the spool is gone.
		s.buf = append(s.buf[:0], half...)
		return len(half), send(packedHead(s.resource, templates), s.buf)
	})
}

// drain hands what has ended to take, which says how much of it it took.
func (s *Spool) drain(take func(half []byte, templates common) (n int, err error)) error {
	for range 2 { // what the last call could not send, then the rest
		s.mu.Lock()
		if s.mem == nil {
			s.mu.Unlock()
			return nil
		}
		full := 1 - s.active
		if *s.used(full) == 0 {
			full, s.active = s.active, full
			s.sent = 0
		}
		half, templates := s.mem[halfAt(full):][:*s.used(full)], s.templates
		s.mu.Unlock()
		for s.sent < len(half) {
			n, err := take(half[s.sent:], templates)
			if err != nil {
				return err
			}
			s.sent += n
		}
		atomic.StoreUint64(s.used(full), 0)
	}
	return nil
}

// head is that of a request for spans of that many bytes.
func head(resource []byte, size int) []byte {
	return otlp.AppendRequest(nil, resource, scope, SchemaURL, size)
}

// Close gives the memory back. The file goes with it unless there is
// something in it that was not sent.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mem == nil {
		return nil
	}
	empty := *s.used(0) == 0 && *s.used(1) == 0 && len(s.free) == slots
	mem := s.mem
	s.mem = nil
	if s.file == nil {
		return nil
	}
	err := unix.Munmap(mem)
	if empty {
		err = errors.Join(err, os.Remove(s.path()))
	}
	if err := errors.Join(err, s.file.Close()); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	return nil
}
