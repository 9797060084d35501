package docker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ordbench/ordbench/system"
)

// homeless takes away every way to find a daemon.
func homeless(t *testing.T) (home string) {
	t.Helper()
	home = t.TempDir()
	for name, value := range map[string]string{
		"HOME": home, "XDG_RUNTIME_DIR": filepath.Join(home, "run"), "DOCKER_HOST": "", "DOCKER_CONFIG": "", "DOCKER_CONTEXT": "",
	} {
		t.Setenv(name, value)
	}
	before := systemSocket
	systemSocket = filepath.Join(home, "docker.sock")
	t.Cleanup(func() { systemSocket = before })
	return home
}

// listenAt makes a socket with whoever serves it.
func listenAt(t *testing.T, path string, serve func(net.Listener)) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go serve(l)
}

func TestTheDaemonIsTheOneOfTheDockerCommand(t *testing.T) {
	home := homeless(t)
	if host, _, err := daemonHost(); !errors.Is(err, errNoDaemon) {
		t.Errorf("found %q, %v, where there is none", host, err)
	}
	is := func(want, says string) {
		t.Helper()
		if host, by, err := daemonHost(); host != want || !strings.Contains(by, says) || err != nil {
			t.Errorf("%s from %s, %v, want %s from %s", host, by, err, want, says)
		}
	}
	listenAt(t, filepath.Join(home, "run", "docker.sock"), func(net.Listener) {})
	is("unix://"+home+"/run/docker.sock", "run/docker.sock") // of a daemon without root
	listenAt(t, systemSocket, func(net.Listener) {})
	is("unix://"+systemSocket, systemSocket)
	sum := sha256.Sum256([]byte("colima"))
	meta := filepath.Join(home, ".docker", "contexts", "meta", hex.EncodeToString(sum[:]), "meta.json")
	if err := os.MkdirAll(filepath.Dir(meta), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(meta, `{"Name":"colima","Endpoints":{"docker":{"Host":"unix:///colima/docker.sock"}}}`)
	write(filepath.Join(home, ".docker", "config.json"), `{"currentContext":"colima"}`)
	is("unix:///colima/docker.sock", "context colima")
	t.Setenv("DOCKER_CONTEXT", "default")
	is("unix://"+systemSocket, systemSocket)
	t.Setenv("DOCKER_HOST", "tcp://127.0.0.1:2375")
	is("tcp://127.0.0.1:2375", "DOCKER_HOST")
}

func FuzzParseContext(f *testing.F) {
	f.Add([]byte(`{"Name":"colima","Endpoints":{"docker":{"Host":"unix:///colima/docker.sock"}}}`))
	f.Add([]byte(`{"Endpoints":[]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if host := parseContext(text); host != "" && !json.Valid(text) {
			t.Errorf("%q out of %q", host, text)
		}
	})
}

// A daemon that was named and is not there is an error: another one must not
// be taken in its place.
func TestADaemonThatCantBeHadIsOneClearError(t *testing.T) {
	home := homeless(t)
	listenAt(t, systemSocket, daemon{}.serve)
	hung := filepath.Join(home, "hung.sock")
	listenAt(t, hung, func(l net.Listener) {
		for {
			if _, err := l.Accept(); err != nil {
				return
			}
		}
	})
	for _, row := range []struct{ name, host, says string }{
		{"nonsense", "nonsense", "nonsense"},
		{"a scheme that there is not", "carrier-pigeon://coop", "carrier-pigeon"},
		{"a socket that is not there", "unix:///nowhere.sock", "nowhere.sock"},
		{"a daemon that does not answer", "unix://" + hung, "does not answer within 50ms"},
		{"another machine", "tcp://192.0.2.1:2375", "192.0.2.1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Setenv("DOCKER_HOST", row.host)
			_, err := dial(t.Context(), 50*time.Millisecond)
			var none *UnavailableError
			if !errors.As(err, &none) || !strings.Contains(err.Error(), row.says) || !strings.Contains(err.Error(), "--runtime local") {
				t.Fatalf("%v", err)
			}
			if yes, why := choice(Survey{}, err); yes || !strings.HasPrefix(why, "no Docker daemon: ") || strings.Contains(why, "\n") {
				t.Errorf("%v, %q", yes, why)
			}
		})
	}
}

// daemon answers what a survey asks.
type daemon struct {
	os     string
	images []string // that it has
	hub    []string // that the registry has
}

func (d daemon) serve(l net.Listener) { _ = http.Serve(l, d.handler()) } // until the listener is closed

func (d daemon) handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		if rest, ok := strings.CutPrefix(path, "/v1.41"); ok {
			path = rest
		}
		name := func(prefix string) (string, bool) {
			rest, ok := strings.CutPrefix(path, prefix)
			return strings.TrimSuffix(rest, "/json"), ok
		}
		w.Header().Set("Api-Version", "1.41")
		answer := func(has []string, image string) {
			for _, i := range has {
				if i == image {
					fmt.Fprint(w, `{}`)
					return
				}
			}
			http.Error(w, `{"message":"no such image"}`, http.StatusNotFound)
		}
		switch path {
		case "/_ping":
		case "/version":
			fmt.Fprintf(w, `{"Version":"20.10.24","ApiVersion":"1.41","Os":%q,"Arch":"amd64"}`, d.os)
		case "/info":
			fmt.Fprint(w, `{"DockerRootDir":"/nowhere","Driver":"overlay2"}`)
		default:
			if image, ok := name("/images/"); ok {
				answer(d.images, image)
			} else if image, ok := name("/distribution/"); ok {
				answer(d.hub, image)
			} else {
				http.Error(w, `{"message":"nobody asks that"}`, http.StatusTeapot)
			}
		}
	})
}

func TestAutoTakesDockerWhereAllOfItIsThere(t *testing.T) {
	built := []string{"ordbench/kafka:local", "ordbench/redis:local", "ordbench/postgres:local"}
	for i, row := range []struct {
		name   string
		daemon daemon
		change func(*system.Config)
		yes    bool
		says   string
	}{
		{"every image is there", daemon{os: "linux", images: built}, nil, true, "has every image"},
		{"one has to be pulled", daemon{os: "linux", images: built[:2], hub: []string{"postgres:17"}}, nil, true, "can pull postgres:17"},
		{"one is nowhere", daemon{os: "linux", images: built[1:]}, nil, false, "no image for Apache Kafka: apache/kafka:4.1.0"},
		{"one that was asked for is nowhere", daemon{os: "linux", images: built}, func(c *system.Config) { c.Images.Redis = "redis:1" }, false, "no image for Redis: redis:1"},
		{"other containers", daemon{os: "windows", images: built}, nil, false, "windows containers"},
		{"what it can't do", daemon{os: "linux", images: built}, func(c *system.Config) { c.Gateway.Replicas = 2 }, false, "one gateway"},
	} {
		t.Run(row.name, func(t *testing.T) {
			homeless(t)
			listenAt(t, systemSocket, row.daemon.serve)
			cfg := system.DefaultConfig()
			if row.change != nil {
				row.change(&cfg)
			}
			if err := supports(cfg); err != nil {
				if row.yes || !strings.Contains(err.Error(), row.says) {
					t.Error(i, err)
				}
				return
			}
			s, err := Runtime{}.Survey(t.Context(), cfg.Images)
			if err == nil && s.Binary == nil {
				t.Error("a test is not a program for an image")
			}
			s.Binary = nil
			if yes, why := choice(s, err); yes != row.yes || !strings.Contains(why, row.says) || strings.Contains(why, "\n") {
				t.Errorf("%v, %q, want %v and %q", yes, why, row.yes, row.says)
			}
		})
	}
	if yes, why := choice(Survey{OS: "linux", Binary: errors.New("it is not static")}, nil); yes || !strings.Contains(why, "not static") {
		t.Errorf("%v, %q: auto must not build", yes, why)
	}
}

func TestWhatIsMissingIsSaidWithARemedy(t *testing.T) {
	homeless(t)
	t.Setenv("DOCKER_HOST", "unix:///nowhere.sock")
	found := map[string]string{}
	for _, f := range (Runtime{}).Examine(context.Background(), system.ImagesConfig{}) {
		found[f.Need] = string(f.State)
		if (f.State == "missing") && f.Remedy == "" {
			t.Errorf("%+v has no remedy", f)
		}
	}
	if found["Docker daemon"] != "missing" || found["ports"] == "" || found["memory"] == "" {
		t.Errorf("found %v", found)
	}
	listenAt(t, systemSocket, daemon{os: "linux", images: []string{"ordbench/redis:local"}}.serve)
	t.Setenv("DOCKER_HOST", "")
	clear(found)
	for _, f := range (Runtime{}).Examine(context.Background(), system.ImagesConfig{}) {
		found[f.Need] = string(f.State)
	}
	for need, state := range map[string]string{
		"Docker daemon": "ok", "Docker API": "ok", "image of Redis": "ok", "image of Apache Kafka": "missing", "static program": "limited",
	} {
		if found[need] != state {
			t.Errorf("%s is %q, want %s", need, found[need], state)
		}
	}
}

func TestVersionsAreComparedAsNumbers(t *testing.T) {
	for _, row := range []struct {
		version string
		older   bool
	}{{"1.40", true}, {"1.41", false}, {"1.9", true}, {"1.100", false}, {"2.0", false}, {"", false}, {"none", false}} {
		if got := older(row.version, leastAPI); got != row.older {
			t.Errorf("%q older than %s: %v", row.version, leastAPI, got)
		}
	}
}
