package reports

import (
	"fmt"
	"io"
	"strings"
)

// Summary renders a result as Markdown, short enough for the comment on a
// change.
func Summary(w io.Writer, r *Result) error {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("# %s: %s", strings.ToUpper(string(r.Verdict.Outcome)), markdown(r.Scenario.Name))
	say("\n%s\n", markdown(r.Verdict.Reason))
	say("Runtime %s, %s, seed %d.\n", markdown(r.Run.Runtime), formatMS(float64(r.Run.DurationMS)), r.Run.Seed)
	if r.Run.Kind == LoadKind {
		loadSummary(say, r)
	} else {
		o := r.Orders
		say("| accepted | completed | compensated | pending | lost | duplicated | unexpected | phantom | recovered |")
		say("|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
		say("| %s | %s | %s | %s | %s | %s | %s | %s | %s |", number(o.Accepted), number(o.Completed), number(o.Compensated), number(o.Pending),
			number(o.Lost), number(o.Duplicated), number(o.Unexpected), number(o.Phantom), number(o.Recovered))
	}
	for _, i := range r.Invariants {
		if i.Outcome != Held {
			say("\n- **%s** %s: %s", i.Outcome, i.ID, markdown(i.Detail))
			for _, id := range i.Evidence[:min(shownEvidence, len(i.Evidence))] {
				say("  - `%s`", strings.ReplaceAll(clean(id), "`", ""))
			}
		}
	}
	if len(r.Gates) > 0 {
		say("\n| gate | outcome | value | bound | metric |")
		say("|---|---|--:|---|---|")
		for _, g := range r.Gates {
			value := "-"
			if g.Value != nil {
				value = FormatValue(*g.Value, g.Unit)
			}
			say("| %s | %s | %s | %s | %s |", markdown(g.ID), g.Outcome, value, markdown(g.Bound), markdown(g.Metric))
		}
	}
	if len(r.Faults) > 0 {
		say("\n| fault | proven | detected | recovered | max lag |")
		say("|---|---|--:|--:|--:|")
		for _, f := range r.Faults {
			if !f.Effective {
				say("| %s | no | | | |", markdown(f.Name))
				continue
			}
			say("| %s | yes | %s | %s | %s |", markdown(f.Name), took(f.DetectMS), took(f.RecoverMS), number(f.MaxLag))
		}
	}
	for _, warning := range r.Warnings {
		say("\n> %s", markdown(warning))
	}
	if r.Run.Command != "" {
		say("\nAgain: `%s`", strings.ReplaceAll(clean(r.Run.Command), "`", ""))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// loadSummary has the numbers of a run without orders.
func loadSummary(say func(string, ...any), r *Result) {
	word, _ := validityWord(r.Validity)
	say("%s measured %s.\n", word, markdown(r.Run.Target))
	say("| phase | offered/s | scheduled | ok | rejected | error | timeout | dropped | unfinished |")
	say("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
	for _, p := range r.Phases {
		c := p.Counts
		say("| %s | %s | %s | %s | %s | %s | %s | %s | %s |", markdown(p.Name), decimal(p.OfferedRate, 1), number(c.Scheduled), number(c.OK),
			number(c.Rejected), number(c.Error), number(c.Timeout), number(c.Dropped), number(c.Unfinished))
	}
}

// markdown keeps a text from being taken for markup.
func markdown(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`, "`", "\\`", "[", `\[`, "_", `\_`).Replace(clean(s))
}
