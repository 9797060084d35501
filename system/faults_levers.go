package system

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/ordbench/ordbench/system/lever"
)

// Move sets a lever of a replica until the lease is over, and says how often
// it has acted since it was first set so. fresh says that it did not stand so
// before: it was never set, or its process has started anew.
func (s *Stack) Move(ctx context.Context, replica, name string, values map[string]string, lease time.Duration) (acted int64, fresh bool, err error) {
	st, _, err := s.find(replica)
	if err != nil {
		return 0, false, fmt.Errorf("lever %s: %w", name, err)
	}
	body, err := json.Marshal(struct {
		Values  map[string]string `json:"values"`
		LeaseMS int64             `json:"lease_ms"`
	}{values, lease.Milliseconds()})
	if err != nil {
		return 0, false, err
	}
	var state lever.State
	if err := s.pull(ctx, st, http.MethodPut, name, body, &state); err != nil {
		return 0, false, err
	}
	return state.Acted, state.Fresh, nil
}

// LetGo lets a lever go back. One whose process is gone has gone back.
func (s *Stack) LetGo(ctx context.Context, replica, name string) error {
	st, _, err := s.find(replica)
	if err != nil {
		return nil
	}
	err = s.pull(ctx, st, http.MethodDelete, name, nil, nil)
	if _, _, gone := s.find(replica); gone != nil {
		return nil
	}
	return err
}

func (s *Stack) pull(ctx context.Context, st *seat, method, name string, body []byte, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+st.Admin+"/levers/"+name, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := s.probe.client.Do(req)
	if err != nil {
		return fmt.Errorf("lever %s of %s: %w", name, st.Name, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("lever %s of %s: %w", name, st.Name, err)
	}
	if res.StatusCode >= 300 {
		return fmt.Errorf("lever %s of %s: %s", name, st.Name, strings.TrimSpace(string(text)))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}
