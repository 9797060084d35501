package scenarios

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ordbench/ordbench/loadgen"
)

const traced = `
name: traced
traffic:
  phases:
    - {name: replay, trace: arrivals.csv, for: 3s}
`

// inFile loads a scenario from a directory that has a trace too.
func inFile(t *testing.T, document, arrivals string, overrides ...string) (*Scenario, string, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"scenario.yaml": document, "arrivals.csv": arrivals} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Load(filepath.Join(dir, "scenario.yaml"), overrides...)
	return s, dir, err
}

func TestTraceIsReadFromBesideTheScenario(t *testing.T) {
	s, dir, err := inFile(t, traced, "time,status\n0.5,200\n1.25,200\n2,500\n")
	if err != nil {
		t.Fatal(err)
	}
	want := loadgen.Trace{500 * time.Millisecond, 1250 * time.Millisecond, 2 * time.Second}
	if diff := cmp.Diff(loadgen.Law(want), s.Plan().Phases[0].Law); diff != "" {
		t.Error(diff)
	}
	again, err := Parse("/elsewhere/resolved.yaml", []byte(s.Resolved))
	if err != nil {
		t.Fatal(err)
	}
	if diff := same(s, again); diff != "" {
		t.Errorf("the resolved text is another scenario:\n%s", diff)
	}
	// The same path with other arrivals is another experiment.
	if err := os.WriteFile(filepath.Join(dir, "arrivals.csv"), []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Parse("/elsewhere/resolved.yaml", []byte(s.Resolved)); err == nil || !strings.Contains(err.Error(), "the file has changed") {
		t.Errorf("error %v, want one that the file has changed", err)
	}
	if now, err := Load(filepath.Join(dir, "scenario.yaml")); err != nil || now.SHA256 == s.SHA256 {
		t.Errorf("sum %s again, error %v", s.SHA256, err)
	}
}

func TestTraceThatCanNotBePlayedIsAProblemWithItsPlace(t *testing.T) {
	for _, c := range []struct{ name, old, new, arrivals, want string }{
		{"not there", "arrivals.csv", "missing.csv", "1\n", "missing.csv: no such file"},
		{"a directory", "arrivals.csv", ".", "1\n", "not a file"},
		{"a word in it", "", "", "1\nsoon\n", `line 2: "soon" is not a time`},
		{"drawn at random", "for: 3s", "for: 3s, arrivals: poisson", "1\n", "a trace says itself when attempts arrive"},
		{"a checksum that is none", "arrivals.csv", "{file: arrivals.csv, sha256: abc}", "1\n", "no sha256"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := inFile(t, strings.Replace(traced, c.old, c.new, 1), c.arrivals)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), ":5:") {
				t.Errorf("error %v, want %q in line 5", err, c.want)
			}
		})
	}
}

func TestClosedLoopHasUsersInPlaceOfARate(t *testing.T) {
	s := parsed(t, `
name: closed
traffic:
  phases:
    - {name: warm-up, users: 20, for: 1s, arrivals: closed, record: false}
    - {name: steady, users: 20, think: 50ms, for: 10s, arrivals: closed}
`)
	plan := s.Plan()
	if err := plan.Validate(); err != nil || plan.Users() != 20 {
		t.Errorf("%d users, error %v", plan.Users(), err)
	}
	if diff := cmp.Diff(loadgen.Law(loadgen.Closed{Users: 20, Think: 50 * time.Millisecond}), plan.Phases[1].Law); diff != "" {
		t.Error(diff)
	}
	if diff := same(s, parsed(t, s.Resolved)); diff != "" {
		t.Error(diff)
	}
	var text strings.Builder
	if err := s.Summary().Write(&text); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "20 users, think 50ms, closed") || !strings.Contains(text.String(), "as answers come") {
		t.Error(text.String())
	}
}
