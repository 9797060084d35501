package spool

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ordbench/ordbench/system/telemetry/otlp"
)

// dirEnv makes this test binary a process that fills a spool and waits to be
// killed: what a process leaves can only be seen if it is gone.
const dirEnv = "ORDBENCH_TEST_SPOOL"

func TestMain(m *testing.M) {
	if dir := os.Getenv(dirEnv); dir != "" {
		if err := fill(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// Spans 1 to ended of the process that is killed have ended, as many more
// have only begun.
const ended = 1000

func fill(dir string) error {
	s, err := Open(dir, "victim", resource("victim"), keys)
	if err != nil {
		return err
	}
	for n := range 2 * ended {
		if one := begin(s, n+1); n < ended {
			finish(s, one)
		}
	}
	fmt.Println("full")
	os.Stdin.Read(make([]byte, 1))
	return nil
}

func resource(service string) []byte {
	return otlp.AppendText(nil, otlp.OfResource, "service.name", service)
}

func spanID(n int) (id otlp.SpanID) {
	binary.BigEndian.PutUint64(id[:], uint64(n))
	return id
}

// keys are what the spans have of their own; one of them says it twice.
var keys = []string{"n", "text", "odd"}

const (
	keyN Key = 1 + iota
	keyText
	keyOdd
)

// span is the span n. Every third has its name from a template.
func span(s *Spool, n int) Span {
	r := Record{TraceID: otlp.TraceID{1}, ID: spanID(n), Start: uint64(n)}
	if n%3 != 0 {
		return Span{Record: r, Own: append(own(n), AppendFields(nil, otlp.AppendName(nil, spanName(n), otlp.Internal))...)}
	}
	if len(s.templates) < 2+len(keys) {
		s.Template(otlp.AppendName(nil, "another", otlp.Client))
		s.Template(otlp.AppendName(nil, spanName(3), otlp.Internal))
	}
	r.Template = Template(len(keys) + 2)
	return Span{Record: r, Own: own(n)}
}

// own is what the span n has of its own.
func own(n int) []byte {
	b := AppendText(AppendInt(nil, keyN, int64(n)), keyText, spanName(n))
	if n%2 != 0 {
		b = AppendYes(b, keyOdd)
	}
	return b
}

func spanName(n int) string {
	if n%3 == 0 {
		return "one of three"
	}
	return fmt.Sprint("span ", n)
}

func begin(s *Spool, n int) Span {
	one := span(s, n)
	s.Begin(&one)
	return one
}

func finish(s *Spool, one Span) {
	s.Finish(one.Start+1, nil, []Span{one})
}

// collected is what a collector was sent.
type collected struct {
	spans       map[int]int // how often, by number
	interrupted map[int]uint64
	services    map[string]bool
}

func newCollected() *collected {
	return &collected{spans: map[int]int{}, interrupted: map[int]uint64{}, services: map[string]bool{}}
}

func (c *collected) send(head, spans []byte) error {
	var scanner otlp.Scanner
	_, err := scanner.Scan(append(head, spans...), func(r *otlp.Resource, s *otlp.Span) error {
		n := int(binary.BigEndian.Uint64(s.ID[:]))
		if string(s.Name) != spanName(n) || s.Kind != otlp.Internal || s.Start != uint64(n) {
			return fmt.Errorf("span %d came as %q, kind %d, from %d", n, s.Name, s.Kind, s.Start)
		}
		if s.Int("n") != int64(n) || string(s.Text("text")) != spanName(n) || s.Int("odd") != int64(n%2) {
			return fmt.Errorf("span %d came with %d, %q, %d", n, s.Int("n"), s.Text("text"), s.Int("odd"))
		}
		c.spans[n]++
		c.services[string(r.Text("service.name"))] = true
		if s.Int(Interrupted) != 0 {
			if s.Status != otlp.StatusError {
				return fmt.Errorf("span %d was interrupted and has status %d", n, s.Status)
			}
			c.interrupted[n] = s.End
		}
		return nil
	})
	return err
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestDrainSendsEachSpanOnce(t *testing.T) {
	for _, kind := range []string{"file", "memory"} {
		t.Run(kind, func(t *testing.T) {
			dir := ""
			if kind == "file" {
				dir = t.TempDir()
			}
			s, err := Open(dir, "order-0", resource("order"), keys)
			if err != nil {
				t.Fatal(err)
			}
			got := newCollected()
			if err := s.Drain(got.send); err != nil || len(got.spans) != 0 {
				t.Errorf("drained %d of an empty spool, %v", len(got.spans), err)
			}
			for round := range 3 {
				for n := range 100 {
					finish(s, begin(s, 1+round*100+n))
				}
				away := errors.New("the collector is away")
				if err := s.Drain(func(_, _ []byte) error { return away }); !errors.Is(err, away) {
					t.Errorf("drained: %v", err)
				}
				finish(s, begin(s, 1000+round))
				if err := s.Drain(got.send); err != nil {
					t.Fatal(err)
				}
			}
			if len(got.spans) != 303 || len(got.interrupted) != 0 || !got.services["order"] {
				t.Errorf("%d spans of 303, %d interrupted, of %v", len(got.spans), len(got.interrupted), got.services)
			}
			for n, times := range got.spans {
				if times != 1 {
					t.Errorf("span %d was sent %d times", n, times)
				}
			}
			if err := errors.Join(s.Close(), s.Close()); err != nil {
				t.Error(err)
			}
			if dir != "" && len(files(t, dir)) != 0 {
				t.Errorf("left %v", files(t, dir))
			}
			finish(s, begin(s, 1)) // after the end: lost, and counted
			if s.Lost() != 1 {
				t.Errorf("lost %d, want 1", s.Lost())
			}
		})
	}
}

func TestKilledProcessLosesNoSpan(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), dirEnv+"="+dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || said != "full\n" {
		t.Fatalf("the process said %q, %v", said, err)
	}
	got := newCollected()
	if err := Recover(dir, got.send); err != nil || len(got.spans) != 0 {
		t.Fatalf("recovered %d spans of a process that is alive, %v", len(got.spans), err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	away := errors.New("the collector is away")
	if err := Recover(dir, func(_, _ []byte) error { return away }); !errors.Is(err, away) {
		t.Fatalf("recovered: %v", err)
	}
	for range 2 { // the second finds nothing
		if err := Recover(dir, got.send); err != nil {
			t.Fatal(err)
		}
	}
	for n := 1; n <= 2*ended; n++ {
		if got.spans[n] != 1 {
			t.Fatalf("span %d came %d times", n, got.spans[n])
		}
		end, interrupted := got.interrupted[n]
		if interrupted != (n > ended) {
			t.Fatalf("span %d interrupted: %t", n, interrupted)
		}
		if interrupted && end != 2*ended { // its last sign of life
			t.Fatalf("span %d is said to have ended at %d", n, end)
		}
	}
	if !got.services["victim"] || len(files(t, dir)) != 0 {
		t.Errorf("services %v, left %v", got.services, files(t, dir))
	}
}

// A process that dies between the two notes of an end has ended the span.
func TestSpanIsNotInterruptedIfItsEndIsThere(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, "order-0", nil, keys)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	one := begin(s, 1)
	one.held = 0 // its slot stays taken
	finish(s, one)
	file, err := os.ReadFile(s.path())
	if err != nil {
		t.Fatal(err)
	}
	left, err := read(file)
	if err != nil {
		t.Fatal(err)
	}
	got := newCollected()
	for _, list := range left.lists {
		if err := got.send(head(left.resource, len(list)), list); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(map[int]int{1: 1}, got.spans); diff != "" || len(got.interrupted) != 0 {
		t.Errorf("interrupted %v, spans (-want +got):\n%s", got.interrupted, diff)
	}
}

func TestFullSpoolCountsWhatItLoses(t *testing.T) {
	s, err := Open("", "", nil, keys)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	woken, kept := false, 0
	for n := 1; s.Lost() < 10; n++ {
		finish(s, begin(s, n))
		kept = n
		select {
		case <-s.Wake():
			woken = true
		default:
		}
	}
	got := newCollected()
	if err := s.Drain(got.send); err != nil {
		t.Fatal(err)
	}
	if len(got.spans) != kept-10 || !woken {
		t.Errorf("%d spans kept of %d, woken: %t", len(got.spans), kept, woken)
	}
}

func TestMoreSpansThanSlotsAreKeptOnceTheyEnd(t *testing.T) {
	s, err := Open("", "", nil, keys)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var taken []Span
	for n := range slots + 100 {
		taken = append(taken, begin(s, n+1))
	}
	for _, one := range taken {
		finish(s, one)
	}
	got := newCollected()
	if err := s.Drain(got.send); err != nil || len(got.spans) != slots+100 || len(s.free) != slots {
		t.Errorf("%d spans, %d free slots, %v", len(got.spans), len(s.free), err)
	}
}

func TestRecoverLeavesAloneWhatIsNoSpool(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x"+suffix)
	if err := os.WriteFile(path, []byte("no spool"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Recover(dir, newCollected().send); !errors.Is(err, errNotASpool) {
		t.Errorf("%v", err)
	}
	if len(files(t, dir)) != 1 {
		t.Error("it is gone")
	}
	if err := Recover(filepath.Join(dir, "[absent"), newCollected().send); err != nil {
		t.Error(err)
	}
}

func TestTemplatesEndWhereTheirRoomDoes(t *testing.T) {
	s, err := Open("", "", nil, keys)
	if err != nil {
		t.Fatal(err)
	}
	common, n := make([]byte, 1000), 0
	for {
		got, ok := s.Template(common)
		if !ok {
			break
		}
		if n++; got != Template(len(keys)+n) {
			t.Fatalf("the %dth is called %d", n, got)
		}
	}
	if n != (templateSize-len("ntextodd")-4*len(keys))/1004 {
		t.Errorf("room for %d", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Template(common[:1]); ok {
		t.Error("kept after the end")
	}
}

// What was sent is not sent again because a later request failed.
func TestDrainGoesOnWhereItFailed(t *testing.T) {
	s, err := Open("", "", nil, keys)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const spans = 20_000
	for n := range spans {
		finish(s, begin(s, n+1))
	}
	got := newCollected()
	away, calls := errors.New("the collector is away"), 0
	moody := func(head, list []byte) error {
		if calls++; calls%2 == 0 {
			return away
		}
		if len(list) > 2*sendSize {
			t.Errorf("a request of %d bytes", len(list))
		}
		return got.send(head, list)
	}
	failed := 0
	for s.Drain(moody) != nil {
		failed++
	}
	if failed < 2 || len(got.spans) != spans {
		t.Errorf("%d spans of %d after %d failures", len(got.spans), spans, failed)
	}
	for n, times := range got.spans {
		if times != 1 {
			t.Fatalf("span %d came %d times", n, times)
		}
	}
}

// Whatever a file holds, it is read or refused.
func FuzzRead(f *testing.F) {
	key := append(binary.NativeEndian.AppendUint32(nil, 1), 'n')
	one := entry(Span{Record: Record{TraceID: otlp.TraceID{1}, ID: spanID(1), Start: 1, Template: 1}, Own: AppendInt(nil, keyN, 7)})
	f.Add([]byte(magic), uint64(0), uint64(0), uint64(0), uint32(0), uint32(0), []byte{}, []byte{})
	f.Add([]byte(magic), uint64(len(one)), uint64(1)<<40, uint64(len(key)), uint32(3), uint32(1), one, key)
	f.Add([]byte(magic), uint64(len(one)), uint64(0), uint64(len(key)), uint32(3), uint32(1), one, key)
	f.Add([]byte(magic), uint64(0), uint64(0), uint64(len(key)), uint32(3), uint32(1), one, key)
	f.Fuzz(func(t *testing.T, head []byte, used0, used1, usedTemplates uint64, resourceSize, slot uint32, content, templates []byte) {
		file := make([]byte, fileSize)
		copy(file[magicAt:usedAt], head)
		binary.NativeEndian.PutUint64(file[usedAt:], used0)
		binary.NativeEndian.PutUint64(file[usedAt+8:], used1)
		binary.NativeEndian.PutUint64(file[templatesAt:], usedTemplates)
		binary.NativeEndian.PutUint32(file[resourceAt:], resourceSize)
		binary.NativeEndian.PutUint32(file[slotAt(0):], slot)
		copy(file[headSize:slotAt(0)], templates)
		copy(file[slotAt(0)+slotHead:slotAt(1)], content)
		copy(file[halfAt(0):], content)
		left, err := read(file)
		if err != nil && !errors.Is(err, errNotASpool) {
			t.Fatal(err)
		}
		for _, list := range left.lists {
			if len(list) == 0 {
				t.Fatal("a request without spans")
			}
		}
	})
}

func BenchmarkBeginAndFinish(b *testing.B) {
	s, err := Open(b.TempDir(), "order-0", nil, keys)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.ReportAllocs()
	spans := []Span{span(s, 3)}
	n := 0
	for b.Loop() {
		n++
		s.Begin(&spans[0])
		s.Finish(2, nil, spans)
		if n%1000 == 0 {
			_ = s.Drain(func(_, _ []byte) error { return nil })
		}
	}
}
