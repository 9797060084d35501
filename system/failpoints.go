package system

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/ordbench/ordbench/system/failpoint"
)

// Failpoints are the failpoints of a replica that runs, as they are now.
func (s *Stack) Failpoints(ctx context.Context, replica string) ([]failpoint.State, error) {
	var states []failpoint.State
	err := s.askFailpoints(ctx, replica, http.MethodGet, "", nil, &states)
	return states, err
}

// Arm makes a failpoint of one replica strike by plan until it is disarmed or
// its process ends: one that starts again starts with nothing armed.
func (s *Stack) Arm(ctx context.Context, replica, name string, plan failpoint.Plan) error {
	return s.askFailpoints(ctx, replica, http.MethodPut, "/"+url.PathEscape(name), plan, nil)
}

// Disarm makes a failpoint of one replica do nothing.
func (s *Stack) Disarm(ctx context.Context, replica, name string) error {
	return s.askFailpoints(ctx, replica, http.MethodDelete, "/"+url.PathEscape(name), nil, nil)
}

func (s *Stack) askFailpoints(ctx context.Context, replica, method, path string, in, out any) error {
	st, _, err := s.find(replica)
	if err != nil {
		return fmt.Errorf("failpoints: %w", err)
	}
	if err := s.probe.ask(ctx, st.Admin, method, "/failpoints"+path, in, out); err != nil {
		return fmt.Errorf("failpoints of %s: %w", replica, err)
	}
	return nil
}

// ask exchanges JSON with an admin endpoint. Any answer but a 2xx is an error
// that has what the answer says.
func (p *prober) ask(ctx context.Context, admin, method, path string, in, out any) error {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+admin+path, &body)
	if err != nil {
		return err
	}
	res, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	switch {
	case err != nil:
		return err
	case res.StatusCode/100 != 2:
		return fmt.Errorf("%s: %s", res.Status, strings.TrimSpace(string(answer)))
	case out == nil:
		return nil
	}
	return json.Unmarshal(answer, out)
}
