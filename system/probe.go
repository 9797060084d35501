package system

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// probeLimit bounds one question to an admin endpoint.
const probeLimit = time.Second

// prober asks admin endpoints.
type prober struct{ client http.Client }

func newProber() *prober {
	return &prober{http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second},
		Timeout:   probeLimit,
	}}
}

func (p *prober) close() { p.client.CloseIdleConnections() }

// ready asks whether a replica can take work; the error says why not.
func (p *prober) ready(ctx context.Context, admin string) error {
	code, body, err := p.get(ctx, admin, "/readyz")
	if err != nil {
		return err
	}
	if code != http.StatusOK {
		return errors.New(strings.TrimSpace(string(body)))
	}
	return nil
}

// breakers asks a gateway for its breakers.
func (p *prober) breakers(ctx context.Context, admin string) ([]BreakerSample, error) {
	code, body, err := p.get(ctx, admin, "/breakers")
	if err != nil {
		return nil, err
	}
	if code != http.StatusOK {
		return nil, fmt.Errorf("breakers of %s: status %d", admin, code)
	}
	var samples []BreakerSample
	if err := json.Unmarshal(body, &samples); err != nil {
		return nil, fmt.Errorf("breakers of %s: %w", admin, err)
	}
	return samples, nil
}

func (p *prober) get(ctx context.Context, admin, path string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+path, nil)
	if err != nil {
		return 0, nil, err
	}
	res, err := p.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return res.StatusCode, body, err
}

// keepProbing asks a process whether it is ready until ctx ends: often while
// it is new, since others wait for it, and then at an easy pace.
func (s *seat) keepProbing(ctx context.Context, p Process) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
		s.mu.Lock()
		paused := s.paused
		s.mu.Unlock()
		var err error
		if !paused {
			err = s.probe(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		every := 100 * time.Millisecond
		s.update(func() {
			switch {
			case s.process != p || s.stopping || paused || s.paused:
			case err != nil:
				s.ready, s.detail = false, err.Error()
			case !s.ready:
				s.ready, s.wasReady, s.readyAt, s.detail = true, true, time.Now(), ""
				s.log.Info("ready", "pid", p.PID(), "starts", s.starts)
			}
			switch {
			case s.ready:
				every = 250 * time.Millisecond
			case time.Since(s.startedAt) < 500*time.Millisecond:
				every = 10 * time.Millisecond
			}
		})
		pause.Reset(every)
	}
}
