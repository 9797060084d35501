package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// receiving is a receiver that keeps what it is given.
type receiving struct {
	url string

	mu       sync.Mutex
	requests []string
}

func (r *receiving) take(request []byte) (int, error) {
	_, bad, err := ours(request)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, string(request))
	return bad, err
}

func receive(t *testing.T) *receiving {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &receiving{url: "http://" + l.Addr().String()}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- Receiver{Take: r.take}.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return r
}

func zip(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestReceiverOverHTTP(t *testing.T) {
	r := receive(t)
	good := sample(t)
	for _, row := range []struct {
		name           string
		kind, encoding string
		body           []byte
		status         int
	}{
		{"protobuf", MediaType, "", good, 200},
		{"protobuf with a parameter", MediaType + "; charset=binary", "", good, 200},
		{"zipped", MediaType, "gzip", zip(t, good), 200},
		{"an empty request", MediaType, "", nil, 200},
		{"JSON", "application/json", "", []byte("{}"), 415},
		{"no type", "", "", good, 415},
		{"an encoding that nobody knows", MediaType, "lzma", good, 415},
		{"said to be zipped", MediaType, "gzip", good, 400},
		{"cut off", MediaType, "", good[:len(good)/2], 400},
		{"too long", MediaType, "gzip", zip(t, make([]byte, requestLimit+1)), 413},
	} {
		t.Run(row.name, func(t *testing.T) {
			req, err := http.NewRequest(http.MethodPost, r.url+HTTPPath, bytes.NewReader(row.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", row.kind)
			if row.encoding != "" {
				req.Header.Set("Content-Encoding", row.encoding)
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, _ := io.ReadAll(res.Body)
			if res.StatusCode != row.status {
				t.Fatalf("%s: %s", res.Status, body)
			}
			if row.status != 200 || len(row.body) == 0 {
				return
			}
			var answer collectorpb.ExportTraceServiceResponse
			if err := proto.Unmarshal(body, &answer); err != nil {
				t.Fatal(err)
			}
			if answer.GetPartialSuccess().GetRejectedSpans() != 1 {
				t.Errorf("answered %v, want one span rejected: its id is too short", &answer)
			}
		})
	}
	if res, err := http.Get(r.url + HTTPPath); err != nil || res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("a GET: %v, %v", res, err)
	}
}

func TestReceiverOverGRPC(t *testing.T) {
	r := receive(t)
	good := sample(t)
	frame := func(flag byte, b []byte) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{flag}, uint32(len(b))), b...)
	}
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: &protocols}}
	defer client.CloseIdleConnections()
	for _, row := range []struct {
		name, encoding string
		body           []byte
		status         string
	}{
		{"plain", "", frame(0, good), grpcOK},
		{"zipped", "gzip", frame(1, zip(t, good)), grpcOK},
		{"compressed by what nobody knows", "snappy", frame(1, good), grpcUnimplemented},
		{"cut off", "", frame(0, good)[:50], grpcInvalidArgument},
		{"without a frame", "", good[:3], grpcInvalidArgument},
		{"no request", "", frame(0, []byte{0xff}), grpcInvalidArgument},
	} {
		t.Run(row.name, func(t *testing.T) {
			req, err := http.NewRequest(http.MethodPost, r.url+grpcPath, bytes.NewReader(row.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/grpc+proto")
			req.Header.Set("Te", "trailers")
			if row.encoding != "" {
				req.Header.Set("Grpc-Encoding", row.encoding)
			}
			res, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if got := res.Trailer.Get("Grpc-Status"); res.StatusCode != 200 || got != row.status {
				t.Fatalf("%s, grpc-status %q %q, want %s", res.Status, got, res.Trailer.Get("Grpc-Message"), row.status)
			}
			if row.status != grpcOK {
				return
			}
			var answer collectorpb.ExportTraceServiceResponse
			if len(body) < frameSize || int(binary.BigEndian.Uint32(body[1:])) != len(body)-frameSize {
				t.Fatalf("answered %x", body)
			}
			if err := proto.Unmarshal(body[frameSize:], &answer); err != nil || answer.GetPartialSuccess().GetRejectedSpans() != 1 {
				t.Errorf("answered %v, %v", &answer, err)
			}
		})
	}
}

func TestForwarderSendsOn(t *testing.T) {
	r := receive(t)
	t.Setenv(HeadersEnv, "authorization=Bearer%20x,  tenant=shop")
	f, err := NewForwarder(r.url)
	if err != nil {
		t.Fatal(err)
	}
	if got := f.headers.Get("Authorization"); got != "Bearer x" || f.headers.Get("Tenant") != "shop" {
		t.Errorf("headers %v", f.headers)
	}
	for range 20 {
		f.Send(sample(t))
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if len(r.requests) != 20 || r.requests[7] != string(sample(t)) {
		t.Errorf("%d requests arrived", len(r.requests))
	}
}

func TestForwarderSaysWhatWasNotTaken(t *testing.T) {
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no such tenant", http.StatusForbidden)
	}))
	defer refusing.Close()
	f, err := NewForwarder(refusing.URL + "/custom/path")
	if err != nil {
		t.Fatal(err)
	}
	f.Send([]byte("x"))
	if err := f.Close(); err == nil || !strings.Contains(err.Error(), "/custom/path: 403 Forbidden: no such tenant") {
		t.Errorf("%v", err)
	}
	for _, endpoint := range []string{"", "localhost:4317", "grpc://localhost", "http://"} {
		if _, err := NewForwarder(endpoint); err == nil {
			t.Errorf("%q was taken for the URL of a collector", endpoint)
		}
	}
}

// A request that breaks off must not be taken for a whole one.
func TestReceiverRefusesABrokenBody(t *testing.T) {
	w := httptest.NewRecorder()
	req := httptest.NewRequest(http.MethodPost, HTTPPath, io.MultiReader(bytes.NewReader(sample(t)[:10]), brokenReader{}))
	req.Header.Set("Content-Type", MediaType)
	Receiver{Take: func([]byte) (int, error) {
		t.Error("taken")
		return 0, nil
	}}.Handler().ServeHTTP(w, req)
	if w.Code != http.StatusBadRequest {
		t.Errorf("%d", w.Code)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("reset") }
