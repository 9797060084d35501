package conductor

import (
	"strings"
	"testing"

	"github.com/ordbench/ordbench/reports"
	"github.com/ordbench/ordbench/reports/gate"
	"github.com/ordbench/ordbench/system"
)

func TestVerdict(t *testing.T) {
	settled := atRest{Settled: true}
	broken := reports.Invariant{ID: "accepted-once", Outcome: reports.Broken, Evidence: []string{"order-7"}}
	unknown := reports.Invariant{ID: "delivered", Outcome: reports.Unknown, Detail: "no order was published"}
	failed := reports.GateResult{ID: "p99", Outcome: gate.Fail}
	unread := reports.GateResult{ID: "p99", Outcome: gate.Unknown, Detail: "no samples"}
	proven := reports.Fault{Name: "kill", Effective: true, Reverted: true}
	for _, row := range []struct {
		name    string
		judged  judgement
		outcome reports.Outcome
		says    string
	}{
		{"all was seen and all is well", judgement{drain: settled, orders: reports.Orders{Accepted: 9}, faults: []reports.Fault{proven}}, reports.Pass, "9 accepted orders"},
		{"a lost order", judgement{drain: settled, orders: reports.Orders{Accepted: 9, Lost: 1}, invariants: []reports.Invariant{broken}}, reports.Integrity, "1 lost, first order-7"},
		{"a doubled order", judgement{drain: settled, orders: reports.Orders{Duplicated: 2}}, reports.Integrity, "2 doubled"},
		{"a phantom", judgement{drain: settled, orders: reports.Orders{Phantom: 1}}, reports.Integrity, "refused and yet made"},
		{"an order out of nowhere", judgement{drain: settled, orders: reports.Orders{Unexpected: 1}}, reports.Integrity, "without an attempt"},
		{"a broken invariant alone", judgement{drain: settled, invariants: []reports.Invariant{broken}}, reports.Integrity, "broken: accepted-once"},
		{"integrity outranks a failed gate", judgement{drain: settled, orders: reports.Orders{Lost: 1}, gates: []reports.GateResult{failed}}, reports.Integrity, "1 lost"},
		{"integrity outranks an interrupt", judgement{interrupted: true, orders: reports.Orders{Lost: 1}}, reports.Integrity, "1 lost"},
		{"a failed gate", judgement{drain: settled, gates: []reports.GateResult{failed, unread}}, reports.Fail, "1 gate of 2 failed: p99"},
		{"a failed gate outranks a doubt", judgement{gates: []reports.GateResult{failed}}, reports.Fail, "p99"},
		{"a gate without samples", judgement{drain: settled, gates: []reports.GateResult{unread}}, reports.Inconclusive, "no samples"},
		{"an invariant that nobody could check", judgement{drain: settled, invariants: []reports.Invariant{unknown}}, reports.Inconclusive, "no order was published"},
		{"a system that still moves", judgement{drain: atRest{Drain: system.Drain{Pending: 3}}}, reports.Inconclusive, "3 orders are pending"},
		{"a fault without proof", judgement{drain: settled, faults: []reports.Fault{{Name: "kill", Reverted: true, Error: "no such process"}}}, reports.Inconclusive, "no proven effect: no such process"},
		{"a drawn fault that was left out beside one with proof", judgement{drain: settled, faults: []reports.Fault{proven, {Name: "cut", Skipped: "no target"}}}, reports.Pass, "0 accepted orders"},
		{"drawn faults that were all left out", judgement{drain: settled, faults: []reports.Fault{{Name: "cut", Skipped: "no target"}}}, reports.Inconclusive, "none of the 1 drawn fault had a proven effect: cut: no target"},
		{"a fault that was not undone", judgement{drain: settled, faults: []reports.Fault{{Name: "pause", Effective: true}}}, reports.Inconclusive, "was not undone"},
		{"a generator that could not keep up", judgement{drain: settled, validity: reports.Validity{Outcome: reports.GeneratorLimited, Reason: "late"}}, reports.Inconclusive, "the generator was the limit"},
		{"a generator that could not keep up, where only the books are judged", judgement{drain: settled, books: true, validity: reports.Validity{Outcome: reports.GeneratorLimited, Reason: "late"}}, reports.Pass, "0 accepted orders"},
		{"an interrupted run", judgement{drain: settled, interrupted: true}, reports.Inconclusive, "interrupted"},
		{"trouble of the run itself", judgement{drain: settled, troubles: []string{"audit: no broker"}}, reports.Inconclusive, "audit: no broker"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := judge(row.judged)
			if got.Outcome != row.outcome || !strings.Contains(got.Reason, row.says) {
				t.Errorf("%s (%s), want %s (…%s…)", got.Outcome, got.Reason, row.outcome, row.says)
			}
		})
	}
}
