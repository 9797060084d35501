package main

import (
	"encoding/json"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ordbench/ordbench/reports"
	"github.com/ordbench/ordbench/system/telemetry/otlp"
)

// outsider is a collector of somebody else, one for each script that asks.
type outsider struct{ spans atomic.Uint64 }

func (o *outsider) take(request []byte) (int, error) {
	var scanner otlp.Scanner
	return scanner.Scan(request, func(*otlp.Resource, *otlp.Span) error {
		o.spans.Add(1)
		return nil
	})
}

// collectors are those of the scripts that run, by URL.
var collectors sync.Map

// collector on starts a collector at $COLLECTOR; collector has as many spans
// as FILE checks that it got those that the result in FILE counts.
func collector(ts *testscript.TestScript, neg bool, args []string) {
	switch {
	case !neg && slices.Equal(args, []string{"on"}):
		o := &outsider{}
		srv := httptest.NewServer(otlp.Receiver{Take: o.take}.Handler())
		ts.Defer(srv.Close)
		ts.Setenv("COLLECTOR", srv.URL)
		collectors.Store(ts.Getenv("COLLECTOR"), o)
	case !neg && len(args) == 6:
		var r reports.Result
		ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[5])), &r))
		o, ok := collectors.Load(ts.Getenv("COLLECTOR"))
		if !ok {
			ts.Fatalf("no collector is on")
		}
		// Spans that end while the stack goes down come after the count.
		if got := o.(*outsider).spans.Load(); r.Traces == nil || r.Traces.Spans == 0 || got < r.Traces.Spans {
			ts.Fatalf("the collector got %d spans; the result says %+v", got, r.Traces)
		}
	default:
		ts.Fatalf("usage: collector on, collector has as many spans as FILE")
	}
}
