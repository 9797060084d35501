package docker

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/moby/moby/api/types/network"

	"github.com/ordbench/ordbench/system"
)

// collectorName is the container of somebody else's collector of traces, and
// its name on the network.
const collectorName = "collector"

// The ports of a collector inside its container: OTLP over HTTP, and what
// Jaeger shows people.
const (
	collectorPort = "4318"
	collectorUI   = "16686"
)

// collectorProduct is what stands in a stack only where it is asked for.
var collectorProduct = Product{Name: "collector", Title: "the collector of traces",
	of: func(c *system.ImagesConfig) *string { return &c.Collector }}

// collectorLimit is how long a collector may take until it answers.
const collectorLimit = 30 * time.Second

// startCollector starts the collector of the stack, if it has one, and returns
// when that takes traces.
func (f *fleet) startCollector(ctx context.Context) error {
	if f.images.collector == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, collectorLimit)
	defer cancel()
	found, err := f.engine.api.ImageInspect(ctx, f.images.collector)
	if err != nil {
		return err
	}
	p := &place{fleet: f, name: collectorName}
	p.spec = spec{image: f.images.collector, stop: "TERM", env: map[string]string{"COLLECTOR_OTLP_ENABLED": "true"}} // Jaeger before 1.35 wants to be told
	f.collects = &system.Collector{Image: f.images.collector}
	addr, err := p.publish(collectorPort, 0)
	if err != nil {
		return err
	}
	f.collects.Endpoint = "http://" + addr
	if found.Config != nil {
		if _, shows := found.Config.ExposedPorts[network.MustParsePort(collectorUI+"/tcp").String()]; shows {
			if addr, err = p.publish(collectorUI, 0); err != nil {
				return err
			}
			f.collects.UI = "http://" + addr
		}
	}
	f.places[p.name] = p
	r, err := p.start(ctx)
	if err != nil {
		return fmt.Errorf("start the collector %s: %w", f.images.collector, err)
	}
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for !takesTraces(ctx, f.collects.Endpoint) {
		select {
		case <-look.C:
		case <-r.Done():
			return fmt.Errorf("the collector %s has ended: %s\n%s", f.images.collector, r.Exit(), f.Tail(p.name, 10))
		case <-ctx.Done():
			return fmt.Errorf("the collector %s takes no traces over HTTP on its port %s: %w\n%s", f.images.collector, collectorPort, ctx.Err(), f.Tail(p.name, 10))
		}
	}
	return nil
}

// takesTraces sends a request without spans.
func takesTraces(ctx context.Context, endpoint string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint+"/v1/traces", bytes.NewReader(nil))
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode < 300
}

// Collector is the collector of the stack; nil: it has none.
func (f *fleet) Collector() *system.Collector { return f.collects }
