package conductor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ordbench/ordbench/reports"
	"github.com/ordbench/ordbench/reports/traces"
	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/endpoint"
	"github.com/ordbench/ordbench/system/telemetry/otlp"
	"github.com/ordbench/ordbench/system/telemetry/spool"
)

const (
	slowestOrders  = 10
	collectAtLeast = 400 * time.Millisecond // longer than services keep what is drained before they send it
	collectAtMost  = 5 * time.Second        // for those that still miss something
	completeTraces = 0.9999                 // below it the report warns
)

// CheckEndpoint says what is wrong with the URL of a collector; "" is none.
func CheckEndpoint(endpointURL string) error {
	if endpointURL == "" {
		return nil
	}
	_, err := otlp.TracesURL(endpointURL)
	return err
}

// Collector receives the spans of a stack, judges them, and sends them on if
// it is asked to.
type Collector struct {
	book    *traces.Book                   // nil: nobody asks for a judgement
	forward *otlp.Forwarder                // nil: nobody else wants them
	beside  atomic.Pointer[otlp.Forwarder] // to the collector in the stack; nil: there is none
	stop    context.CancelFunc
	served  chan error
	once    sync.Once
	closed  error
}

// Collect begins to receive the spans of a stack and tells cfg where. It does
// neither, and returns nil, where the system is not traced. The endpoint is
// that of another collector that wants them too; "" is none.
func Collect(ctx context.Context, cfg *system.Config, book *traces.Book, endpointURL string) (*Collector, error) {
	if !cfg.Patterns.Tracing || book == nil && endpointURL == "" && cfg.Images.Collector == "" {
		return nil, nil
	}
	c := &Collector{book: book, served: make(chan error, 1)}
	if endpointURL != "" {
		var err error
		if c.forward, err = otlp.NewForwarder(endpointURL); err != nil {
			return nil, err
		}
	}
	l, err := endpoint.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("receive traces: %w", err)
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.stop = stop
	go func() {
		take := func(request []byte) (int, error) { c.take(request); return 0, nil }
		c.served <- otlp.Receiver{Take: take, Also: spool.PackedType}.Serve(serving, l)
	}()
	cfg.Tracing.Endpoint = "http://" + l.Addr().String()
	return c, nil
}

// take is given the spans of our own services, so that nobody needs to be told
// what is wrong with them: the book says it in the end.
func (c *Collector) take(request []byte) {
	beside := c.beside.Load()
	sendOn := func(request []byte) {
		if c.forward != nil {
			c.forward.Send(request)
		}
		if beside != nil {
			beside.Send(request)
		}
	}
	switch {
	case c.forward == nil && beside == nil:
	case spool.IsPacked(request):
		_ = spool.Unpack(request, func(head, spans []byte) error { // if it is not well, the book says so
			sendOn(append(head, spans...))
			return nil
		})
	default:
		sendOn(request)
	}
	if c.book != nil {
		c.book.Take(request)
	}
}

// Recover takes what processes that are gone have left.
func (c *Collector) Recover(cfg system.Config) error {
	if c == nil {
		return nil
	}
	return spool.Recover(cfg.SpoolDir(), func(head, spans []byte) error {
		c.take(append(head, spans...))
		return nil
	})
}

// join sends the spans to the collector that stands in the stack, too.
func (c *Collector) join(in *system.Collector) error {
	if c == nil || in == nil {
		return nil
	}
	f, err := otlp.NewForwarder(in.Endpoint)
	c.beside.Store(f)
	return err
}

// leave ends that, before the stack goes.
func (c *Collector) leave() error {
	if c == nil {
		return nil
	}
	if f := c.beside.Swap(nil); f != nil {
		return f.Close()
	}
	return nil
}

// Close ends the receiving, and sends on what waits. It may be called twice;
// the second call returns what the first did.
func (c *Collector) Close() error {
	if c == nil {
		return nil
	}
	c.once.Do(func() {
		c.stop()
		c.closed = <-c.served
		if c.forward != nil {
			c.closed = errors.Join(c.closed, c.forward.Close())
		}
	})
	return c.closed
}

// waysName is the file that has the way of every order whose trace is whole.
const waysName = "traces.csv"

// ways is that file, while it is written.
type ways struct {
	file *os.File
	buf  *bufio.Writer
}

func (w *ways) close() error { return errors.Join(w.buf.Flush(), w.file.Close()) }

// trace begins to receive the traces of a run, if it is traced.
func (r *run) trace(ctx context.Context, cfg *system.Config) (*Collector, error) {
	if !cfg.Patterns.Tracing {
		return nil, nil
	}
	f, err := os.Create(filepath.Join(r.dir, waysName))
	if err != nil {
		return nil, err
	}
	r.ways = &ways{f, bufio.NewWriter(f)}
	_, _ = r.ways.buf.WriteString(traces.WaysHeader()) // Flush says what went wrong
	r.traces = traces.NewBook(traces.Options{
		Slowest: slowestOrders, Sample: cfg.Tracing.Sample, Ways: r.ways.buf,
		Inline: cfg.Inline(),
	})
	return Collect(ctx, cfg, r.traces, r.Endpoint)
}

// collect waits until the spans of a system at rest are there, those of
// processes that are gone too.
func (r *run) collect(ctx context.Context) {
	if r.collector == nil {
		return
	}
	if err := r.collector.Recover(r.session.Stack.Config()); err != nil {
		r.trouble("recover spans: %v", err)
	}
	look := time.NewTicker(collectAtLeast)
	defer look.Stop()
	last := time.NewTimer(collectAtMost)
	defer last.Stop()
	for {
		select {
		case <-look.C:
			if r.traces.Waiting() == 0 {
				return
			}
		case <-last.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// traced is what the traces tell, and nil where there are none.
func (r *run) traced() *reports.Traces {
	if r.collector == nil {
		return nil
	}
	found := r.traces.Close()
	if err := errors.Join(r.traces.WaysErr(), r.ways.close()); err != nil {
		r.trouble("%s: %v", waysName, err)
	}
	if found.Rejected+found.Unreadable > 0 {
		r.trouble("traces: %d spans without an id, %d export requests that were not understood", found.Rejected, found.Unreadable)
	}
	if found.Orders > 0 && found.CompleteShare < completeTraces {
		r.torn = fmt.Sprintf("the trace of %d of %d orders is not whole: traces.incomplete in result.json has the first of them",
			found.Orders-found.Complete, found.Orders)
	}
	return found
}

// tracedOrders hands the orders of an audit to the judge of traces too, if
// there is one.
type tracedOrders struct {
	system.Auditor
	book *traces.Book
}

func (t tracedOrders) Order(row system.OrderRow) error {
	if t.book != nil {
		status := row.Status
		if row.Cancelled { // in a trace of its own: in the order's, whatever came of it until then
			status = ""
		}
		t.book.Order(row.ID, status)
	}
	return t.Auditor.Order(row)
}
