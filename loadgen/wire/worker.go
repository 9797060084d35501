package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/ordbench/ordbench/loadgen"
)

// maxBody bounds an answer, in bytes.
const maxBody = 1 << 20

// errTooLong is an answer that nobody would send to a customer.
var errTooLong = errors.New("answer longer than 1 MiB")

// worker owns one connection and the call on it.
type worker struct {
	*netRun
	call loadgen.Call
	link *link // nil before the first call and after a failure
	body bytes.Buffer
}

// run sends calls until there are no more or ctx ends.
func (w *worker) run(ctx context.Context) {
	defer w.hangUp()
	steps, _ := w.job.Replies.(loadgen.Flows)
	for {
		ready := w.now()
		select {
		case <-w.turn:
		case <-ctx.Done():
			return
		}
		more := w.await(ctx, &w.call)
		w.turn <- struct{}{}
		if !more {
			return
		}
		reply := w.settle(ctx)
		reply.Ready = ready
		w.job.Replies.Done(&w.call, &reply)
		if steps == nil {
			continue
		}
		if steps.GoesOn(&w.call) {
			w.lead.put(&w.call)
		} else {
			w.lead.answered()
		}
	}
}

// settle sends the call, or says why it can't be sent any more.
func (w *worker) settle(ctx context.Context) loadgen.Reply {
	now, late := w.now(), w.call.Due+w.cfg.Timeout
	switch {
	case ctx.Err() != nil && now < w.call.Due:
		return loadgen.Reply{Sent: -1, Done: now, Failure: loadgen.Withdrawn}
	case now >= late:
		// The customer left at that time, even if the engine sees it now.
		return loadgen.Reply{Sent: -1, Done: late, Failure: loadgen.NotSent}
	case ctx.Err() != nil:
		return loadgen.Reply{Sent: -1, Done: now, Failure: loadgen.Stopped}
	}
	return w.send(now)
}

// send makes one request of the call. A connection that the target closed
// while it was idle is replaced, as long as no byte of the call was written.
func (w *worker) send(now time.Duration) loadgen.Reply {
	reply := loadgen.Reply{Sent: now}
	req, err := w.request()
	if err != nil {
		return w.failed(reply, loadgen.Refused, err)
	}
	deadline := w.job.Start.Add(now + w.cfg.Timeout)
	for {
		if w.link != nil {
			w.link.settle()
		}
		idle := w.link != nil && w.link.client.Err() == nil
		if !idle {
			w.hangUp()
			if w.link, err = w.connect(deadline); err != nil {
				return w.failed(reply, loadgen.Refused, err)
			}
		}
		w.link.begin(deadline)
		res, err := w.link.client.RoundTrip(req)
		sent, wrote := w.link.sent()
		if idle && wrote {
			reply.Sent = max(now, sent) // the connection stood, so only writing is left
		}
		switch {
		case err == nil:
			return w.receive(reply, res)
		case !wrote && idle && !w.link.timedOut.Load() && w.hard.Err() == nil:
			if req, err = w.request(); err != nil {
				return w.failed(reply, loadgen.Refused, err)
			}
			w.hangUp()
		case !wrote:
			return w.failed(reply, loadgen.Refused, err)
		default:
			return w.failed(reply, loadgen.Broken, err)
		}
	}
}

// receive reads the answer to its end.
func (w *worker) receive(reply loadgen.Reply, res *http.Response) loadgen.Reply {
	defer res.Body.Close()
	reply.Status = res.StatusCode
	reply.Header = res.Header.Get
	w.body.Reset()
	n, err := w.body.ReadFrom(io.LimitReader(res.Body, maxBody+1))
	if err == nil && n > maxBody {
		err = errTooLong
	}
	if err == nil {
		// A target that sees a TLS connection end may still answer to that.
		err = w.hard.Err()
	}
	if err != nil {
		return w.failed(reply, loadgen.Broken, err)
	}
	reply.Done = w.now()
	reply.Body = w.body.Bytes()
	w.link.end()
	return reply
}

// failed ends the connection and completes reply: f, unless it failed because
// the time was up or the load was stopped.
func (w *worker) failed(reply loadgen.Reply, f loadgen.Failure, err error) loadgen.Reply {
	reply.Done = w.now()
	reply.Failure, reply.Err = f, err
	switch {
	case w.hard.Err() != nil:
		reply.Failure = loadgen.Unfinished
	case w.link != nil && w.link.timedOut.Load(), errors.Is(err, context.DeadlineExceeded), timedOut(err):
		reply.Failure = loadgen.TimedOut
	}
	w.hangUp()
	return reply
}

// request is the call for net/http, which may hold on to it for a while: so
// it shares no memory with the call.
func (w *worker) request() (*http.Request, error) {
	c := &w.call
	header := make(http.Header, len(c.Header)+1)
	header["User-Agent"] = userAgent
	for _, f := range c.Header {
		header[f.Name] = []string{string(f.Value)}
	}
	u, err := w.origin.url(c.Path)
	if err != nil {
		return nil, err
	}
	req := &http.Request{
		Method: c.Method, URL: u, Host: w.base.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if len(c.Body) > 0 {
		req.Body = io.NopCloser(bytes.NewReader(bytes.Clone(c.Body)))
		req.ContentLength = int64(len(c.Body))
	}
	return req, nil
}

var userAgent = []string{"ordbench"}
