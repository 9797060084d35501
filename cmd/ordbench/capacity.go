package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fatih/color"
	"github.com/spf13/cobra"

	"github.com/ordbench/ordbench/reports"
	"github.com/ordbench/ordbench/scenarios"
	"github.com/ordbench/ordbench/scenarios/conductor"
)

// capacityOptions are those of a search for the highest rate that holds.
type capacityOptions struct {
	find    bool
	limit   time.Duration
	repeats int
}

func (o *capacityOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&o.find, "find-capacity", false, "play the scenario at one rate after the other, and find the highest at which it passes")
	f.DurationVar(&o.limit, "capacity-limit", 20*time.Minute, "with --find-capacity: begin no run that would end later")
	f.IntVar(&o.repeats, "capacity-repeats", 3, "with --find-capacity: runs on both sides of the edge")
}

// validate says why a scenario can't be searched.
func (o *capacityOptions) validate(s *scenarios.Scenario) error {
	if !o.find {
		return nil
	}
	if o.limit <= 0 || o.repeats < 1 || o.repeats > 100 {
		return usageError{errors.New("--capacity-limit must be more than 0, --capacity-repeats 1 to 100")}
	}
	if _, err := s.Scaled(1); err != nil {
		return usageError{fmt.Errorf("%s: no capacity to find: %w", s.Name, err)}
	}
	if len(s.Gates) == 0 {
		return usageError{fmt.Errorf("%s: no capacity to find: the scenario has no gates that could fail", s.Name)}
	}
	return nil
}

// findCapacity searches one scenario and prints what it found.
func (o *runOptions) findCapacity(ctx context.Context, cmd *cobra.Command, options conductor.Options) error {
	progress := newProgress(cmd.ErrOrStderr(), o.quiet)
	progress.plan = fmt.Sprintf("%s: its capacity, in runs of %s, for %s at most", options.Scenario.Name, options.Scenario.Length(), o.capacity.limit)
	options.Reporter = progress
	began := time.Now()
	found, dir, err := conductor.FindCapacity(ctx, conductor.CapacityOptions{
		Options: options, Limit: o.capacity.limit, Repeats: o.capacity.repeats,
		Probed: func(p reports.Probe) {
			progress.Event(time.Since(began), fmt.Sprintf("%s: %s; %s", reports.FormatValue(p.Rate, reports.UnitPerSecond), p.Outcome, p.Reason))
		},
	})
	progress.close()
	if err != nil {
		return err
	}
	if o.json {
		err = printJSON(cmd.OutOrStdout(), found)
	} else {
		width, _ := terminal(cmd.OutOrStdout())
		err = reports.CapacityText(cmd.OutOrStdout(), found, reports.TextOptions{Color: !color.NoColor, Width: width, Dir: dir})
	}
	if err != nil {
		return err
	}
	return capacityVerdict(found)
}

// capacityVerdict is what a search comes to for a script: an order that was
// lost on the way outranks the number, and no number is no pass.
func capacityVerdict(c *reports.Capacity) error {
	for _, p := range c.Probes {
		if p.Outcome == reports.Integrity {
			return &outcomeError{reports.Integrity}
		}
	}
	switch {
	case c.LimitedBy == "interrupted":
		return errInterrupted
	case c.Rate == 0 && (c.LimitedBy == "gates"):
		return &outcomeError{reports.Fail}
	case c.Rate == 0, c.LimitedBy == "time", c.LimitedBy == "generator":
		return &outcomeError{reports.Inconclusive}
	}
	return nil
}
