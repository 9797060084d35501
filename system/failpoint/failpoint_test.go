package failpoint

import (
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

const crashEnv = "ORDBENCH_TEST_CRASH"

func TestMain(m *testing.M) {
	if name := os.Getenv(crashEnv); name != "" {
		p := At(name)
		if err := Arm(name, Plan{Action: Crash, After: 2}); err != nil {
			os.Exit(1)
		}
		for range 2 {
			_ = p.Hit(context.Background())
		}
		println("alive")
		_ = p.Hit(context.Background())
		println("too long alive")
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestACrashIsASIGKILLAtTheHitItIsPlannedFor(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashEnv+"=order.place.after-commit")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL || string(out) != "alive\n" {
		t.Errorf("ended with %v after %q, want SIGKILL after the second hit", err, out)
	}
}

func TestHitDoesWhatThePlanSays(t *testing.T) {
	p := At("payment.before-charge")
	t.Cleanup(func() { _ = Disarm(p.name) })
	ctx := t.Context()
	for _, row := range []struct {
		name string
		plan *Plan
		want string // one letter for each hit: e, an error; ., nothing
	}{
		{"a point that is not armed does nothing", nil, "..."},
		{"an error at each hit", &Plan{Action: Error}, "eee"},
		{"after two hits", &Plan{Action: Error, After: 2}, "..ee"},
		{"so many times", &Plan{Action: Error, Times: 2}, "ee.."},
		{"once, after one hit", &Plan{Action: Error, After: 1, Times: 1}, ".e.."},
		{"with certainty", &Plan{Action: Error, Probability: 1}, "eee"},
		{"a pause is no error", &Plan{Action: Pause, For: time.Nanosecond}, ".."},
	} {
		t.Run(row.name, func(t *testing.T) {
			_ = Disarm(p.name)
			if row.plan != nil {
				if err := Arm(p.name, *row.plan); err != nil {
					t.Fatal(err)
				}
			}
			got := ""
			for range row.want {
				switch err := p.Hit(ctx); {
				case err == nil:
					got += "."
				case errors.Is(err, ErrInjected) && strings.Contains(err.Error(), p.name):
					got += "e"
				default:
					t.Fatal(err)
				}
			}
			if got != row.want {
				t.Errorf("hits were %s, want %s", got, row.want)
			}
		})
	}
}

func TestAPauseEndsWithItsContext(t *testing.T) {
	p := At("payment.before-charge")
	t.Cleanup(func() { _ = Disarm(p.name) })
	if err := Arm(p.name, Plan{Action: Pause, For: time.Hour}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Hit(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the end of the context", err)
	}
}

func TestANilPointIsNeverArmed(t *testing.T) {
	if err := (*Point)(nil).Hit(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestANameOutsideTheCatalogueIsAMistake(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("declared")
		}
	}()
	At("order.for-fun")
}

func TestHandler(t *testing.T) {
	At("payment.before-charge")
	t.Cleanup(func() { _ = Disarm("payment.before-charge") })
	t.Setenv(HostVariable, "10.0.0.1")
	h := Handler("payment")
	const here, there, host = "127.0.0.1:4711", "10.0.0.9:4711", "10.0.0.1:4711"
	for _, row := range []struct {
		name, from, method, path, body string
		want                           int
		says                           string
	}{
		{"who is there", here, "GET", "/failpoints", "", 200, `"name":"payment.before-charge"`},
		{"the host of the container", host, "GET", "/failpoints", "", 200, `"name":"payment.before-charge"`},
		{"arm", here, "PUT", "/failpoints/payment.before-charge", `{"action":"error","times":3}`, 204, ""},
		{"it is armed", here, "GET", "/failpoints", "", 200, `"armed":{"action":"error","times":3}`},
		{"disarm", here, "DELETE", "/failpoints/payment.before-charge", "", 204, ""},
		{"an unknown point names those that there are", here, "PUT", "/failpoints/payment.nowhere", `{"action":"crash"}`, 404, "payment.before-charge"},
		{"an unknown action", here, "PUT", "/failpoints/payment.before-charge", `{"action":"explode"}`, 400, "explode"},
		{"an unknown key", here, "PUT", "/failpoints/payment.before-charge", `{"action":"crash","when":1}`, 400, "when"},
		{"two plans", here, "PUT", "/failpoints/payment.before-charge", `{"action":"crash"}{}`, 400, "goes on"},
		{"a pause without a length", here, "PUT", "/failpoints/payment.before-charge", `{"action":"pause"}`, 400, "for must be"},
		{"a stranger may not look", there, "GET", "/failpoints", "", 403, "loopback"},
		{"a stranger may not arm", there, "PUT", "/failpoints/payment.before-charge", `{"action":"crash"}`, 403, "loopback"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := httptest.NewRequest(row.method, row.path, strings.NewReader(row.body))
			r.RemoteAddr = row.from
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != row.want || !strings.Contains(w.Body.String(), row.says) {
				t.Errorf("%d %s, want %d and %q", w.Code, w.Body, row.want, row.says)
			}
		})
	}
	if a := points["payment.before-charge"].armed.Load(); a != nil {
		t.Errorf("armed with %+v by a request that was refused", a.Plan)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(`{"action":"pause","for":1000,"after":3,"times":1,"probability":0.5}`)
	f.Add(`{"action":"crash"}{}`)
	f.Fuzz(func(t *testing.T, body string) {
		plan, err := decode(strings.NewReader(body))
		if err == nil && plan.Validate() != nil {
			t.Errorf("%q gave %+v, which is not valid", body, plan)
		}
	})
}

func BenchmarkHitUnarmed(b *testing.B) {
	p, ctx := At("payment.before-charge"), b.Context()
	for b.Loop() {
		_ = p.Hit(ctx)
	}
}
