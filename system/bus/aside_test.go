package bus

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var errUnlucky = errors.New("bad luck")

// One message fails for ever, one twice, one can't be read; all of one
// partition, and the others do not wait for them.
func TestMessagesThatFailAreSetAsideAndHoldUpNobody(t *testing.T) {
	ctx, cancel := context.WithCancel(deadline(t))
	defer cancel()
	brokers := memoryBroker(t, 1, "orders")
	pub := NewPublisher(brokers)
	defer pub.Close()
	if err := pub.Publish(ctx, Message{Topic: "orders", Key: "a", Value: []byte("doomed"), Headers: Traced("00-trace")},
		Message{Topic: "orders", Key: "b", Value: []byte("unlucky")},
		Message{Topic: "orders", Key: "", Value: []byte("unreadable")},
		Message{Topic: "orders", Key: "d", Value: []byte("fine")}); err != nil {
		t.Fatal(err)
	}

	var mu sync.Mutex
	tried, handled := map[string]int{}, []string{}
	done := make(chan struct{})
	handle := func(_ context.Context, batch []Message) error {
		mu.Lock()
		defer mu.Unlock()
		for _, m := range batch {
			what := string(m.Value)
			if len(batch) == 1 {
				tried[what]++
			}
			switch {
			case what == "unreadable":
				return Poison(errors.New("no event"))
			case what == "doomed", what == "unlucky" && tried[what] <= 2:
				return errUnlucky
			}
		}
		for _, m := range batch {
			if handled = append(handled, string(m.Value)); len(handled) == 2 {
				close(done)
			}
		}
		return nil
	}
	var dead, retried int
	aside := AsideOf("group", pub, AsidePoints{})
	aside.Base, aside.Own = time.Millisecond, func(err error) bool { return errors.Is(err, errUnlucky) }
	aside.Watch = func(d bool) {
		mu.Lock()
		defer mu.Unlock()
		if d {
			dead++
		} else {
			retried++
		}
	}
	ended := make(chan error, 1)
	go func() {
		ended <- Consume(ctx, ConsumerConfig{Brokers: brokers, Group: "group", Topics: []string{"orders"}, CommitInterval: time.Millisecond, Aside: aside}, handle)
	}()
	letters := map[string]Message{}
	for len(letters) < 2 {
		err := ReadTopic(ctx, brokers, DeadTopic("group"), func(m Message) error { letters[string(m.Value)] = m; return nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	<-done
	for _, row := range []struct {
		what, key, cause, origin, trace string
		attempts                        int
	}{
		{"doomed", "a", "bad luck", "orders/0@0", "00-trace", 4},
		{"unreadable", "orders/0@2", "no event", "orders/0@2", "", 1},
	} {
		m := letters[row.what]
		if m.Key != row.key || m.Header(HeaderCause) != row.cause || m.Header(HeaderOrigin) != row.origin || m.Header(Traceparent) != row.trace ||
			m.Header(HeaderAttempts) != strconv.Itoa(row.attempts) || m.Header(HeaderGroup) != "group" || m.Header(HeaderDue) != "" {
			t.Errorf("dead letter %s: key %q, headers %v", row.what, m.Key, m.Headers)
		}
	}
	for _, at := range []struct{ group, topic string }{{"group", "orders"}, {RetryGroup("group"), RetryTopic("group")}} {
		for {
			lag, err := readLag(ctx, brokers, at.group, at.topic)
			if err != nil {
				t.Fatal(err)
			}
			if lag.Total() == 0 {
				break
			}
		}
	}
	mu.Lock()
	if strings.Join(handled, " ") != "fine unlucky" || dead != 2 || retried != 5 || tried["doomed"] != 4 {
		t.Errorf("handled %v, %d dead, %d sent to be tried again, tries %v", handled, dead, retried, tried)
	}
	mu.Unlock()

	// Sent back, it is as good as new.
	if err := pub.Publish(ctx, Redriven(letters["doomed"], RetryTopic("group"))); err != nil {
		t.Fatal(err)
	}
	for again := 0; again < 2; {
		again = 0
		err := ReadTopic(ctx, brokers, DeadTopic("group"), func(m Message) error {
			if string(m.Value) != "doomed" {
				return nil
			}
			if again++; again == 2 && (m.Header(HeaderAttempts) != "4" || m.Header(HeaderRedriven) != Place(letters["doomed"]) || m.Header(HeaderOrigin) != "orders/0@0") {
				t.Errorf("given up again with headers %v", m.Headers)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestADelayIsDrawnUpToACeilingThatDoubles(t *testing.T) {
	a := (&Aside{Base: 100 * time.Millisecond, Longest: time.Second}).withDefaults()
	for attempts, ceiling := range map[int]time.Duration{1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 4: 800 * time.Millisecond, 5: time.Second, 90: time.Second} {
		var longest, shortest time.Duration = 0, ceiling
		for range 2000 {
			d := a.delay(attempts, false)
			longest, shortest = max(longest, d), min(shortest, d)
		}
		if longest > ceiling || longest < ceiling*9/10 || shortest > ceiling/10 {
			t.Errorf("attempt %d is %s to %s late, want all of 0 to %s", attempts, shortest, longest, ceiling)
		}
	}
	if d := a.delay(9, true); d != 0 {
		t.Errorf("without backoff it waits for %s", d)
	}
}

// What is done out of order is committed only with all that is below it.
func TestWaitingCommitsNothingAboveWhatIsOpen(t *testing.T) {
	now := time.Now()
	message := func(offset int64, after time.Duration) Message {
		return Message{Topic: "t", Partition: 1, Offset: offset, Headers: []Header{{HeaderDue, strconv.FormatInt(now.Add(after).UnixMicro(), 10)}}}
	}
	w, p := newWaiting(), progress{}
	w.add([]Message{message(5, time.Hour), message(6, 0), message(9, time.Minute), {Topic: "t", Partition: 1, Offset: 10}})
	if wait, some := w.next(now); wait != 0 || !some {
		t.Errorf("the next is due in %s, %v", wait, some)
	}
	for _, step := range []struct {
		at   time.Duration
		due  []int64
		want int64 // 0: nothing
	}{
		{0, []int64{10, 6}, 0},
		{time.Second, nil, 0},
		{time.Minute, []int64{9}, 0},
		{time.Hour, []int64{5}, 11},
	} {
		batch := w.take(now.Add(step.at), 10)
		var got []int64
		for _, m := range batch {
			got = append(got, m.Offset)
		}
		if len(got) != len(step.due) || len(got) > 0 && got[0] != step.due[0] {
			t.Errorf("after %s %v are due, want %v", step.at, got, step.due)
		}
		w.open.finish(batch, p)
		if p["t"][1] != step.want {
			t.Errorf("after %s the next offset is %d, want %d", step.at, p["t"][1], step.want)
		}
	}
	if _, some := w.next(now); some || len(w.open[place{"t", 1}].done) != 0 {
		t.Errorf("something is left: %+v", w)
	}
}

func TestWithoutBackoffAMessageIsDueAtOnce(t *testing.T) {
	now := time.UnixMicro(1_000_000)
	a := AsideOf("group", nil, AsidePoints{}).withDefaults()
	due := func(hasty bool) (latest int64) {
		for range 100 { // it is drawn
			m := a.next("group", failure{Message{Topic: "orders"}, errUnlucky}, now, hasty)
			at, err := strconv.ParseInt(m.Header(HeaderDue), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			latest = max(latest, at)
		}
		return latest
	}
	if at := due(true); at != now.UnixMicro() {
		t.Errorf("due %d us after it failed, want at once", at-now.UnixMicro())
	}
	if at := due(false); at <= now.UnixMicro() || at > now.Add(a.Base).UnixMicro() {
		t.Errorf("with backoff due %d us after it failed, want up to %s", at-now.UnixMicro(), a.Base)
	}
}
