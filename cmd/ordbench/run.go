package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/fatih/color"
	"github.com/spf13/cobra"

	"github.com/ordbench/ordbench/reports"
	"github.com/ordbench/ordbench/scenarios"
	"github.com/ordbench/ordbench/scenarios/conductor"
	"github.com/ordbench/ordbench/system"
)

// defaultOut is where results go.
const defaultOut = "results"

type runOptions struct {
	out     string
	runtime runtimeOptions
	seed    int64
	otlp    string
	set     []string
	json    bool
	quiet   bool

	capacity capacityOptions
}

func newRun() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run SCENARIO...",
		Short: "Boot, drive, break, drain, verify, report",
		Long: `Play scenarios, one after the other: boot the system, drive it, inject the
faults, drain, audit the databases and topics against what was attempted,
judge the gates, and store the result in OUT/<scenario>/<UTC time>/.

A SCENARIO is a file, or a name from the library (ordbench scenario list).
The first Ctrl-C stops the load and reports; the second tears down at once.

` + exitHelp,
		Example: `  ordbench run scenarios/spike.yaml
  ordbench run spike --set traffic.phases.spike.rate=500/s
  ordbench run kill-inventory --set system.patterns.inbox=off   # exits 2
  ordbench run steady ramp --json > results.json
  ordbench run steady --find-capacity                           # the highest rate that holds`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: completeScenarios,
		RunE:              o.run,
	}
	f := cmd.Flags()
	f.StringVarP(&o.out, "out", "o", defaultOut, "directory for results")
	o.runtime.flags(cmd)
	o.runtime.collectorFlag(cmd)
	f.Int64Var(&o.seed, "seed", 0, "seed of arrivals and orders, instead of the scenario's")
	f.StringArrayVar(&o.set, "set", nil, "change one value of the scenario, path=value; may be repeated")
	f.StringVar(&o.otlp, "otlp-endpoint", "", "URL of an OpenTelemetry collector that gets the traces too")
	f.BoolVar(&o.json, "json", false, "print result.json instead of the summary")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "no progress, only the result")
	o.capacity.flags(cmd)
	return cmd
}

func (o *runOptions) run(cmd *cobra.Command, args []string) error {
	collectSeldom()
	if err := o.runtime.validate(); err != nil {
		return err
	}
	if err := conductor.CheckEndpoint(o.otlp); err != nil {
		return usageError{err}
	}
	if cmd.Flags().Changed("seed") {
		o.set = append(o.set, fmt.Sprintf("seed=%d", o.seed))
	}
	// All are read before the first is played: a mistake in the last one
	// should not show after an hour.
	type play struct {
		scenario *scenarios.Scenario
		runtime  system.Runtime
		why      string // why this runtime was chosen, empty where it was asked for
	}
	var list []play
	var problems []error
	for _, arg := range args {
		s, err := scenarios.Load(arg, o.set...)
		if err == nil {
			err = o.capacity.validate(s)
		}
		if err != nil {
			problems = append(problems, err)
			continue
		}
		o.runtime.apply(&s.System)
		rt, why, err := o.runtime.choose(cmd.Context(), cmd.ErrOrStderr(), s.System, misfit(s))
		if err != nil {
			problems = append(problems, err)
			continue
		}
		list = append(list, play{s, rt, why})
	}
	if len(problems) > 0 {
		return errors.Join(problems...)
	}
	interrupt, ctx, stop := interrupts(cmd.Context())
	defer stop()
	var worst error
	for _, p := range list {
		options := conductor.Options{
			Scenario:  p.scenario,
			Runtime:   p.runtime,
			Out:       o.out,
			Endpoint:  o.otlp,
			Command:   commandLine(),
			Version:   version(),
			Interrupt: interrupt,
		}
		if o.capacity.find {
			err := o.findCapacity(ctx, cmd, options)
			if errors.Is(err, conductor.ErrInterrupted) {
				return errInterrupted
			}
			var outcome *outcomeError
			if err != nil && !errors.As(err, &outcome) {
				return err
			}
			worst = worse(worst, err)
			continue
		}
		progress := newProgress(cmd.ErrOrStderr(), o.quiet)
		progress.scenario(p.scenario, p.runtime.Name(), p.why)
		options.Reporter = progress
		result, dir, err := conductor.Run(ctx, options)
		progress.close()
		if result != nil {
			if err := o.print(cmd.OutOrStdout(), dir, result); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, conductor.ErrInterrupted):
			fmt.Fprintf(cmd.ErrOrStderr(), "interrupted: torn down, nothing to report\n")
			return errInterrupted
		case err != nil:
			return err
		case result.Run.Interrupted:
			return errInterrupted
		case result.Verdict.Outcome != reports.Pass:
			worst = worse(worst, &outcomeError{result.Verdict.Outcome})
		}
	}
	return worst
}

// print writes the result to stdout as the user wants it.
func (o *runOptions) print(w io.Writer, dir string, result *reports.Result) error {
	if o.json {
		return printJSON(w, result)
	}
	width, _ := terminal(w)
	return reports.Text(w, result, reports.TextOptions{Color: !color.NoColor, Width: width, Dir: dir})
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// worse returns the error whose outcome outranks the other: integrity, then
// fail, then inconclusive.
func worse(a, b error) error {
	rank := map[int]int{exitPass: 0, exitInconclusive: 1, exitGate: 2, exitIntegrity: 3}
	if rank[exitCode(b)] > rank[exitCode(a)] {
		return b
	}
	return a
}

// commandLine is what was typed, quoted so that it can be typed again.
func commandLine() string {
	args := []string{"ordbench"}
	for _, a := range os.Args[1:] {
		if strings.ContainsAny(a, " \t\n\"'$`\\*?[]{}()<>|&;#~") || a == "" {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		args = append(args, a)
	}
	return strings.Join(args, " ")
}
