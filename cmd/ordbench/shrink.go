package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/ordbench/ordbench/chaos"
	"github.com/ordbench/ordbench/reports"
	"github.com/ordbench/ordbench/scenarios"
	"github.com/ordbench/ordbench/scenarios/conductor"
)

// newShrink repeats a failed run with fewer faults.
func newShrink() *cobra.Command {
	var out string
	var tries int
	var where runtimeOptions
	cmd := &cobra.Command{
		Use:   "shrink RESULT",
		Short: "Repeat a failed run with fewer faults, until the fewest that still fail",
		Long: `Repeat a run that failed, or lost or doubled an order, with ever fewer of its
faults at their same times, until none can be left out: the smallest schedule
that still ends that way. It is written as a scenario of its own.`,
		Example: `  ordbench chaos shrink results/nemesis/latest`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if tries < 1 {
				return usageError{fmt.Errorf("--tries %d: each part is played once at least", tries)}
			}
			result, _, err := reports.Read(args[0])
			if err != nil {
				return usageError{err}
			}
			if o := result.Verdict.Outcome; o != reports.Integrity && o != reports.Fail {
				return usageError{fmt.Errorf("%s ended with %s: only what failed can be shrunk", args[0], o)}
			}
			s, err := scenarios.Parse(args[0], []byte(result.Scenario.Resolved))
			if err != nil {
				return err
			}
			if where.name == runtimeAuto {
				where.name = result.Run.Runtime // what failed there need not fail elsewhere
			}
			rt, _, err := where.choose(cmd.Context(), cmd.ErrOrStderr(), s.System, misfit(s))
			if err != nil {
				return err
			}
			interrupt, ctx, stop := interrupts(cmd.Context())
			defer stop()
			schedule := s.Timeline()
			runs, total := 0, len(schedule)
			play := func(ctx context.Context, part []chaos.Timed) (bool, error) {
				for range tries {
					runs++
					got, dir, err := conductor.Run(ctx, conductor.Options{
						Scenario: s.With(part), Runtime: rt, Out: out, Command: commandLine(), Version: version(), Interrupt: interrupt,
					})
					if err != nil {
						return false, err
					}
					if got.Run.Interrupted {
						return false, errInterrupted
					}
					fmt.Fprintf(cmd.ErrOrStderr(), "run %d: %d of %d faults: %s (%s)\n", runs, len(part), total, got.Verdict.Outcome, dir)
					if got.Verdict.Outcome == result.Verdict.Outcome {
						return true, nil
					}
				}
				return false, nil
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%d faults ended with %s: %s\n", len(schedule), result.Verdict.Outcome, result.Verdict.Reason)
			smallest, err := chaos.Shrink(ctx, schedule, play)
			if err != nil && !errors.Is(err, errInterrupted) {
				return err
			}
			shrunk := s.With(smallest)
			path := filepath.Join(out, s.Name+".shrunk.yaml")
			if err := os.WriteFile(path, []byte(shrunk.Resolved), 0o644); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d of %d faults left after %d runs:\n", len(smallest), len(schedule), runs)
			for _, f := range shrunk.Summary().Faults {
				fmt.Fprintf(cmd.OutOrStdout(), "  at %s  %s  %s\n", f.At, f.Name, f.Fault)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Again: ordbench run %s\n", path)
			return err
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", defaultOut, "directory for results")
	cmd.Flags().IntVar(&tries, "tries", 2, "how often a part may pass before it is taken for harmless")
	where.flags(cmd)
	return cmd
}
