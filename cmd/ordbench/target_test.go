package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// target gives the script a server to drive, at $TARGET, and with "hit" waits
// until somebody has asked it for something.
func startTarget(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 || len(args) == 1 && args[0] != "hit" {
		ts.Fatalf("usage: target [hit]")
	}
	if len(args) == 1 {
		hits, _ := targets[ts.Getenv("TARGET")]
		until(ts, 30*time.Second, func() bool { return hits.Load() > 0 }, "nobody asked the target")
		return
	}
	hits := new(atomic.Int64)
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/teapot", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	mux.HandleFunc("/form", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		status := http.StatusAccepted
		if r.Method != http.MethodPost || r.Header.Get("X-Check") != "yes" || string(body) != "hello\n" || r.URL.RawQuery != "a=1" {
			status = http.StatusBadRequest
		}
		w.WriteHeader(status)
	})
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-r.Context().Done():
		}
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		mux.ServeHTTP(w, r)
	}))
	ts.Defer(server.Close)
	targets[server.URL] = hits
	ts.Setenv("TARGET", server.URL)
}

// targets are the hits of each, by URL. Only one script uses them.
var targets = map[string]*atomic.Int64{}
