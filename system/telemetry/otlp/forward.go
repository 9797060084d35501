package otlp

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// forwardQueue is how many requests wait for a collector that is slow.
	forwardQueue  = 256
	forwardWithin = 10 * time.Second
	forwardPause  = 500 * time.Millisecond
	forwardTries  = 3
	forwardLast   = 5 * time.Second // for what waits at the end
)

// HeadersEnv has the headers that a collector asks for, key=value and
// separated by commas, as the OpenTelemetry SDKs read them. They are secrets,
// so they are no arguments.
const HeadersEnv = "OTEL_EXPORTER_OTLP_HEADERS"

// Forwarder sends requests on to a collector over HTTP. What the collector
// does not take is tried again a few times, and then dropped and counted: it
// is somebody else's copy.
type Forwarder struct {
	url     string
	headers http.Header
	client  *http.Client
	queue   chan []byte
	dropped atomic.Uint64

	mu    sync.Mutex
	last  error
	over  chan struct{}
	ended chan struct{}
}

// TracesURL is where the collector at endpoint takes traces: its path, if it
// names one, else the usual one.
func TracesURL(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("%q is not the URL of a collector, such as http://127.0.0.1:4318", endpoint)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = HTTPPath
	}
	return u.String(), nil
}

// NewForwarder sends to the collector at endpoint, http://host:4318 or the
// whole URL of its path for traces, until it is closed.
func NewForwarder(endpoint string) (*Forwarder, error) {
	to, err := TracesURL(endpoint)
	if err != nil {
		return nil, err
	}
	f := &Forwarder{
		url: to, headers: http.Header{},
		client: &http.Client{Timeout: forwardWithin},
		queue:  make(chan []byte, forwardQueue),
		over:   make(chan struct{}), ended: make(chan struct{}),
	}
	for pair := range strings.SplitSeq(os.Getenv(HeadersEnv), ",") {
		key, value, ok := strings.Cut(pair, "=")
		if plain, err := url.PathUnescape(strings.TrimSpace(value)); ok && err == nil {
			f.headers.Set(strings.TrimSpace(key), plain)
		}
	}
	f.headers.Set("Content-Type", MediaType)
	go f.run()
	return f, nil
}

// Send takes a request, which nobody may change any more. It never waits.
func (f *Forwarder) Send(request []byte) {
	select {
	case f.queue <- request:
	default:
		f.dropped.Add(1)
	}
}

// Close sends what waits, for a moment. The error says how many requests the
// collector did not get, and why the last of them.
func (f *Forwarder) Close() error {
	close(f.over)
	<-f.ended
	f.client.CloseIdleConnections()
	n := f.dropped.Load()
	if n == 0 {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last == nil {
		return fmt.Errorf("%d batches of spans were not sent on: the collector is too slow", n)
	}
	return fmt.Errorf("%d batches of spans were not sent on: %w", n, f.last)
}

func (f *Forwarder) run() {
	defer close(f.ended)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for {
		select {
		case request := <-f.queue:
			f.deliver(ctx, request)
			continue
		case <-f.over:
		}
		last, cancel := context.WithTimeout(ctx, forwardLast)
		defer cancel()
		for {
			select {
			case request := <-f.queue:
				f.deliver(last, request)
			default:
				return
			}
		}
	}
}

// deliver tries a few times.
func (f *Forwarder) deliver(ctx context.Context, request []byte) {
	var err error
	for try := range forwardTries {
		if try > 0 {
			select {
			case <-time.After(forwardPause):
			case <-ctx.Done():
			}
		}
		if err = f.post(ctx, request); err == nil {
			return
		}
	}
	f.dropped.Add(1)
	f.mu.Lock()
	f.last = err
	f.mu.Unlock()
}

func (f *Forwarder) post(ctx context.Context, request []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url, bytes.NewReader(request))
	if err != nil {
		return err
	}
	req.Header = f.headers
	res, err := f.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(res.Body, 200))
	if res.StatusCode >= 300 {
		return fmt.Errorf("%s: %s: %s", f.url, res.Status, bytes.TrimSpace(said))
	}
	return nil
}
