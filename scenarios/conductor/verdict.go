package conductor

import (
	"fmt"
	"strings"

	"github.com/ordbench/ordbench/chaos"
	"github.com/ordbench/ordbench/reports"
	"github.com/ordbench/ordbench/reports/gate"
)

// judgement is everything that a verdict rests on.
type judgement struct {
	orders      reports.Orders
	invariants  []reports.Invariant
	gates       []reports.GateResult
	faults      []reports.Fault
	validity    reports.Validity
	drain       atRest
	books       bool // only they are judged: a limit of the generator is noted, and no doubt
	interrupted bool
	halted      string   // why the chaos was ended before its time
	troubles    []string // what went wrong with the run itself
}

// judge gives the verdict: integrity before a failed gate before
// inconclusive, and pass only where nothing speaks against it. The reason is
// one sentence.
func judge(j judgement) reports.Verdict {
	if reason := j.integrity(); reason != "" {
		return reports.Verdict{Outcome: reports.Integrity, Reason: reason}
	}
	if reason := j.failedGates(); reason != "" {
		return reports.Verdict{Outcome: reports.Fail, Reason: reason}
	}
	if reasons := j.doubts(); len(reasons) > 0 {
		return reports.Verdict{Outcome: reports.Inconclusive, Reason: strings.Join(reasons, "; ")}
	}
	return reports.Verdict{
		Outcome: reports.Pass,
		Reason: fmt.Sprintf("%d accepted orders reached their end, none lost or doubled, and %s held",
			j.orders.Accepted, counted(len(j.gates), "gate")),
	}
}

func (j judgement) integrity() string {
	var parts []string
	for _, c := range []struct {
		n    uint64
		what string
	}{
		{j.orders.Lost, "lost"},
		{j.orders.Duplicated, "doubled"},
		{j.orders.Phantom, "refused and yet made"},
		{j.orders.Unexpected, "made without an attempt"},
	} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	var broken []string
	var evidence []string
	for _, inv := range j.invariants {
		if inv.Outcome == reports.Broken {
			broken = append(broken, inv.ID)
			if len(evidence) == 0 {
				evidence = inv.Evidence
			}
		}
	}
	if len(parts) == 0 && len(broken) == 0 {
		return ""
	}
	reason := "broken: " + strings.Join(broken, ", ")
	if len(parts) > 0 {
		reason = fmt.Sprintf("of %d accepted orders %s", j.orders.Accepted, strings.Join(parts, ", "))
	}
	if len(evidence) > 0 {
		reason += ", first " + evidence[0]
	}
	return reason
}

func (j judgement) failedGates() string {
	var failed []string
	for _, g := range j.gates {
		if g.Outcome == gate.Fail {
			failed = append(failed, g.ID)
		}
	}
	if len(failed) == 0 {
		return ""
	}
	return fmt.Sprintf("%s of %d failed: %s", counted(len(failed), "gate"), len(j.gates), strings.Join(failed, ", "))
}

// doubts says why a run without a fault in its books still can't pass.
func (j judgement) doubts() []string {
	var doubts []string
	if j.interrupted {
		doubts = append(doubts, "the run was interrupted")
	}
	if j.halted != "" {
		doubts = append(doubts, "the chaos was ended: "+j.halted)
	}
	doubts = append(doubts, j.troubles...)
	if !j.drain.Settled {
		doubts = append(doubts, "the system did not drain: "+j.drain.String())
	}
	skipped := 0
	for _, f := range j.faults {
		if f.Skipped != "" {
			skipped++
		}
		switch {
		case f.Skipped != "" || j.halted != "" && len(f.Proof) == 0:
		case !f.Effective:
			doubts = append(doubts, fmt.Sprintf("fault %s had no proven effect: %s", f.Name, strings.TrimPrefix(f.Error, chaos.NoProof)))
		case !f.Reverted:
			doubts = append(doubts, fmt.Sprintf("fault %s was not undone: %s", f.Name, f.Error))
		}
	}
	if skipped > 0 && skipped == len(j.faults) {
		doubts = append(doubts, fmt.Sprintf("none of the %s had a proven effect: %s: %s",
			counted(skipped, "drawn fault"), j.faults[0].Name, j.faults[0].Skipped))
	}
	if j.validity.Outcome == reports.GeneratorLimited && !j.books {
		doubts = append(doubts, "the generator was the limit: "+j.validity.Reason)
	}
	for _, g := range j.gates {
		if g.Outcome == gate.Unknown {
			doubts = append(doubts, fmt.Sprintf("gate %s can't be judged: %s", g.ID, g.Detail))
		}
	}
	var unknown []reports.Invariant
	for _, inv := range j.invariants {
		if inv.Outcome == reports.Unknown {
			unknown = append(unknown, inv)
		}
	}
	if len(unknown) > 0 {
		doubts = append(doubts, fmt.Sprintf("%s can't be judged: %s: %s", counted(len(unknown), "invariant"), unknown[0].ID, unknown[0].Detail))
	}
	return doubts
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
