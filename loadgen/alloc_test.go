package loadgen

import (
	"testing"
	"time"
)

// bare is a workload that allocates nothing.
type bare struct{}

func (bare) Next(c *Call) {
	c.Op, c.Method = "order", "POST"
	c.Path = append(c.Path, "/orders"...)
	f := c.AddHeader("Idempotency-Key")
	f.Value = append(f.Value, "k-1"...)
	c.Body = append(c.Body, "{}"...)
}

func (bare) Judge(*Call, *Reply) Verdict { return Verdict{} }

// The boundary to an engine costs no memory per call, so that an engine may
// have none to collect.
func TestBoundaryAllocatesNothing(t *testing.T) {
	r := New(Config{
		Plan:     Plan{Phases: []Phase{{Name: "p", Law: Poisson{Constant{1e6}}, For: time.Hour, Record: true}}},
		Workload: bare{}, Engine: script{},
	})
	var (
		c     Call
		reply = Reply{Sent: time.Second, Done: 2 * time.Second, Status: 200}

		calls   Source = r.schedule
		replies Sink   = sink{r}
	)
	one := func() {
		if !calls.Next(&c) {
			t.Fatal("no more calls")
		}
		replies.Done(&c, &reply)
	}
	for range 2 * shards { // the histograms are made once
		one()
	}
	if n := testing.AllocsPerRun(1000, one); n > 0 {
		t.Errorf("%g allocations per call, want none", n)
	}
}

func BenchmarkBoundary(b *testing.B) {
	r := New(Config{
		Plan:     Plan{Phases: []Phase{{Name: "p", Law: Poisson{Constant{1e6}}, For: Never, Record: true}}},
		Workload: bare{}, Engine: script{},
	})
	c, reply, done := Call{}, Reply{Sent: time.Second, Done: 2 * time.Second, Status: 200}, sink{r}
	b.ReportAllocs()
	for b.Loop() {
		r.schedule.Next(&c)
		done.Done(&c, &reply)
	}
}
