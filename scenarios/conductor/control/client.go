package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ordbench/ordbench/chaos"
	"github.com/ordbench/ordbench/system"
)

// Client speaks to one running stack.
type Client struct {
	Info Info
	http *http.Client
}

// List returns the stacks of this user that answer, oldest first, and sweeps
// the sockets that nobody listens on any more.
func List(ctx context.Context) ([]Info, error) {
	dir, err := Dir()
	if err != nil {
		return nil, err
	}
	paths, err := filepath.Glob(socketPath(dir, "*"))
	if err != nil {
		return nil, err
	}
	var infos []Info
	for _, path := range paths {
		c, err := dial(ctx, path)
		switch {
		case err == nil:
			infos = append(infos, c.Info)
		case refused(path):
			os.Remove(path)
		}
	}
	slices.SortFunc(infos, func(a, b Info) int { return a.StartedAt.Compare(b.StartedAt) })
	return infos, nil
}

// refused says that path is a socket without a listener: its stack is gone.
func refused(path string) bool {
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return false
	}
	return strings.Contains(err.Error(), "connection refused")
}

// Dial reaches the stack id; "" is the only one that runs. Its error is
// ErrNone, or names the stacks to choose from.
func Dial(ctx context.Context, id string) (*Client, error) {
	if id != "" {
		dir, err := Dir()
		if err != nil {
			return nil, err
		}
		if c, err := dial(ctx, socketPath(dir, id)); err == nil {
			return c, nil
		}
	}
	infos, err := List(ctx)
	if err != nil {
		return nil, err
	}
	if len(infos) == 0 {
		return nil, ErrNone
	}
	if id == "" && len(infos) == 1 {
		return Dial(ctx, infos[0].ID)
	}
	ids := make([]string, len(infos))
	for i, info := range infos {
		ids[i] = info.ID
	}
	if id != "" {
		return nil, fmt.Errorf("no stack %q is running; there is %s", id, strings.Join(ids, ", "))
	}
	return nil, fmt.Errorf("%d stacks are running: choose one with --stack: %s", len(ids), strings.Join(ids, ", "))
}

func dial(ctx context.Context, path string) (*Client, error) {
	c := &Client{http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		},
		DisableKeepAlives: true,
	}}}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return c, c.call(ctx, http.MethodGet, "/info", nil, &c.Info)
}

// Status is the stack at this moment.
func (c *Client) Status(ctx context.Context) (st system.Status, err error) {
	return st, c.call(ctx, http.MethodGet, "/status", nil, &st)
}

// Inject injects one fault and returns when its effect is proven. A mistake
// in spec is a *chaos.UsageError.
func (c *Client) Inject(ctx context.Context, spec chaos.Spec) (rec chaos.Record, err error) {
	return rec, c.call(ctx, http.MethodPost, "/faults", spec, &rec)
}

// Heal undoes every fault that stands.
func (c *Client) Heal(ctx context.Context) (recs []chaos.Record, err error) {
	return recs, c.call(ctx, http.MethodPost, "/heal", nil, &recs)
}

// Verify audits the stack.
func (c *Client) Verify(ctx context.Context) (v Verification, err error) {
	return v, c.call(ctx, http.MethodPost, "/verify", nil, &v)
}

// Token asks for a bearer token. A mistake in want is a *chaos.UsageError.
func (c *Client) Token(ctx context.Context, want TokenRequest) (t Token, err error) {
	return t, c.call(ctx, http.MethodPost, "/token", want, &t)
}

// DeadLetters are all messages that a group has ever given up.
func (c *Client) DeadLetters(ctx context.Context) (letters []system.DeadLetter, err error) {
	return letters, c.call(ctx, http.MethodGet, "/dead-letters", nil, &letters)
}

// Redrive sends dead letters back, and returns those; "all" is each that still
// matters.
func (c *Client) Redrive(ctx context.Context, ids ...string) (sent []system.DeadLetter, err error) {
	return sent, c.call(ctx, http.MethodPost, "/dead-letters/redrive", ids, &sent)
}

// Down ends the stack and returns when everything of it is gone.
func (c *Client) Down(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/down", nil, nil)
}

func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://stack"+path, &body)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the running stack: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var p problem
		if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
			return fmt.Errorf("ask the running stack: %s", resp.Status)
		}
		if p.Usage != nil {
			return p.Usage
		}
		return errors.New(p.Message)
	}
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("answer of the running stack: %w", err)
	}
	return nil
}
