package order

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ordbench/ordbench/system/direct"
	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/pki"
)

// coordinator brings an order to its end in two phases: inventory and payment
// promise their parts, the order service decides and writes the decision down
// with the end of the order, and then they are told. An order is whole
// everywhere or nowhere, and there is nothing to compensate. The price is what
// is promised stays locked until its owner is told, so that everybody waits
// for the slowest, and for the coordinator when it is away.
type coordinator struct {
	book         *book
	participants []participant
	notification *direct.Client
	timeout      time.Duration // of one call
	log          *slog.Logger
}

// participant is one who votes, and what its no is for the order.
type participant struct {
	*direct.Client
	no string // type of event
}

func newCoordinator(b *book, p Partners, me *pki.Identity, wrap func(http.RoundTripper) http.RoundTripper, log *slog.Logger) *coordinator {
	client := func(service string, addrs []string) *direct.Client {
		return direct.NewClient(service, addrs, p.Timeout, me, wrap)
	}
	return &coordinator{
		book: b,
		participants: []participant{
			{client("inventory", p.Inventories), events.InventoryRejected},
			{client("payment", p.Payments), events.PaymentDeclined},
		},
		notification: client("notification", p.Notifications),
		timeout:      p.Timeout,
		log:          log,
	}
}

// run brings the order that created tells of to its end and returns its
// status. With an error that is not errUndone it is still PENDING, for the
// recovery to decide about.
func (c *coordinator) run(ctx context.Context, created events.Event) (Status, error) {
	// Who hangs up does not leave half an order behind.
	ctx = context.WithoutCancel(ctx)
	end, undone, err := c.vote(ctx, created)
	if err != nil {
		return Pending, err
	}
	decided, err := c.book.decide(ctx, end, time.Now())
	if err != nil {
		return Pending, err
	}
	if err := c.settle(ctx, decided); err != nil {
		// The decision stands; the recovery tells who has not heard.
		c.log.WarnContext(ctx, "a decision is not settled yet", "order_id", created.OrderID, "error", err)
	}
	if undone || decided.EventID != end.EventID {
		return ends[decided.Type], errUndone
	}
	return ends[decided.Type], nil
}

// vote asks all participants at the same time, and returns the event that their
// votes come to. undone says that the order is called off because somebody did
// not vote.
func (c *coordinator) vote(ctx context.Context, created events.Event) (end events.Event, undone bool, err error) {
	votes, problems := make([]direct.Vote, len(c.participants)), make([]error, len(c.participants))
	var asked errgroup.Group
	for i, p := range c.participants {
		asked.Go(func() error {
			votes[i], problems[i] = p.Prepare(ctx, created)
			return nil
		})
	}
	_ = asked.Wait() // the errors stand in problems
	if end, err = decline(created, ""); err != nil {
		return events.Event{}, false, err
	}
	for i, p := range c.participants {
		if problems[i] == nil && !votes[i].Yes {
			end.Type, end.Reason = p.no, votes[i].Reason
			return end, false, nil
		}
	}
	if err := errors.Join(problems...); err != nil {
		c.log.WarnContext(ctx, "order cancelled", "order_id", created.OrderID, "error", err)
		end.Reason = err.Error()
		return end, true, nil
	}
	end.Type = events.PaymentCaptured
	return end, false, nil
}

// settle tells everybody how an order was decided, and notes that they know.
// It may be called again and again.
func (c *coordinator) settle(ctx context.Context, decided events.Event) error {
	var telling errgroup.Group
	for _, p := range c.participants {
		telling.Go(func() error { return p.end(ctx, decided) })
	}
	err := telling.Wait()
	if err != nil {
		return err // the customer is told when it is true everywhere
	}
	if _, err := c.notification.Tell(ctx, decided); err != nil && !direct.Repeated(err) {
		return err
	}
	return c.book.settled(ctx, decided.OrderID, time.Now())
}

// end tells a participant how an order was decided.
func (p participant) end(ctx context.Context, decided events.Event) error {
	if decided.Type == events.PaymentCaptured {
		return p.Commit(ctx, decided.OrderID)
	}
	return p.Abort(ctx, decided.OrderID)
}
