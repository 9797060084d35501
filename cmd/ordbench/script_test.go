package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/shirou/gopsutil/v4/process"
)

// TestScripts runs the command line as a user does, each script with results
// and control sockets of its own.
func TestScripts(t *testing.T) {
	p := scripts(t, "testdata/script")
	setup := p.Setup
	p.Setup = func(env *testscript.Env) error {
		env.Setenv(runtimeVariable, runtimeLocal) // whatever this machine has
		return setup(env)
	}
	testscript.Run(t, p)
}

// scripts are those of a directory, with the commands that they have.
func scripts(t *testing.T, dir string) testscript.Params {
	path := filepath.Dir(program(t)) + string(os.PathListSeparator) + os.Getenv("PATH")
	return testscript.Params{
		Dir: dir,
		Setup: func(env *testscript.Env) error {
			run, err := os.MkdirTemp("", "ob") // short: a socket's path has 107 bytes
			if err != nil {
				return err
			}
			env.Defer(func() { os.RemoveAll(run) })
			env.Setenv("PATH", path)
			env.Setenv("XDG_RUNTIME_DIR", run)
			env.Setenv("RUN", run)
			quick, err := os.ReadFile("testdata/quick.yaml")
			if err != nil {
				return err
			}
			// Whatever a script left running would disturb those that follow.
			env.Defer(func() {
				for _, p := range processesWith(env.WorkDir) {
					p.Kill()
				}
			})
			return os.WriteFile(filepath.Join(env.WorkDir, "quick.yaml"), quick, 0o644)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"awaitstack": awaitStack,
			"collector":  collector,
			"nothing":    nothingLeft,
			"signal":     signalStack,
			"jsonhas":    jsonHas,
			"target":     startTarget,
			"order":      placeOrder,
			"try":        tryGateway,
			"onrecord":   onRecord,
			"nosecret":   noSecret,
		},
	}
}

// awaitstack waits until a stack of this script answers, for 60 s at most.
func awaitStack(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: awaitstack")
	}
	until(ts, 60*time.Second, func() bool { return ts.Exec("ordbench", "status") == nil }, "no stack came up")
}

// nothing left waits until no process of this script's stacks is left, for
// 5 s at most.
func nothingLeft(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 || args[0] != "left" {
		ts.Fatalf("usage: nothing left")
	}
	until(ts, 5*time.Second, func() bool { return len(processesWith(ts.Getenv("WORK"))) == 0 },
		"processes are left: %v", processesWith(ts.Getenv("WORK")))
}

// signal NAME sends a signal to the ordbench that plays or keeps the stack of
// this script.
func signalStack(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]syscall.Signal{"INT": syscall.SIGINT, "KILL": syscall.SIGKILL, "TERM": syscall.SIGTERM}
	if neg || len(args) != 1 || signals[args[0]] == 0 {
		ts.Fatalf("usage: signal INT|KILL|TERM")
	}
	for _, p := range processesWith(ts.Getenv("WORK")) {
		line, err := p.CmdlineSlice()
		if err == nil && len(line) > 1 && line[1] != "serve" {
			ts.Check(p.SendSignal(signals[args[0]]))
			return
		}
	}
	ts.Fatalf("no ordbench is running")
}

// jsonhas FILE TEXT checks that FILE holds TEXT, white space aside.
func jsonHas(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: jsonhas FILE TEXT")
	}
	squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
	if has := strings.Contains(squeeze(ts.ReadFile(args[0])), squeeze(args[1])); has == neg {
		ts.Fatalf("%s: holds %s: %v", args[0], args[1], has)
	}
}

// order places one order as the article does, and fails unless it is
// accepted.
func placeOrder(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: order")
	}
	ts.Check(ts.Exec("ordbench", "token"))
	resp := ask(ts, "POST", "/orders", ts.ReadFile("stdout"), `{"user_id":"u123","total":99.95}`)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted || !strings.HasPrefix(resp.Header.Get("Location"), "/orders/") {
		ts.Fatalf("answer %s, Location %q", resp.Status, resp.Header.Get("Location"))
	}
}

