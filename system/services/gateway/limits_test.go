package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// talk writes raw bytes to the API and reads one answer.
func talk(t *testing.T, e *edge, raw string) (*http.Response, string) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(e.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	go io.WriteString(c, raw) // the answer may come before all is written
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

func TestTooMuchIsRefusedBeforeTheServiceSeesIt(t *testing.T) {
	var hits atomic.Int32
	e := start(t, []string{service(t, func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		accept(w, r)
	})}, func(_ *Config, l *limits) { l.bodyBytes, l.headerBytes, l.headers = 1000, 4096, 20 })
	head := "POST /orders HTTP/1.1\r\nHost: x\r\n"
	var fields strings.Builder
	for i := range 30 {
		fmt.Fprintf(&fields, "X-%d: 1\r\n", i)
	}
	for _, row := range []struct {
		name, raw string
		status    int
		problem   string
	}{
		{"a body announced as too long", head + "Content-Length: 1001\r\n\r\n", 413, "body"},
		{"a body without end", head + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("100\r\n"+strings.Repeat("x", 256)+"\r\n", 100), 413, "body"},
		{"a malformed chunk", head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "body"},
		{"too many fields", head + fields.String() + "\r\n", 431, "headers"},
		{"a flood of header bytes", head + "X-Flood: " + strings.Repeat("x", 1<<20) + "\r\n\r\n", 431, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			res, body := talk(t, e, row.raw)
			if row.problem == "" { // net/http answers by itself
				if res.StatusCode != row.status {
					t.Errorf("%d, want %d", res.StatusCode, row.status)
				}
			} else {
				wantProblem(t, reply{res.StatusCode, res.Header, body}, row.status, row.problem)
			}
			if !res.Close {
				t.Error("the connection stays open for the rest")
			}
		})
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("%d requests reached the service", n)
	}
	if got := post(t, e, strings.Repeat("x", 1000)); got.status != 202 {
		t.Errorf("a body of just the limit: %+v", got)
	}
}

func TestSlowClientsAreCutOff(t *testing.T) {
	var hits atomic.Int32
	e := start(t, []string{service(t, func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		accept(w, r)
	})}, func(_ *Config, l *limits) { l.headerWithin, l.bodyWithin = 500*time.Millisecond, time.Second })
	t.Run("in the body", func(t *testing.T) {
		res, body := talk(t, e, "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
		wantProblem(t, reply{res.StatusCode, res.Header, body}, 408, "slow")
	})
	t.Run("in the header", func(t *testing.T) {
		res, body := talk(t, e, "POST /orders HTTP/1.1\r\nHost: x\r\nX-Slow: ")
		wantProblem(t, reply{res.StatusCode, res.Header, body}, 408, "slow")
	})
	t.Run("in the header of a second request", func(t *testing.T) {
		c, err := net.Dial("tcp", strings.TrimPrefix(e.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		answers := bufio.NewReader(c)
		for i, request := range []string{"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", "GET /nowhere HTTP/1.1\r\nHost"} {
			io.WriteString(c, request)
			res, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, res.Body)
			if want := []int{404, 408}[i]; res.StatusCode != want {
				t.Errorf("request %d: %s, want %d", i+1, res.Status, want)
			}
		}
		if rest, err := io.ReadAll(answers); len(rest) > 0 || err != nil {
			t.Errorf("after the 408: %q, %v; want the connection closed", rest, err)
		}
	})
	t.Run("that says nothing", func(t *testing.T) {
		c, err := net.Dial("tcp", strings.TrimPrefix(e.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		if answer, err := io.ReadAll(c); len(answer) > 0 || err != nil {
			t.Errorf("%q, %v; want the connection closed without an answer", answer, err)
		}
	})
	if n := hits.Load(); n != 0 {
		t.Errorf("%d requests reached the service", n)
	}
}

// A client that wants its connection closed may still be sending when it is
// refused.
func TestARefusedClientReadsWhy(t *testing.T) {
	e := start(t, []string{service(t, accept)}, func(*Config, *limits) {})
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	long := strings.Repeat("x", 1<<20)
	for range 50 {
		res, err := client.Post(e.url+"/orders", "application/json", strings.NewReader(long))
		if err != nil {
			t.Fatal(err)
		}
		if res.Body.Close(); res.StatusCode != 413 {
			t.Fatalf("%s, want 413", res.Status)
		}
	}
}
