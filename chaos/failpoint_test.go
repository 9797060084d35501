package chaos

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// mined is a lab whose replica dies of a failpoint, and does not answer until
// it is back.
type mined struct {
	*lab
	pid  int
	dies time.Time
}

var errDead = errors.New("connection refused")

func (m *mined) answers(replica string) error {
	if m.pid == 1 && !time.Now().Before(m.dies) {
		m.mu.Lock()
		m.state[replica], m.backAt[replica] = "dead", m.dies.Add(startTime)
		m.mu.Unlock()
		m.pid = 2
	}
	if m.stateOf(replica) == "dead" {
		return errDead
	}
	return nil
}

func (m *mined) ArmFailpoint(_ context.Context, replica, _, _ string, _ time.Duration) (int, error) {
	return m.pid, m.answers(replica)
}

func (m *mined) Failpoint(_ context.Context, replica, _ string) (int64, bool, int, error) {
	err := m.answers(replica)
	return 0, true, m.pid, err
}

func (m *mined) DisarmFailpoint(_ context.Context, replica, _ string) error {
	return m.answers(replica)
}

// A crash in the last moment is a crash: whoever looks then finds nobody, and
// has to wait for the one who comes back.
func TestAFailpointThatStrikesAtItsEndIsProvenAndUndone(t *testing.T) {
	for _, at := range []time.Duration{0, 500 * time.Millisecond, 990 * time.Millisecond, time.Second} {
		t.Run(at.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &mined{lab: newLab("inventory-0"), pid: 1, dies: time.Now().Add(at + time.Nanosecond)}
				e := New(m, nil, nil)
				_, err := e.Inject(t.Context(), Spec{Fault: "failpoint", Target: "inventory", Options: Options{"point": "inventory.after-commit", "for": "1s"}})
				if err != nil {
					t.Fatal(err)
				}
				e.Wait()
				if r := e.Records()[0]; at < time.Second && !r.Effective || !r.Reverted || at < time.Second && r.Error != "" {
					t.Errorf("%+v", r)
				}
			})
		})
	}
}
