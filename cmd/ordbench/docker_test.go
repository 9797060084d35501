package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/runtime/docker"
)

// TestScriptsInContainers is TestScripts with containers of real Kafka, Redis
// and PostgreSQL, one script after the other.
func TestScriptsInContainers(t *testing.T) {
	s, err := docker.Runtime{}.Survey(t.Context(), system.ImagesConfig{})
	if err == nil {
		err = s.Unfit()
	}
	if err != nil && os.Getenv("ORDBENCH_REQUIRE_DOCKER") == "1" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skipf("needs Docker: %v", err)
	}
	inside := compiled(t, "ordbench-linux", ".", "GOOS=linux", "GOARCH="+s.Arch)
	collectorImage, deadImage := makeCollector(t, s.Host, s.Arch)
	p := scripts(t, "testdata/docker")
	setup := p.Setup
	p.Setup = func(env *testscript.Env) error {
		env.Setenv(runtimeVariable, runtimeDocker)
		env.Setenv("PROGRAM", inside)
		env.Setenv("COLLECTOR_IMAGE", collectorImage)
		env.Setenv("DEAD_IMAGE", deadImage)
		return setup(env)
	}
	p.Cmds["containers"] = containers
	p.Cmds["collected"] = collected
	testscript.Run(t, p)
}

// makeCollector makes an image of a collector of traces, and one whose program
// does not start, until the end of the test.
func makeCollector(t *testing.T, host, arch string) (image, dead string) {
	t.Helper()
	text, err := os.ReadFile(compiled(t, "collector", "./testdata/collector", "GOOS=linux", "GOARCH="+arch))
	if err != nil {
		t.Fatal(err)
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	err = w.WriteHeader(&tar.Header{Name: "collector", Mode: 0o755, Size: int64(len(text))})
	if err == nil {
		_, err = w.Write(text)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	api, err := client.New(client.FromEnv, client.WithHost(host))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = api.Close() })
	load := func(image string, changes ...string) string {
		image = fmt.Sprintf("ordbench/test-collector:%s-%d", image, os.Getpid())
		answer, err := api.ImageImport(t.Context(), client.ImageImportSource{Source: bytes.NewReader(layer.Bytes()), SourceName: "-"}, image, client.ImageImportOptions{Changes: changes})
		if err == nil {
			_, err = io.Copy(io.Discard, answer)
			err = errors.Join(err, answer.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if _, err := api.ImageRemove(context.Background(), image, client.ImageRemoveOptions{Force: true}); err != nil {
				t.Error(err)
			}
		})
		return image
	}
	ports := []string{"EXPOSE 4318", "EXPOSE 16686"}
	return load("good", append(ports, `ENTRYPOINT ["/collector"]`)...), load("dead", append(ports, `ENTRYPOINT ["/collector", "dead"]`)...)
}

// collected N waits until the collector in the stack of this script has N
// spans or more, for 20 s at most.
func collected(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: collected N")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(ts.Exec("ordbench", "status", "--json"))
	var st system.Status
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &st))
	if st.Collector == nil {
		ts.Fatalf("the stack has no collector")
	}
	until(ts, 20*time.Second, func() bool {
		res, err := http.Get(st.Collector.UI)
		if err != nil {
			return false
		}
		defer res.Body.Close()
		n := 0
		_, err = fmt.Fscan(res.Body, &n)
		return err == nil && n >= want
	}, "the collector has fewer than %d spans", want)
}

// containers succeeds if this script has containers, networks or volumes. It
// waits for 10 s at most until it has none: `! containers`.
func containers(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 0 {
		ts.Fatalf("usage: containers")
	}
	if !neg {
		if n := madeBy(ts); n == 0 {
			ts.Fatalf("it has no containers")
		}
		return
	}
	until(ts, 10*time.Second, func() bool { return madeBy(ts) == 0 }, "containers, networks or volumes are left")
}

// madeBy counts what is labelled with a claim below the directory of the
// script.
func madeBy(ts *testscript.TestScript) (n int) {
	const label = "org.ordbench.claim"
	s, err := docker.Runtime{}.Survey(context.Background(), system.ImagesConfig{})
	ts.Check(err)
	api, err := client.New(client.FromEnv, client.WithHost(s.Host))
	ts.Check(err)
	defer func() { _ = api.Close() }()
	filter := client.Filters{}.Add("label", label)
	count := func(labels map[string]string) {
		if strings.HasPrefix(labels[label], ts.Getenv("WORK")) {
			n++
		}
	}
	all, err := api.ContainerList(context.Background(), client.ContainerListOptions{All: true, Filters: filter})
	ts.Check(err)
	for _, c := range all.Items {
		count(c.Labels)
	}
	networks, err := api.NetworkList(context.Background(), client.NetworkListOptions{Filters: filter})
	ts.Check(err)
	for _, c := range networks.Items {
		count(c.Labels)
	}
	volumes, err := api.VolumeList(context.Background(), client.VolumeListOptions{Filters: filter})
	ts.Check(err)
	for _, c := range volumes.Items {
		count(c.Labels)
	}
	return n
}
