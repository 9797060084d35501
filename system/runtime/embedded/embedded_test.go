package embedded

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ordbench/ordbench/system/endpoint"
	"github.com/ordbench/ordbench/system/telemetry"
)

// The test binary is also the broker or cache process of the tests.
const (
	envComponent = "ORDBENCH_EMBEDDED_TEST_COMPONENT"
	envConfig    = "ORDBENCH_EMBEDDED_TEST_CONFIG"
)

func TestMain(m *testing.M) {
	if component := os.Getenv(envComponent); component != "" {
		if err := serve(component, os.Getenv(envConfig)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serve runs a component until stdin ends, as it does when the test dies.
func serve(component, config string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	log := telemetry.NewLogger(os.Stdout, component, "")
	switch component {
	case "broker":
		var cfg BrokerConfig
		if err := json.Unmarshal([]byte(config), &cfg); err != nil {
			return err
		}
		return RunBroker(ctx, cfg, log)
	default:
		var cfg CacheConfig
		if err := json.Unmarshal([]byte(config), &cfg); err != nil {
			return err
		}
		return RunCache(ctx, cfg, log)
	}
}

// component is a broker or cache with an address and a directory that outlive
// its processes.
type component struct {
	name               string
	listen, admin, dir string

	cmd   *exec.Cmd
	stdin io.Closer
	log   *strings.Builder // of the process that runs, once it has ended
	ended chan struct{}
}

func newComponent(t *testing.T, name string) *component {
	t.Helper()
	c := &component{name: name, dir: t.TempDir()}
	for _, addr := range []*string{&c.listen, &c.admin} {
		r, err := endpoint.Reserve("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Release() })
		*addr = r.Addr()
	}
	t.Cleanup(func() { c.kill(t) })
	return c
}

// start returns once the process says that it is ready.
func (c *component) start(t *testing.T) {
	t.Helper()
	config, err := json.Marshal(BrokerConfig{Replica: c.name + "-0", Listen: c.listen, Admin: c.admin, Dir: c.dir})
	if err != nil {
		t.Fatal(err)
	}
	c.cmd = exec.Command(os.Args[0])
	c.cmd.Env = append(os.Environ(), envComponent+"="+c.name, envConfig+"="+string(config))
	c.cmd.Stderr = os.Stderr
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.stdin, c.log, c.ended = stdin, new(strings.Builder), make(chan struct{})
	lines, ready := bufio.NewScanner(stdout), make(chan bool, 1)
	go func() {
		defer close(c.ended)
		for lines.Scan() {
			fmt.Fprintln(c.log, lines.Text())
			if strings.Contains(lines.Text(), c.name+" ready") {
				ready <- true
			}
		}
		close(ready)
	}()
	if !<-ready {
		t.Fatalf("%s ended before it was ready", c.name)
	}
}

// kill sends SIGKILL and returns what the process had logged.
func (c *component) kill(t *testing.T) string { return c.end(t, func() { c.cmd.Process.Kill() }) }

// stop asks the process to end and waits until it has.
func (c *component) stop(t *testing.T) string { return c.end(t, func() { c.stdin.Close() }) }

func (c *component) end(t *testing.T, by func()) string {
	t.Helper()
	if c.cmd == nil {
		return ""
	}
	by()
	<-c.ended
	err := c.cmd.Wait()
	if status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus); err != nil && (!ok || status.Signal() != syscall.SIGKILL) {
		t.Errorf("%s: %v", c.name, err)
	}
	c.cmd = nil
	return c.log.String()
}

func TestConfigurationNamesEveryProblem(t *testing.T) {
	tests := map[string]struct {
		listen, admin, dir string
		want               []string
	}{
		"nothing":             {"", "", "", []string{"listen address", "admin address", "data directory"}},
		"no port":             {"127.0.0.1", "127.0.0.1:1", "d", []string{`listen address "127.0.0.1"`}},
		"not a host to reach": {":9092", "0.0.0.0:1", "d", []string{`listen address ":9092"`, `admin address "0.0.0.0:1"`}},
		"good":                {"127.0.0.1:9092", "localhost:1", "d", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := BrokerConfig{Listen: test.listen, Admin: test.admin, Dir: test.dir}.Validate()
			if len(test.want) == 0 && err != nil {
				t.Fatal(err)
			}
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v does not say %s", err, want)
				}
			}
		})
	}
}

func TestComponentSaysThatItIsReadyAndServesOneDirectoryAlone(t *testing.T) {
	for _, name := range []string{"broker", "cache"} {
		t.Run(name, func(t *testing.T) {
			c := newComponent(t, name)
			c.start(t)
			getReady(t, c.admin)
			log := telemetry.NewLogger(io.Discard, name, "")
			cfg := BrokerConfig{Listen: "127.0.0.1:1", Admin: "127.0.0.1:1", Dir: c.dir}
			var err error
			if name == "broker" {
				err = RunBroker(t.Context(), cfg, log)
			} else {
				err = RunCache(t.Context(), CacheConfig(cfg), log)
			}
			if err == nil || !strings.Contains(err.Error(), "in use by another process") {
				t.Errorf("a second owner: %v", err)
			}
		})
	}
}

// getReady asks until the admin endpoint, which starts last, says ready.
func getReady(t *testing.T, addr string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		res, err := http.Get("http://" + addr + "/readyz")
		if err == nil {
			body, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
			err = fmt.Errorf("%s: %s", res.Status, body)
		}
		if time.Now().After(deadline) {
			t.Fatalf("not ready: %v", err)
		}
	}
}

func TestComponentThatCannotListenSaysWhere(t *testing.T) {
	r, err := endpoint.Reserve("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	log := telemetry.NewLogger(io.Discard, "", "")
	cfg := BrokerConfig{Listen: "192.0.2.1:9092", Admin: r.Addr(), Dir: t.TempDir()} // an address of nobody
	if err := RunBroker(t.Context(), cfg, log); err == nil || !strings.Contains(err.Error(), "192.0.2.1:9092") {
		t.Errorf("broker: %v", err)
	}
	if err := RunCache(t.Context(), CacheConfig(cfg), log); err == nil || !strings.Contains(err.Error(), "192.0.2.1:9092") {
		t.Errorf("cache: %v", err)
	}
	cfg.Listen, cfg.Admin = r.Addr(), "192.0.2.1:9093"
	if err := RunBroker(t.Context(), cfg, log); err == nil || !strings.Contains(err.Error(), "192.0.2.1:9093") {
		t.Errorf("broker without its admin endpoint: %v", err)
	}
	if err := RunCache(t.Context(), CacheConfig(cfg), log); err == nil || !strings.Contains(err.Error(), "192.0.2.1:9093") {
		t.Errorf("cache without its admin endpoint: %v", err)
	}
}
