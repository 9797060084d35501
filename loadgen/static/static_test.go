package static

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ordbench/ordbench/loadgen"
)

func TestExpectedStatuses(t *testing.T) {
	for _, c := range []struct {
		list    string
		has     []int
		lacks   []int
		problem bool
	}{
		{list: "200", has: []int{200}, lacks: []int{201, 404}},
		{list: "2xx, 404", has: []int{200, 299, 404}, lacks: []int{302, 500}},
		{list: "5XX", has: []int{503}, lacks: []int{200}},
		{list: "", problem: true},
		{list: "200;404", problem: true},
		{list: "99", problem: true},
		{list: "6xx", problem: true},
		{list: "-2xx", problem: true},
	} {
		s, err := ParseStatuses(c.list)
		if (err != nil) != c.problem {
			t.Errorf("%q: %v", c.list, err)
			continue
		}
		for _, n := range c.has {
			if !s.Has(n) {
				t.Errorf("%q lacks %d", c.list, n)
			}
		}
		for _, n := range c.lacks {
			if !c.problem && s.Has(n) {
				t.Errorf("%q has %d", c.list, n)
			}
		}
	}
	if !Statuses(nil).Has(204) || Statuses(nil).Has(301) {
		t.Error("without a list every 2xx is expected, and nothing else")
	}
}

func TestHeaderLines(t *testing.T) {
	for _, c := range []struct{ line, name, value, problem string }{
		{line: "accept: text/html", name: "Accept", value: "text/html"},
		{line: "X-Time:12:30", name: "X-Time", value: "12:30"},
		{line: "X-Empty:", name: "X-Empty"},
		{line: "no colon", problem: "no header"},
		{line: ": x", problem: "no header"},
		{line: "a b: c", problem: "no header"},
		{line: "X: a\r\nY: b", problem: "more than one line"},
		{line: "host: elsewhere", problem: "made from the URL"},
	} {
		f, err := ParseField(c.line)
		if c.problem != "" {
			if err == nil || !strings.Contains(err.Error(), c.problem) {
				t.Errorf("%q: error %v, want %q", c.line, err, c.problem)
			}
			continue
		}
		if err != nil || f.Name != c.name || f.Value != c.value {
			t.Errorf("%q: %+v, %v", c.line, f, err)
		}
	}
}

func FuzzParseField(f *testing.F) {
	f.Add("Accept: text/html")
	f.Fuzz(func(t *testing.T, line string) {
		field, err := ParseField(line)
		if err == nil && (field.Name == "" || strings.ContainsAny(field.Name+field.Value, "\r\n")) {
			t.Errorf("%q: %+v", line, field)
		}
	})
}

func FuzzParseStatuses(f *testing.F) {
	f.Add("2xx,404")
	f.Fuzz(func(t *testing.T, list string) {
		s, err := ParseStatuses(list)
		for _, n := range s {
			if err == nil && (n < 1 || n > 5) && (n < 100 || n > 599) {
				t.Errorf("%q: %v", list, s)
			}
		}
	})
}

func TestAnswersAreJudgedByTheirStatus(t *testing.T) {
	r := Request{Expect: Statuses{200}}
	for _, c := range []struct {
		reply loadgen.Reply
		want  loadgen.Outcome
	}{
		{loadgen.Reply{Status: 200}, loadgen.OK},
		{loadgen.Reply{Status: 204}, loadgen.Error},
		{loadgen.Reply{Status: 429}, loadgen.Rejected},
		{loadgen.Reply{Status: 500}, loadgen.Error},
		{loadgen.Reply{Status: 200, Failure: loadgen.TimedOut}, loadgen.Timeout},
		{loadgen.Reply{Failure: loadgen.NotSent}, loadgen.Dropped},
	} {
		if got := r.Judge(nil, &c.reply); got.Outcome != c.want {
			t.Errorf("%+v: %+v", c.reply, got)
		}
	}
}

func TestTheSameRequestCostsNoMemory(t *testing.T) {
	r := Request{Method: "POST", Path: "/orders?x=1", Header: []Field{{"Accept", "text/html"}}, Body: []byte("{}")}
	var c loadgen.Call
	r.Next(&c)
	if diff := cmp.Diff("/orders?x=1 Accept text/html {}", string(c.Path)+" "+c.Header[0].Name+" "+string(c.Header[0].Value)+" "+string(c.Body)); diff != "" {
		t.Error(diff)
	}
	if n := testing.AllocsPerRun(100, func() { c.Reset(); r.Next(&c) }); n > 0 {
		t.Errorf("%g allocations", n)
	}
}
