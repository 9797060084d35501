package control

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ordbench/ordbench/chaos"
	"github.com/ordbench/ordbench/reports"
	"github.com/ordbench/ordbench/system"
)

// fake answers like a stack.
type fake struct{ down chan struct{} }

func (fake) Status(context.Context) (system.Status, error) {
	return system.Status{URL: "http://127.0.0.1:1", Runtime: "local"}, nil
}

func (fake) Inject(_ context.Context, s chaos.Spec) (chaos.Record, error) {
	switch s.Target {
	case "nobody":
		return chaos.Record{}, &chaos.UsageError{Field: "target", Message: "no nobody here", Hint: "somebody"}
	case "broken":
		return chaos.Record{}, errors.New("no effect")
	}
	return chaos.Record{Spec: s, Effective: true}, nil
}

func (fake) Heal(context.Context) ([]chaos.Record, error) {
	return []chaos.Record{{Reverted: true}}, nil
}

func (fake) Verify(context.Context) (Verification, error) {
	return Verification{Outcome: reports.Pass, Orders: reports.Orders{Accepted: 3}}, nil
}

func (fake) Token(_ context.Context, want TokenRequest) (Token, error) {
	return Token{want.User + " for " + want.For.String()}, nil
}

func (fake) DeadLetters(context.Context) ([]system.DeadLetter, error) {
	return []system.DeadLetter{{ID: "payment-group/3", Cause: "no luck"}}, nil
}

func (fake) Redrive(_ context.Context, ids ...string) ([]system.DeadLetter, error) {
	var sent []system.DeadLetter
	for _, id := range ids {
		sent = append(sent, system.DeadLetter{ID: id, Redriven: true})
	}
	return sent, nil
}

func (f fake) Down(context.Context) error { close(f.down); return nil }

// serve answers as id until the test ends.
func serve(t *testing.T, id string) fake {
	t.Helper()
	l, err := Listen(id)
	if err != nil {
		t.Fatal(err)
	}
	f := fake{make(chan struct{})}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	info := Info{ID: id, StartedAt: time.Now()} // here: the goroutines of two stacks may begin in any order
	go func() { ended <- Serve(ctx, l, info, f) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return f
}

// home gives the test a directory of sockets of its own.
func home(t *testing.T) string {
	dir, err := os.MkdirTemp("", "ob") // short: a socket's path has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("XDG_RUNTIME_DIR", dir)
	return filepath.Join(dir, "ordbench")
}

func TestClientSaysWhatTheStackSays(t *testing.T) {
	home(t)
	f := serve(t, "up-1")
	ctx := context.Background()
	c, err := Dial(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	if c.Info.ID != "up-1" {
		t.Errorf("stack %q", c.Info.ID)
	}
	if st, err := c.Status(ctx); err != nil || st.URL != "http://127.0.0.1:1" {
		t.Errorf("status %v, %v", st, err)
	}
	rec, err := c.Inject(ctx, chaos.Spec{Fault: "kill", Target: "inventory", Options: chaos.Options{"restart_after": "1s"}})
	if err != nil || !rec.Effective || rec.Spec.For() != time.Second || rec.Spec.Source != "command" {
		t.Errorf("record %+v, %v", rec, err)
	}
	if recs, err := c.Heal(ctx); err != nil || len(recs) != 1 || !recs[0].Reverted {
		t.Errorf("healed %v, %v", recs, err)
	}
	if v, err := c.Verify(ctx); err != nil || v.Orders.Accepted != 3 {
		t.Errorf("verification %+v, %v", v, err)
	}
	if d, err := c.DeadLetters(ctx); err != nil || len(d) != 1 || d[0].Cause != "no luck" {
		t.Errorf("dead letters %+v, %v", d, err)
	}
	if d, err := c.Redrive(ctx, "payment-group/3", "x/1"); err != nil || len(d) != 2 || d[1].ID != "x/1" {
		t.Errorf("sent back %+v, %v", d, err)
	}
	if err := c.Down(ctx); err != nil {
		t.Error(err)
	}
	<-f.down
}

func TestErrorsKeepTheirKindOnTheWay(t *testing.T) {
	home(t)
	serve(t, "up-1")
	ctx := context.Background()
	c, err := Dial(ctx, "up-1")
	if err != nil {
		t.Fatal(err)
	}
	var usage *chaos.UsageError
	if _, err := c.Inject(ctx, chaos.Spec{Target: "nobody"}); !errors.As(err, &usage) || usage.Hint != "somebody" {
		t.Errorf("error %v, want a usage error with its hint", err)
	}
	if _, err := c.Inject(ctx, chaos.Spec{Target: "broken"}); err == nil || errors.As(err, &usage) || !strings.Contains(err.Error(), "no effect") {
		t.Errorf("error %v, want another one", err)
	}
}

func TestWhichStackIsMeant(t *testing.T) {
	home(t)
	ctx := context.Background()
	if _, err := Dial(ctx, ""); !errors.Is(err, ErrNone) {
		t.Errorf("error %v, want ErrNone", err)
	}
	serve(t, "up-1")
	serve(t, "up-2")
	if _, err := Dial(ctx, ""); err == nil || !strings.Contains(err.Error(), "up-1, up-2") {
		t.Errorf("error %v, want one that names both", err)
	}
	if _, err := Dial(ctx, "up-3"); err == nil || !strings.Contains(err.Error(), `no stack "up-3"`) {
		t.Errorf("error %v, want one that says there is none", err)
	}
	if c, err := Dial(ctx, "up-2"); err != nil || c.Info.ID != "up-2" {
		t.Errorf("%v, %v", c, err)
	}
}

func TestSocketsLeftBehindAreSwept(t *testing.T) {
	dir := home(t)
	l, err := Listen("dead")
	if err != nil {
		t.Fatal(err)
	}
	l.(socket).Listener.Close() // as a process that is killed: the name stays
	path := filepath.Join(dir, "dead.sock")
	if _, err := os.Lstat(path); err != nil {
		t.Fatal(err)
	}
	if infos, err := List(context.Background()); err != nil || len(infos) != 0 {
		t.Errorf("stacks %v, %v", infos, err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestADirectoryThatOthersCanEnterIsRefused(t *testing.T) {
	dir := home(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen("up-1"); err == nil || !strings.Contains(err.Error(), "mode 0700") {
		t.Errorf("error %v, want one about the mode", err)
	}
}
