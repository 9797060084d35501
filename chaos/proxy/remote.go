package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Remote gives orders to a Station. While any of its rules stands it renews
// the station's lease.
type Remote struct {
	base   string
	token  string
	client *http.Client

	mu      sync.Mutex
	stands  map[string]bool // rules, by route and name
	renewed sync.WaitGroup
	stop    context.CancelFunc // nil: nothing stands
}

// orderLimit bounds one order to a station.
const orderLimit = 5 * time.Second

// Dial returns a Remote of the station whose control port is at addr. It asks
// nothing yet.
func Dial(addr, token string) *Remote {
	return &Remote{
		base: "http://" + addr, token: token,
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}},
		stands: map[string]bool{},
	}
}

// Link is the n-th route of the station's configuration.
func (r *Remote) Link(n int) *RemoteLink { return &RemoteLink{r, n} }

// Close lets go of the station, whose rules end with their lease.
func (r *Remote) Close() error {
	r.mu.Lock()
	clear(r.stands)
	r.keep()
	r.mu.Unlock()
	r.renewed.Wait()
	r.client.CloseIdleConnections()
	return nil
}

// keep renews the lease exactly while rules stand. The caller holds the lock.
func (r *Remote) keep() {
	switch {
	case len(r.stands) == 0 && r.stop != nil:
		r.stop()
		r.stop = nil
	case len(r.stands) > 0 && r.stop == nil:
		ctx, stop := context.WithCancel(context.Background())
		r.stop = stop
		r.renewed.Go(func() {
			tick := time.NewTicker(Lease / 4)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					_ = r.ask(ctx, http.MethodPost, "/lease", nil, nil) // the next one may get through
				case <-ctx.Done():
					return
				}
			}
		})
	}
}

func (r *Remote) note(rule string, stands bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if stands {
		r.stands[rule] = true
	} else {
		delete(r.stands, rule)
	}
	r.keep()
}

// ask gives one order. body and result may be nil.
func (r *Remote) ask(ctx context.Context, method, path string, body, result any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, r.base+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	res, err := r.client.Do(req)
	if err != nil {
		return fmt.Errorf("ask the proxy: %w", err)
	}
	defer res.Body.Close()
	said, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	switch {
	case err != nil:
		return fmt.Errorf("ask the proxy: %w", err)
	case res.StatusCode >= 300:
		return fmt.Errorf("the proxy says: %s", strings.TrimSpace(string(said)))
	case result == nil:
		return nil
	}
	return json.Unmarshal(said, result)
}

// RemoteLink is a Link in another process.
type RemoteLink struct {
	remote *Remote
	route  int
}

func (l *RemoteLink) rule(name string) string {
	return fmt.Sprintf("/routes/%d/rules/%s", l.route, name)
}

// Set is that of a Link. The rule ends with the station's lease when this
// process is gone.
func (l *RemoteLink) Set(name string, r Rule) error {
	ctx, cancel := context.WithTimeout(context.Background(), orderLimit)
	defer cancel()
	if err := l.remote.ask(ctx, http.MethodPut, l.rule(name), r, nil); err != nil {
		return err
	}
	l.remote.note(l.rule(name), true)
	return nil
}

// Clear is that of a Link.
func (l *RemoteLink) Clear(name string) (Count, error) {
	ctx, cancel := context.WithTimeout(context.Background(), orderLimit)
	defer cancel()
	var s ruleState
	err := l.remote.ask(ctx, http.MethodDelete, l.rule(name), nil, &s)
	if err == nil {
		l.remote.note(l.rule(name), false)
	}
	return s.Count, err
}

// Count is that of a Link; false also if the station does not answer.
func (l *RemoteLink) Count(name string) (Count, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), orderLimit)
	defer cancel()
	var s ruleState
	err := l.remote.ask(ctx, http.MethodGet, l.rule(name), nil, &s)
	return s.Count, err == nil && s.Stands
}

// Probe is that of a Link: the bytes are sent within the station.
func (l *RemoteLink) Probe(ctx context.Context, bytes int) (Probe, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return Probe{}, errors.New("a probe needs a deadline")
	}
	// The station keeps the time of the probe, so that the way there does not
	// count as the link's.
	asking, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline.Add(orderLimit))
	defer cancel()
	var p Probe
	err := l.remote.ask(asking, http.MethodPost, fmt.Sprintf("/routes/%d/probe", l.route), probeOrder{bytes, time.Until(deadline)}, &p)
	return p, err
}
