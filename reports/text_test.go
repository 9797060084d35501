package reports

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares a rendering with testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s, -want +got (rewrite with -update):\n%s", path, diff)
	}
}

func TestText(t *testing.T) {
	for _, tt := range []struct {
		name   string
		result *Result
		o      TextOptions
	}{
		{"pass", passed(t), TextOptions{Dir: "results/spike/20260102T030405Z"}},
		{"pass-narrow", passed(t), TextOptions{Width: 60}},
		{"pass-wide", passed(t), TextOptions{Width: 160}},
		{"integrity", lossy(t), TextOptions{}},
		{"integrity-color", lossy(t), TextOptions{Color: true}},
		{"inconclusive", doubtful(t), TextOptions{}},
		{"empty", empty(), TextOptions{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := Text(&b, tt.result, tt.o); err != nil {
				t.Fatal(err)
			}
			golden(t, tt.name+".txt", b.Bytes())
			first, _, _ := strings.Cut(b.String(), "\n")
			if !tt.o.Color && !strings.HasPrefix(first, strings.ToUpper(string(tt.result.Verdict.Outcome))+"  "+tt.result.Scenario.Name) {
				t.Errorf("the first line is not the verdict: %q", first)
			}
			if again := tt.result.Run.Command; again != "" && !strings.HasSuffix(b.String(), again+"\n") {
				t.Error("the last line is not the command that repeats the run")
			}
		})
	}
}

var ansi = regexp.MustCompile("\x1b\\[[0-9]*m")

func TestTextKeepsItsWidth(t *testing.T) {
	for _, width := range []int{60, 72, 80, 100, 132, 200} {
		for _, r := range []*Result{passed(t), lossy(t), doubtful(t)} {
			var b bytes.Buffer
			if err := Text(&b, r, TextOptions{Width: width, Color: true}); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(ansi.ReplaceAllString(b.String(), "")) {
				line = strings.TrimSuffix(line, "\n")
				if utf8.RuneCountInString(line) > width && !strings.HasPrefix(line, "Again: ") {
					t.Errorf("width %d: %q", width, line)
				}
				if strings.ContainsRune(line, '\x1b') || strings.HasSuffix(line, " ") {
					t.Errorf("stray control or space: %q", line)
				}
			}
		}
	}
}

// A common terminal has 80 columns: nothing that is said of a fault is left out.
func TestAllOfAFaultFitsATerminal(t *testing.T) {
	var b bytes.Buffer
	r := passed(t)
	r.Faults[0].During.Recorded = true
	if err := Text(&b, r, TextOptions{Width: 80}); err != nil {
		t.Fatal(err)
	}
	for _, title := range []string{"detected", "recovered", "ok/s during", "before", "of budget", "longest outage", "breaker open", "half open", "closed", "max lag", "drained", "scaled out"} {
		if _, faults, _ := strings.Cut(b.String(), "\nFaults\n"); !strings.Contains(faults, title) {
			t.Errorf("no %q in\n%s", title, faults)
		}
	}
}

