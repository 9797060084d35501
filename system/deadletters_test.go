package system_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/failpoint"
)

// What payment can't charge is given up and its order parked; sent back once
// payment works again, it comes to its end. What can't be read stays.
func TestADeadLetterParksItsOrderAndRedriveBringsItBack(t *testing.T) {
	t.Parallel()
	stack := boot(t, nil)
	ctx := soon(t)
	if err := stack.Arm(ctx, "payment-0", "payment.before-charge", failpoint.Plan{Action: failpoint.Error}); err != nil {
		t.Fatal(err)
	}
	ids := []string{order(t, stack), order(t, stack), order(t, stack)}
	pub := bus.NewPublisher(stack.Brokers())
	defer pub.Close()
	if err := pub.Publish(ctx, bus.Message{Topic: events.OrdersTopic, Key: "nobody", Value: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	letters := awaitLetters(t, stack, func(d []system.DeadLetter) bool { return len(d) == 4 })
	byKey := map[string]system.DeadLetter{}
	for _, d := range letters {
		byKey[d.Key] = d
	}
	for _, id := range ids {
		d := byKey[id]
		if d.Group != "payment-group" || d.Event != "inventory.reserved" || !strings.Contains(d.Cause, "payment.before-charge") || d.Attempts != 4 ||
			!strings.HasPrefix(d.Origin, "inventory-topic/") || d.FirstFailed.IsZero() || d.GivenUp.Before(d.FirstFailed.Add(-time.Second)) {
			t.Errorf("dead letter %+v", d)
		}
		awaitOrder(t, stack, id, "PARKED")
	}
	if d := byKey["nobody"]; d.Group != "inventory-group" || !d.Unreadable || d.Attempts != 1 || d.OrderStatus != "" {
		t.Errorf("dead letter %+v", d)
	}
	drain(t, stack) // parked orders and dead letters are no work in flight

	if err := stack.Disarm(ctx, "payment-0", "payment.before-charge"); err != nil {
		t.Fatal(err)
	}
	if _, err := stack.Redrive(ctx, byKey[ids[0]].ID, "payment-group/99"); err == nil || !strings.Contains(err.Error(), "no dead letter payment-group/99") {
		t.Errorf("error %v, want one that names what is not there", err)
	}
	if sent, err := stack.Redrive(ctx, byKey[ids[0]].ID); err != nil || len(sent) != 1 || sent[0].Key != ids[0] {
		t.Fatalf("sent back %+v, %v", sent, err)
	}
	awaitOrder(t, stack, ids[0], "CONFIRMED")
	if sent, err := stack.Redrive(ctx, "all"); err != nil || len(sent) != 3 {
		t.Fatalf("sent back %+v, %v, want the other two and what can't be read", sent, err)
	}
	awaitOrder(t, stack, ids[1], "CONFIRMED")
	awaitOrder(t, stack, ids[2], "CONFIRMED")
	awaitLetters(t, stack, func(d []system.DeadLetter) bool { return len(d) == 5 }) // what can't be read is back
	drain(t, stack)
	b := audit(t, stack)
	for _, id := range ids {
		if !b.done(id) || b.orders[id].Version != 3 {
			t.Errorf("the books say %s", b.says(id))
		}
	}
}

func TestWithoutDeadLettersThereIsNowhereToLook(t *testing.T) {
	t.Parallel()
	stack := boot(t, func(cfg *system.Config) { cfg.Patterns.DeadLetters = false })
	if _, err := stack.DeadLetters(soon(t)); !errors.Is(err, system.ErrNoDeadLetters) {
		t.Errorf("error %v", err)
	}
	id := order(t, stack)
	awaitOrder(t, stack, id, "CONFIRMED")
	drain(t, stack)
	audit(t, stack)
}

func awaitLetters(t *testing.T, stack *system.Stack, enough func([]system.DeadLetter) bool) []system.DeadLetter {
	t.Helper()
	ctx := soon(t)
	for {
		letters, err := stack.DeadLetters(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if enough(letters) {
			return letters
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("the dead letters are %+v", letters)
		}
	}
}

// awaitOrder waits until the books have an order with that status.
func awaitOrder(t *testing.T, stack *system.Stack, id, status string) {
	t.Helper()
	ctx := soon(t)
	for {
		b := audit(t, stack)
		if b.orders[id].Status == status {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("order %s is %s, want %s", id, b.orders[id].Status, status)
		}
	}
}
