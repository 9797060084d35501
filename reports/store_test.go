package reports

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// runDir makes <scenario>/<run> as a run does.
func runDir(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "spike", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestAResultIsReadAsItWasWritten(t *testing.T) {
	dir := runDir(t, "20260102T030405Z")
	want := passed(t)
	if err := Write(dir, want); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "result.json"), dir, filepath.Dir(dir), filepath.Join(filepath.Dir(dir), "latest")} {
		got, at, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, -want +got:\n%s", path, diff)
		}
		if resolved, _ := filepath.EvalSymlinks(at); filepath.Base(resolved) != "20260102T030405Z" {
			t.Errorf("the artifacts of %s are in %s", path, at)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		if !slices.Contains(want.Artifacts, e.Name()) {
			t.Errorf("%s is not among the artifacts", e.Name())
		}
	}
	if diff := cmp.Diff([]string{"junit.xml", "latency.csv", "latency.hgrm", "latency.place_order.hgrm", "latency.prom.pb", "latency.read_order.hgrm", "result.json", "summary.md"}, names); diff != "" {
		t.Errorf("files, -want +got:\n%s", diff)
	}
}

func TestLatestFollowsTheNewestRun(t *testing.T) {
	first := runDir(t, "1")
	second := filepath.Join(filepath.Dir(first), "2")
	if err := os.Mkdir(second, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{first, second} {
		r := empty()
		r.Run.ID = filepath.Base(dir)
		if err := Write(dir, r); err != nil {
			t.Fatal(err)
		}
	}
	r, _, err := Read(filepath.Dir(first))
	if err != nil || r.Run.ID != "2" {
		t.Errorf("run %v, %v", r, err)
	}
	target, err := os.Readlink(filepath.Join(filepath.Dir(first), "latest"))
	if err != nil || target != "2" {
		t.Errorf("the link says %q, %v: it must survive a move of the directory", target, err)
	}
}

func TestListsAreNeverNull(t *testing.T) {
	dir := runDir(t, "1")
	if err := Write(dir, empty()); err != nil {
		t.Fatal(err)
	}
	stored, err := os.ReadFile(filepath.Join(dir, ResultFile))
	if err != nil {
		t.Fatal(err)
	}
	var top map[string]json.RawMessage
	if err := json.Unmarshal(stored, &top); err != nil {
		t.Fatal(err)
	}
	for key, value := range top {
		if string(value) == "null" {
			t.Errorf("%s is null", key)
		}
	}
}

func TestAFullDiskGivesOneErrorAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, ResultFile)
	if err := os.WriteFile(path, []byte("the one before"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := writeFile(path, func(w io.Writer) error {
		if _, err := w.Write([]byte("half of it")); err != nil {
			return err
		}
		return &os.PathError{Op: "write", Path: "/tmp/whatever", Err: syscall.ENOSPC}
	})
	if want := "write " + path + ": no space left on device"; err == nil || err.Error() != want || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	entries, _ := os.ReadDir(dir)
	kept, _ := os.ReadFile(path)
	if len(entries) != 1 || string(kept) != "the one before" {
		t.Errorf("left behind %v, %q", entries, kept)
	}
}

func TestWriteWithoutItsDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone", "1")
	err := Write(dir, empty())
	if want := "write " + filepath.Join(dir, SummaryFile) + ": no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestReadSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct{ name, content, want string }{
		{"no JSON", "verdict: pass", "not a result: invalid character 'v'"},
		{"cut off", `{"schema_version":"1.0"`, "not a result: unexpected EOF"},
		{"more after it", `{"schema_version":"1.0"}{}`, "there is more after its end"},
		{"another JSON", `{"name":"x"}`, "not a result: it has no schema_version"},
		{"a later major version", `{"schema_version":"2.1"}`, "its schema is 2.1, this ordbench reads 1.0"},
	} {
		path := filepath.Join(dir, "result.json")
		if err := os.WriteFile(path, []byte(tt.content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Read(path); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if _, _, err := Read(t.TempDir()); err == nil || !strings.Contains(err.Error(), "holds neither result.json nor a link latest") {
		t.Errorf("empty directory: %v", err)
	}
	if _, _, err := Read(filepath.Join(dir, "nowhere")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
}

func TestALaterMinorVersionIsRead(t *testing.T) {
	r, err := Decode(bytes.NewReader([]byte(`{"schema_version":"1.7","novelty":[1],"run":{"id":"x"}}`)))
	if err != nil || r.Run.ID != "x" {
		t.Errorf("%v, %v", r, err)
	}
}
