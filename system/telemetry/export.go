package telemetry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ordbench/ordbench/system/telemetry/otlp"
	"github.com/ordbench/ordbench/system/telemetry/spool"
)

const (
	exportEvery  = time.Second // spans are safe in the spool: nothing is urgent
	exportWithin = 5 * time.Second
)

// exporter sends what is in a spool, and what dead processes left beside it.
type exporter struct {
	box    *spool.Spool
	dir    string // of spools; "": there is none
	post   poster
	log    *slog.Logger
	quit   chan struct{}
	last   context.Context // of the last export; set before quit is closed
	ended  chan struct{}
	halted sync.Once
}

func startExporter(cfg Tracing, box *spool.Spool, reg prometheus.Registerer, log *slog.Logger) *exporter {
	e := &exporter{
		box:   box,
		dir:   cfg.Spool,
		post:  poster{url: strings.TrimSuffix(cfg.Endpoint, "/") + otlp.HTTPPath, client: &http.Client{Timeout: exportWithin}},
		log:   log,
		quit:  make(chan struct{}),
		ended: make(chan struct{}),
	}
	if reg != nil {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: MetricSpansLost,
			Help: "Spans for which the spool had no room, because the collector was away.",
		}, func() float64 { return float64(box.Lost()) }))
	}
	go e.run()
	return e
}

// run exports until stop, and once more then.
func (e *exporter) run() {
	defer close(e.ended)
	defer e.post.client.CloseIdleConnections()
	tick := time.NewTicker(exportEvery)
	defer tick.Stop()
	recovered, failing := e.dir == "", false
	for {
		select {
		case <-e.quit:
			if err := e.box.Drain(e.send(e.last)); err != nil {
				e.log.Warn("spans stay in the spool", "error", err)
			}
			return
		case <-tick.C:
		case <-e.box.Wake():
		}
		send := e.send(context.Background())
		if !recovered {
			if err := spool.Recover(e.dir, send); err != nil {
				e.log.Debug("recover spans", "error", err)
			} else {
				recovered = true
			}
		}
		err := e.box.Drain(send)
		if err != nil && !failing {
			e.log.Warn("export spans", "error", err)
		}
		failing = err != nil
	}
}

// stop exports a last time, for as long as ctx lasts.
func (e *exporter) stop(ctx context.Context) {
	e.halted.Do(func() {
		e.last = ctx
		close(e.quit)
	})
	<-e.ended
}

func (e *exporter) send(ctx context.Context) spool.Send {
	return func(head, spans []byte) error { return e.post.send(ctx, head, spans) }
}

// poster sends export requests over HTTP.
type poster struct {
	url    string
	client *http.Client
}

func (p poster) send(ctx context.Context, head, spans []byte) error {
	body := io.MultiReader(bytes.NewReader(head), bytes.NewReader(spans))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, body)
	if err != nil {
		return err
	}
	req.ContentLength = int64(len(head) + len(spans))
	req.Header.Set("Content-Type", "application/x-protobuf")
	res, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		said, _ := io.ReadAll(io.LimitReader(res.Body, 200))
		return fmt.Errorf("%s: %s: %s", p.url, res.Status, bytes.TrimSpace(said))
	}
	_, err = io.Copy(io.Discard, res.Body)
	return err
}
