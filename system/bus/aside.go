package bus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/ordbench/ordbench/system/failpoint"
)

// Aside says what becomes of a message that fails by its own fault, so that
// it does not hold up what comes after it: it goes to a topic of its group to
// be tried again, later each time, and at last to one where it lies until
// somebody looks after it. Whatever fails by the fault of something else, a
// database that is away, holds up its partition until that is over.
type Aside struct {
	Publisher  *Publisher
	RetryTopic string           // RetryTopic of the group
	DeadTopic  string           // DeadTopic of the group
	Attempts   int              // in all, before it is dead; 0 takes 4
	Base       time.Duration    // the first delay, at most; it doubles each time; 0 takes 200 ms
	Longest    time.Duration    // of a delay; 0 takes 5 s
	Own        func(error) bool // that the message is at fault; may be nil: only what is Poison
	Watch      func(dead bool)  // called for each message that was set aside; may be nil
	Points     AsidePoints
}

// What a message that was set aside says of itself, in headers beside those
// that it came with.
const (
	HeaderGroup    = "group"           // whose attempt failed
	HeaderOrigin   = "origin"          // "orders-topic/3@17", where it was first
	HeaderCause    = "cause"           // the last error
	HeaderAttempts = "attempts"        // so many have failed
	HeaderFailedAt = "first-failed-at" // RFC 3339
	HeaderDue      = "due"             // Unix microseconds of the next attempt
	HeaderRedriven = "redriven"        // the dead letter that it was
)

// longestCause bounds what an error says in a header, in bytes.
const longestCause = 1000

// Poison marks an error of a handler as one that no other attempt heals: the
// message is laid aside at once.
func Poison(err error) error { return &poison{err} }

type poison struct{ error }

func (p *poison) Unwrap() error { return p.error }

// AsidePoints are the failpoints of setting aside.
type AsidePoints struct{ BeforePublish, AfterPublish *failpoint.Point }

// AsidePointsOf are those of a component.
func AsidePointsOf(component string) AsidePoints {
	return AsidePoints{
		BeforePublish: failpoint.At(component + ".aside.before-publish"),
		AfterPublish:  failpoint.At(component + ".aside.after-publish"),
	}
}

// RetryTopic is where messages wait that a group will try again. The group of
// the same name, RetryGroup, reads them there.
func RetryTopic(group string) string { return group + ".retry" }

// RetryGroup reads RetryTopic.
func RetryGroup(group string) string { return group + ".retry" }

// DeadTopic is where the messages lie that a group has given up.
func DeadTopic(group string) string { return group + ".dead" }

// Partitions of these topics: few messages go there.
const (
	RetryPartitions = 4
	DeadPartitions  = 1
)

// AsideOf is the Aside of a group.
func AsideOf(group string, pub *Publisher, points AsidePoints) *Aside {
	return &Aside{Publisher: pub, RetryTopic: RetryTopic(group), DeadTopic: DeadTopic(group), Points: points}
}

// ensure makes the topics.
func (a *Aside) ensure(ctx context.Context, brokers []string) error {
	return errors.Join(
		EnsureTopics(ctx, brokers, RetryPartitions, a.RetryTopic),
		EnsureTopics(ctx, brokers, DeadPartitions, a.DeadTopic),
	)
}

func (a *Aside) withDefaults() *Aside {
	d := *a
	if d.Attempts == 0 {
		d.Attempts = 4
	}
	if d.Base == 0 {
		d.Base = 200 * time.Millisecond
	}
	if d.Longest == 0 {
		d.Longest = 5 * time.Second
	}
	return &d
}

// own tells whether err is the message's own fault.
func (a *Aside) own(err error) bool {
	var p *poison
	return a != nil && (errors.As(err, &p) || errors.Is(err, failpoint.ErrInjected) || a.Own != nil && a.Own(err))
}

// failure is a message and what was wrong with it.
type failure struct {
	message Message
	cause   error
}

// send sets failed messages aside, and returns when all of them are
// acknowledged: only then may their offsets be committed.
func (a *Aside) send(ctx context.Context, group string, failed []failure, hasty bool) error {
	msgs := make([]Message, len(failed))
	for i, f := range failed {
		msgs[i] = a.next(group, f, time.Now(), hasty)
	}
	if err := a.Points.BeforePublish.Hit(ctx); err != nil {
		return err
	}
	if err := a.Publisher.Publish(ctx, msgs...); err != nil {
		return fmt.Errorf("set messages aside: %w", err)
	}
	if err := a.Points.AfterPublish.Hit(ctx); err != nil {
		return err
	}
	if a.Watch != nil {
		for _, m := range msgs {
			a.Watch(m.Topic == a.DeadTopic)
		}
	}
	return nil
}

// next is the message as it goes on.
func (a *Aside) next(group string, f failure, now time.Time, hasty bool) Message {
	m := f.message
	before, _ := strconv.Atoi(m.Header(HeaderAttempts)) // 0 where there is none
	attempts := before + 1
	cause := f.cause.Error()
	out := Message{Topic: a.RetryTopic, Key: m.Key, Value: m.Value}
	origin := m.Header(HeaderOrigin)
	if origin == "" {
		origin = Place(m)
	}
	if out.Key == "" {
		out.Key = origin
	}
	own := map[string]string{
		HeaderGroup: group, HeaderOrigin: origin, HeaderAttempts: strconv.Itoa(attempts),
		HeaderCause:    cause[:min(len(cause), longestCause)],
		HeaderFailedAt: now.UTC().Format(time.RFC3339Nano),
		HeaderDue:      strconv.FormatInt(now.Add(a.delay(attempts, hasty)).UnixMicro(), 10),
	}
	if first := m.Header(HeaderFailedAt); first != "" {
		own[HeaderFailedAt] = first
	}
	var p *poison
	if errors.As(f.cause, &p) || attempts >= a.Attempts {
		out.Topic = a.DeadTopic
		delete(own, HeaderDue)
	}
	for _, h := range m.Headers {
		if _, ours := own[h.Key]; !ours && h.Key != HeaderDue {
			out.Headers = append(out.Headers, h)
		}
	}
	for _, key := range []string{HeaderGroup, HeaderOrigin, HeaderAttempts, HeaderCause, HeaderFailedAt, HeaderDue} {
		if value, ok := own[key]; ok {
			out.Headers = append(out.Headers, Header{key, value})
		}
	}
	return out
}

// delay is drawn evenly from nothing to the ceiling of the attempt, so that
// messages that failed together do not come back together.
func (a *Aside) delay(attempts int, hasty bool) time.Duration {
	if hasty {
		return 0
	}
	ceiling := a.Longest
	if shift := attempts - 1; shift < 20 {
		ceiling = min(ceiling, a.Base<<shift)
	}
	return time.Duration(rand.Int64N(int64(ceiling) + 1))
}

// Place is where a message stands: "orders-topic/3@17".
func Place(m Message) string { return fmt.Sprintf("%s/%d@%d", m.Topic, m.Partition, m.Offset) }

// Redriven is a dead letter as it goes back to be tried again at once, as
// often as a new message.
func Redriven(dead Message, retryTopic string) Message {
	out := Message{Topic: retryTopic, Key: dead.Key, Value: dead.Value}
	for _, h := range dead.Headers {
		switch h.Key {
		case HeaderAttempts, HeaderDue, HeaderRedriven:
		default:
			out.Headers = append(out.Headers, h)
		}
	}
	out.Headers = append(out.Headers, Header{HeaderRedriven, Place(dead)})
	return out
}
