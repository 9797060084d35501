package shop

import (
	"strings"
	"testing"

	"github.com/ordbench/ordbench/loadgen"
)

func TestAnswersAreJudgedAfterWhatTheyProve(t *testing.T) {
	const id = `{"order_id":"019a-b_C"}`
	for _, c := range []struct {
		name      string
		op        loadgen.Op
		status    int
		refusedBy string
		body      string
		failure   loadgen.Failure
		want      loadgen.Verdict
	}{
		{"accepted", PlaceOrder, 202, "", id, 0, loadgen.Verdict{OrderID: "019a-b_C"}},
		{"created is accepted too", PlaceOrder, 201, "", id, 0, loadgen.Verdict{OrderID: "019a-b_C"}},
		{"a read", ReadOrder, 200, "", "{}", 0, loadgen.Verdict{}},
		{"accepted without an id", PlaceOrder, 202, "", "{}", 0, loadgen.Verdict{Outcome: loadgen.Error, Certainty: loadgen.Happened, Reason: "bad-answer"}},
		{"accepted with an id that is no id", PlaceOrder, 202, "", `{"order_id":"../x"}`, 0, loadgen.Verdict{Outcome: loadgen.Error, Certainty: loadgen.Happened, Reason: "bad-answer"}},
		{"accepted with garbage", PlaceOrder, 202, "", `{"order_id":"a`, 0, loadgen.Verdict{Outcome: loadgen.Error, Certainty: loadgen.Happened, Reason: "bad-answer"}},
		{"bad request", PlaceOrder, 400, "", "", 0, loadgen.Verdict{Outcome: loadgen.Rejected, Certainty: loadgen.Refuted, Reason: "400"}},
		{"the key is in flight: its first request may succeed", PlaceOrder, 409, "", "", 0, loadgen.Verdict{Outcome: loadgen.Rejected, Certainty: loadgen.Unknown, Reason: "in-flight"}},
		{"too late to cancel", CancelOrder, 409, "", "", 0, loadgen.Verdict{Outcome: loadgen.Rejected, Certainty: loadgen.Refuted, Reason: "too-late"}},
		{"cancelled", CancelOrder, 202, "", id, 0, loadgen.Verdict{}},
		{"too many requests", PlaceOrder, 429, "", "", 0, loadgen.Verdict{Outcome: loadgen.Rejected, Certainty: loadgen.Refuted, Reason: "429"}},
		{"refused by the limiter", PlaceOrder, 429, "rate-limit", "", 0, loadgen.Verdict{Outcome: loadgen.Rejected, Certainty: loadgen.Refuted, Reason: "rate-limit"}},
		{"refused by the breaker", PlaceOrder, 503, "breaker", "", 0, loadgen.Verdict{Outcome: loadgen.Rejected, Certainty: loadgen.Refuted, Reason: "breaker"}},
		{"refused by nobody we know", PlaceOrder, 503, "a, b\n", "", 0, loadgen.Verdict{Outcome: loadgen.Rejected, Certainty: loadgen.Refuted, Reason: "503"}},
		{"another 4xx proves nothing", PlaceOrder, 408, "", "", 0, loadgen.Verdict{Outcome: loadgen.Rejected, Certainty: loadgen.Unknown, Reason: "408"}},
		{"500", PlaceOrder, 500, "", "", 0, loadgen.Verdict{Outcome: loadgen.Error, Certainty: loadgen.Unknown, Reason: "500"}},
		{"503 without a mark", PlaceOrder, 503, "", "", 0, loadgen.Verdict{Outcome: loadgen.Error, Certainty: loadgen.Unknown, Reason: "503"}},
		{"a redirect", PlaceOrder, 307, "", "", 0, loadgen.Verdict{Outcome: loadgen.Error, Certainty: loadgen.Unknown, Reason: "307"}},
		{"refused", PlaceOrder, 0, "", "", loadgen.Refused, loadgen.Verdict{Outcome: loadgen.Error, Certainty: loadgen.Refuted, Reason: "refused"}},
		{"reset", PlaceOrder, 0, "", "", loadgen.Broken, loadgen.Verdict{Outcome: loadgen.Error, Certainty: loadgen.Unknown, Reason: "broken"}},
		{"half an acceptance is none", PlaceOrder, 202, "", "", loadgen.Broken, loadgen.Verdict{Outcome: loadgen.Error, Certainty: loadgen.Unknown, Reason: "broken"}},
		{"timeout", PlaceOrder, 0, "", "", loadgen.TimedOut, loadgen.Verdict{Outcome: loadgen.Timeout, Certainty: loadgen.Unknown, Reason: "timeout"}},
		{"no connection", PlaceOrder, 0, "", "", loadgen.NotSent, loadgen.Verdict{Outcome: loadgen.Dropped, Certainty: loadgen.Refuted, Reason: "no-connection"}},
		{"stopped", PlaceOrder, 0, "", "", loadgen.Stopped, loadgen.Verdict{Outcome: loadgen.Dropped, Certainty: loadgen.Refuted, Reason: "stopped"}},
		{"unfinished", PlaceOrder, 0, "", "", loadgen.Unfinished, loadgen.Verdict{Outcome: loadgen.Abandoned, Certainty: loadgen.Unknown, Reason: "unfinished"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := reply(c.status, c.body)
			r.Failure = c.failure
			r.Header = func(name string) string {
				return map[string]string{"X-Refused-By": c.refusedBy}[name]
			}
			if got := open(t, Config{}).Judge(&loadgen.Call{Op: c.op}, r); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

// Whatever a server answers, an id is fit for a path and for the ledger.
func FuzzOrderID(f *testing.F) {
	f.Add([]byte(`{"order_id":"019a1234-5678-7abc-8def-0123456789ab","status":"PENDING"}`))
	f.Add([]byte(`{"order_id":"../../etc"}`))
	f.Add([]byte(`{"order_id":7}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		id, ok := orderID(body)
		if ok && (id == "" || len(id) > 64 || strings.ContainsAny(id, "/?#%,\"\n\r .")) {
			t.Errorf("%q gave %q", body, id)
		}
	})
}