func TestSparkline(t *testing.T) {
	for _, tt := range []struct {
		name  string
		steps []step
		width int
		want  string
	}{
		{"nothing", nil, 4, ""},
		{"all zero", []step{{0, 0}}, 4, "▁▁▁▁"},
		{"a value holds until the next", []step{{0, 1}, {50, 2}}, 4, "▅▅██"},
		{"a peak between two slices shows", []step{{0, 0}, {26, 70}, {27, 0}}, 4, "▁█▁▁"},
		{"blank before the first", []step{{50, 3}}, 4, "  ██"},
		{"little is more than nothing", []step{{0, 0}, {50, 1}, {75, 1000}}, 4, "▁▁▂█"},
		{"the last moment belongs to it", []step{{0, 0}, {100, 5}}, 4, "▁▁▁█"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := sparkline(tt.steps, 0, 100, tt.width); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestFormatValue(t *testing.T) {
	for _, tt := range []struct {
		value float64
		unit  string
		want  string
	}{
		{250, UnitMS, "250ms"}, {0.25, UnitMS, "0.25ms"}, {1500, UnitMS, "1.5s"}, {90_000, UnitMS, "1m30s"},
		{0.01, UnitShare, "1%"}, {0.00012, UnitShare, "0.012%"}, {1, UnitShare, "100%"},
		{449.5, UnitPerSecond, "449.5/s"}, {0, UnitCount, "0"}, {12_000, UnitCount, "12000"},
	} {
		if got := FormatValue(tt.value, tt.unit); got != tt.want {
			t.Errorf("%v %s is %q, want %q", tt.value, tt.unit, got, tt.want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000"} {
		if got := number(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

func TestHGRM(t *testing.T) {
	var b bytes.Buffer
	if err := WriteHGRM(&b, passed(t), "read_order"); err != nil {
		t.Fatal(err)
	}
	golden(t, "read_order.hgrm", b.Bytes())
	// As the plotter reads it: four columns, the value and 1/(1-percentile).
	rows := 0
	for line := range strings.Lines(b.String()) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "#") && len(strings.Fields(line)) == 4 && !strings.HasPrefix(line, "Value") {
			rows++
		}
	}
	if rows < 20 {
		t.Errorf("%d rows", rows)
	}
	b.Reset()
	if err := WriteHGRM(&b, passed(t)); err != nil || strings.Count(b.String(), "#[Mean") != 2 {
		t.Errorf("%v: not one section for each operation:\n%s", err, b.String())
	}
	r := passed(t)
	r.Latency[4].Histogram = "AAAA"
	if err := WriteHGRM(&b, r); err == nil {
		t.Error("a damaged histogram went through")
	}
}

func TestSummaryAndJUnit(t *testing.T) {
	for name, r := range map[string]*Result{"pass": passed(t), "integrity": lossy(t), "inconclusive": doubtful(t)} {
		var b bytes.Buffer
		if err := Summary(&b, r); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".md", b.Bytes())
		b.Reset()
		if err := JUnit(&b, r); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".junit.xml", b.Bytes())
		var suite junitSuite
		if err := xml.Unmarshal(b.Bytes(), &suite); err != nil {
			t.Fatal(err)
		}
		if green := suite.Failures+suite.Errors == 0; green != (r.Verdict.Outcome == Pass) || suite.Tests != len(suite.Cases) {
			t.Errorf("%s: %+v", name, suite)
		}
	}
}

// FuzzRenderings holds that whatever can be read can be rendered.
func FuzzRenderings(f *testing.F) {
	for _, r := range []*Result{passed(f), lossy(f), doubtful(f), empty()} {
		// Small seeds: the fuzzer spends a minute on making a large one small.
		for i := range r.Consumers {
			r.Consumers[i].Lag = r.Consumers[i].Lag[:2]
		}
		r.Latency, r.Completion = r.Latency[:min(1, len(r.Latency))], nil
		for i := range r.Latency {
			r.Latency[i] = distribution(f, "place_order", "", ResponseClock, 3, 4)
		}
		encoded, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(encoded, 80)
	}
	f.Add([]byte(`{"schema_version":"1","consumers":[{"lag":[{"at_ms":9223372036854775807,"total":9223372036854775807}]}]}`), 3)
	f.Fuzz(func(t *testing.T, encoded []byte, width int) {
		r, err := Decode(bytes.NewReader(encoded))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := Text(&b, r, TextOptions{Width: min(width, 300), Color: true}); err != nil {
			t.Fatal(err)
		}
		if err := Summary(&b, r); err != nil {
			t.Fatal(err)
		}
		if err := JUnit(&b, r); err != nil {
			t.Fatal(err)
		}
		_ = WriteHGRM(&b, r) // a damaged histogram is an error, not a panic
	})
}
