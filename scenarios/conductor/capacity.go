package conductor

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/ordbench/ordbench/loadgen/capacity"
	"github.com/ordbench/ordbench/reports"
	"github.com/ordbench/ordbench/reports/gate"
)

// CapacityOptions bound a search.
type CapacityOptions struct {
	Options
	Limit   time.Duration // no run is begun that would end after it
	Repeats int           // on both sides of the edge
	Probed  func(reports.Probe)
}

// FindCapacity plays the scenario at one rate after the other until the edge
// between those that hold and those that do not is known, and says what it
// found. Each run is a whole one, with a result of its own below the directory
// of the search. What it found until the limit, or an interrupt, is no error.
func FindCapacity(ctx context.Context, o CapacityOptions) (*reports.Capacity, string, error) {
	began := time.Now()
	dir, err := newRunDir(filepath.Join(o.Out, o.Scenario.Name), "capacity", began)
	if err != nil {
		return nil, "", err
	}
	c := &reports.Capacity{
		SchemaVersion: reports.SchemaVersion, Scenario: o.Scenario.Name, StartedAt: began.UTC(),
		Command: o.Command, Seed: o.Scenario.Seed,
	}
	search := capacity.New()
	search.Repeats = o.Repeats
	var longest time.Duration
	for {
		factor, more := search.Next()
		switch {
		case !more:
			o.conclude(c, search)
		case interrupted(o.Interrupt):
			c.LimitedBy = "interrupted"
		case time.Since(began)+longest > o.Limit:
			c.LimitedBy = "time"
		default:
			at := time.Now()
			probe, err := o.probe(ctx, dir, factor)
			if errors.Is(err, errCeiling) {
				search.Most = factor / 2 // the highest that can be asked for
				continue
			}
			if err != nil {
				return nil, dir, err
			}
			longest = max(longest, time.Since(at))
			c.Probes = append(c.Probes, probe)
			if !interrupted(o.Interrupt) { // a run that was cut short says nothing
				search.Seen(factor, probe.Outcome == reports.Pass)
			}
			if o.Probed != nil {
				o.Probed(probe)
			}
			continue
		}
		break
	}
	o.fill(c, search)
	c.DurationMS = time.Since(began).Milliseconds()
	return c, dir, c.Write(dir)
}

// errCeiling is a rate beyond what a scenario may ask for.
var errCeiling = errors.New("beyond what a scenario may ask for")

// probe plays the scenario once.
func (o *CapacityOptions) probe(ctx context.Context, dir string, factor float64) (reports.Probe, error) {
	s, err := o.Scenario.Scaled(factor)
	if err != nil {
		return reports.Probe{}, errCeiling
	}
	one := o.Options
	one.Scenario, one.Out = s, dir
	result, where, err := Run(ctx, one)
	if err != nil {
		return reports.Probe{}, err
	}
	rel, err := filepath.Rel(dir, where)
	if err != nil {
		rel = where
	}
	p := reports.Probe{Rate: s.Peak(), Factor: factor, Outcome: result.Verdict.Outcome, Reason: result.Verdict.Reason, Dir: rel}
	if p.Outcome == reports.Fail {
		for _, g := range result.Gates {
			if g.Outcome == gate.Fail && g.Value != nil {
				p.Reason = fmt.Sprintf("gate %s failed: %s, want %s", g.ID, reports.FormatValue(*g.Value, g.Unit), g.Bound)
				break
			}
		}
	}
	if p.Outcome == reports.Inconclusive && result.Validity.Outcome == reports.GeneratorLimited {
		p.Reason = generatorReason + result.Validity.Reason
	}
	return p, nil
}

// generatorReason begins the reason of a run that the generator limited.
const generatorReason = "the generator was the limit: "

// conclude says what a finished search was limited by.
func (o *CapacityOptions) conclude(c *reports.Capacity, search *capacity.Search) {
	_, failed := search.Edge()
	c.LimitedBy = "ceiling"
	for _, p := range c.Probes {
		if p.Factor != failed || p.Outcome == reports.Pass {
			continue
		}
		switch {
		case p.Outcome == reports.Fail:
			c.LimitedBy = "gates"
		case p.Outcome == reports.Integrity:
			c.LimitedBy = "integrity"
		case len(p.Reason) > len(generatorReason) && p.Reason[:len(generatorReason)] == generatorReason:
			c.LimitedBy = "generator"
		default:
			c.LimitedBy = "inconclusive"
		}
	}
}

// fill says what is known of the edge.
func (o *CapacityOptions) fill(c *reports.Capacity, search *capacity.Search) {
	held, failed := search.Edge()
	at := search.At(held)
	c.Factor, c.Runs, c.Confidence = held, at.Runs, capacity.Confidence(at.Runs)
	below := search.At(failed)
	c.FailedRuns, c.FailedHeld = below.Runs, below.Held
	for _, p := range c.Probes {
		switch {
		case held > 0 && p.Factor == held:
			c.Rate = p.Rate
		case p.Factor == failed && p.Outcome != reports.Pass:
			c.FailedRate, c.Reason = p.Rate, p.Reason
		}
	}
	if c.Reason == "" {
		c.Reason = "no rate was too high"
	}
}

// interrupted says that ch is closed.
func interrupted(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
