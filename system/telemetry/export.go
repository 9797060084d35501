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

const exportWithin = 5 * time.Second

// exporter sends what is in a spool, and what dead processes left beside it.
type exporter struct {
	box    *spool.Spool
	packed bool
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
		box:    box,
		packed: cfg.Packed,
		dir:    cfg.Spool,
		post:   poster{url: strings.TrimSuffix(cfg.Endpoint, "/") + otlp.HTTPPath, client: &http.Client{Timeout: exportWithin}},
		log:    log,
		quit:   make(chan struct{}),
		ended:  make(chan struct{}),
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
	tick := time.NewTimer(untilExport())
	defer tick.Stop()
	recovered, failing := e.dir == "", false
	for {
		select {
		case <-e.quit:
			if err := e.drain(e.last); err != nil {
				e.log.Warn("spans stay in the spool", "error", err)
			}
			return
		case <-tick.C:
		case <-e.box.Wake():
		}
		tick.Reset(untilExport())
		if !recovered {
			if err := spool.Recover(e.dir, e.post.as(context.Background(), otlp.MediaType)); err != nil {
				e.log.Debug("recover spans", "error", err)
			} else {
				recovered = true
			}
		}
		err := e.drain(context.Background())
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

// drain sends what has ended, in the form that the collector takes.
func (e *exporter) drain(ctx context.Context) error {
	if e.packed {
		return e.box.DrainPacked(e.post.as(ctx, spool.PackedType))
	}
	return e.box.Drain(e.post.as(ctx, otlp.MediaType))
}

// poster sends export requests over HTTP.
type poster struct {
	url    string
	client *http.Client
}

// as sends requests of a media type.
func (p poster) as(ctx context.Context, kind string) spool.Send {
	return func(head, spans []byte) error { return p.send(ctx, kind, head, spans) }
}

func (p poster) send(ctx context.Context, kind string, head, spans []byte) error {
	body := io.MultiReader(bytes.NewReader(head), bytes.NewReader(spans))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, body)
	if err != nil {
		return err
	}
	req.ContentLength = int64(len(head) + len(spans))
	req.Header.Set("Content-Type", kind)
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