// try METHOD PATH TOKEN [BODY] asks the gateway with the token in a file, - is
// none; stdout is the status, the header and the body of the answer.
func tryGateway(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || len(args) > 4 {
		ts.Fatalf("usage: try METHOD PATH TOKEN [BODY]")
	}
	token, body := "", ""
	if args[2] != "-" {
		token = ts.ReadFile(args[2])
	}
	if len(args) == 4 {
		body = args[3]
	}
	resp := ask(ts, args[0], args[1], token, body)
	defer resp.Body.Close()
	fmt.Fprintln(ts.Stdout(), resp.StatusCode)
	for name, values := range resp.Header {
		if name == "Www-Authenticate" {
			name = "WWW-Authenticate"
		}
		fmt.Fprintf(ts.Stdout(), "%s: %s\n", name, strings.Join(values, ", "))
	}
	_, err := io.Copy(ts.Stdout(), resp.Body)
	ts.Check(err)
}

// ask sends one request to the gateway of this script's stack.
func ask(ts *testscript.TestScript, method, path, token, body string) *http.Response {
	ts.Check(ts.Exec("ordbench", "status", "--json"))
	var status struct {
		URL string `json:"url"`
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &status))
	req, err := http.NewRequest(method, status.URL+path, strings.NewReader(body))
	ts.Check(err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(token))
	}
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	return resp
}

// onrecord TEXT checks that the audit log of this script's stack has a line
// with TEXT.
func onRecord(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: onrecord TEXT")
	}
	logs, err := filepath.Glob(filepath.Join(ts.Getenv("WORK"), "out", "*", "*", "logs", "audit.jsonl"))
	ts.Check(err)
	for _, log := range logs {
		if strings.Contains(ts.ReadFile(log), args[0]) != neg {
			return
		}
	}
	ts.Fatalf("%s: on record: %v", args[0], neg)
}

// nosecret FILE... checks that nothing a stack left behind holds one of the
// tokens in the files, nor a private key.
func noSecret(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: nosecret FILE...")
	}
	secrets := []string{"PRIVATE KEY"}
	for _, file := range args {
		secrets = append(secrets, strings.TrimSpace(ts.ReadFile(file)))
	}
	searched := 0
	ts.Check(filepath.WalkDir(filepath.Join(ts.Getenv("WORK"), "out"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		searched++
		for _, secret := range secrets {
			if text := ts.ReadFile(path); strings.Contains(text, secret) {
				ts.Fatalf("%s holds a secret: %.20s...", path, secret)
			}
		}
		return nil
	}))
	if searched == 0 {
		ts.Fatalf("nothing was left behind to search")
	}
}

func until(ts *testscript.TestScript, limit time.Duration, done func() bool, format string, args ...any) {
	deadline := time.After(limit)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf(format, args...)
		}
	}
}

// processesWith are the processes whose command line names dir: a run by its
// --out, a component by its configuration.
func processesWith(dir string) []*process.Process {
	all, err := process.Processes()
	if err != nil {
		return nil
	}
	var found []*process.Process
	for _, p := range all {
		line, err := p.Cmdline()
		if err == nil && int(p.Pid) != os.Getpid() && strings.Contains(line, dir) {
			found = append(found, p)
		}
	}
	return found
}

func TestExitCodesAreTheContract(t *testing.T) {
	for _, row := range []struct {
		name string
		err  error
		code int
	}{
		{"nothing went wrong", nil, 0},
		{"a failed gate", &outcomeError{"fail"}, 1},
		{"integrity", &outcomeError{"integrity"}, 2},
		{"inconclusive", &outcomeError{"inconclusive"}, 3},
		{"a mistake in the command line", usageError{errors.New("x")}, 64},
		{"an unknown fault of ordbench", errors.New("x"), 70},
		{"an interrupt", errInterrupted, 130},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := exitCode(row.err); got != row.code {
				t.Errorf("exit code %d, want %d", got, row.code)
			}
		})
	}
}

func TestOfSeveralVerdictsTheWorstCounts(t *testing.T) {
	fail, integrity, inconclusive := &outcomeError{"fail"}, &outcomeError{"integrity"}, &outcomeError{"inconclusive"}
	for _, row := range []struct {
		a, b error
		code int
	}{
		{nil, inconclusive, 3}, {inconclusive, fail, 1}, {fail, inconclusive, 1}, {fail, integrity, 2}, {integrity, fail, 2},
	} {
		if got := exitCode(worse(row.a, row.b)); got != row.code {
			t.Errorf("%v and %v: exit code %d, want %d", row.a, row.b, got, row.code)
		}
	}
}
