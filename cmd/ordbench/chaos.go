package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ordbench/ordbench/chaos"
	"github.com/ordbench/ordbench/scenarios/conductor/control"
)

func newChaos() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "chaos",
		Short: "Inject faults into a running stack",
		Long: `Inject faults into the stack that runs: one of 'ordbench up', or a run in
progress, in whose report the fault then stands. Each fault says what proves
that it took effect.`,
		Example: `  ordbench chaos kill inventory
  ordbench chaos kill inventory-3 --restart-after 5s
  ordbench chaos pause broker --for 3s
  ordbench chaos list
  ordbench chaos heal`,
	}
	for _, d := range chaos.Catalogue() {
		cmd.AddCommand(newFault(d))
	}
	cmd.AddCommand(newChaosList(), newHeal())
	return subcommands(cmd)
}

// newFault is the command of one kind of fault; its flags are the options.
func newFault(d chaos.Definition) *cobra.Command {
	var stack string
	spec := chaos.Spec{Fault: d.Name}
	cmd := &cobra.Command{
		Use:     d.Name + " TARGET",
		Short:   d.Summary,
		Long:    d.Summary + ".\n\nA TARGET is a component, or one replica of it (inventory-3): " + strings.Join(d.Targets, ", ") + ".",
		Example: "  " + d.Example,
		Args:    cobra.ExactArgs(1),
		ValidArgsFunction: complete(func() []string {
			return d.Targets
		}),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec.Target = args[0]
			if problems := spec.Validate(); len(problems) > 0 {
				return problems[0]
			}
			c, err := control.Dial(cmd.Context(), stack)
			if err != nil {
				return usageError{err}
			}
			rec, err := c.Inject(cmd.Context(), spec)
			if err != nil {
				return err
			}
			return printRecords(cmd.OutOrStdout(), rec)
		},
	}
	for _, o := range d.Options {
		flag, usage := strings.ReplaceAll(o.Name, "_", "-"), o.Summary
		switch o.Name {
		case "restart_after":
			cmd.Flags().DurationVar(&spec.RestartAfter, flag, 0, usage)
		case "for":
			cmd.Flags().DurationVar(&spec.For, flag, 0, usage)
		case "replicas":
			cmd.Flags().IntVar(&spec.Replicas, flag, 0, usage)
		}
	}
	addStackFlag(cmd, &stack)
	return cmd
}

func newChaosList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the faults, their targets and options",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				return printJSON(cmd.OutOrStdout(), chaos.Catalogue())
			}
			tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(tw, "FAULT\tWHAT IT DOES\tTARGETS")
			for _, d := range chaos.Catalogue() {
				fmt.Fprintf(tw, "%s\t%s\t%s\n", d.Name, d.Summary, strings.Join(d.Targets, ", "))
				for _, o := range d.Options {
					fmt.Fprintf(tw, "\t  %s (%s, default %s): %s\t\n", o.Name, o.Kind, o.Default, o.Summary)
				}
				fmt.Fprintf(tw, "\t  $ %s\t\n", d.Example)
			}
			return tw.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newHeal() *cobra.Command {
	var stack string
	cmd := &cobra.Command{
		Use:   "heal",
		Short: "Undo every fault that stands in a running stack",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := control.Dial(cmd.Context(), stack)
			if err != nil {
				return usageError{err}
			}
			recs, err := c.Heal(cmd.Context())
			if err != nil {
				return err
			}
			if len(recs) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "nothing to heal: no fault stands")
				return nil
			}
			return printRecords(cmd.OutOrStdout(), recs...)
		},
	}
	addStackFlag(cmd, &stack)
	return cmd
}

func printRecords(w io.Writer, recs ...chaos.Record) error {
	for _, rec := range recs {
		fmt.Fprintf(w, "%s\n", rec.Spec.Name)
		for _, line := range rec.Proof {
			fmt.Fprintf(w, "  %s\n", line)
		}
		if rec.Spec.RestartAfter > 0 && rec.Ended.IsZero() {
			fmt.Fprintf(w, "  held down until %s\n", rec.Started.Add(rec.Spec.RestartAfter).Local().Format(time.TimeOnly))
		}
		if rec.Spec.Fault == "pause" && rec.Ended.IsZero() {
			end := "resumed or healed (ordbench chaos heal)"
			if rec.Spec.For > 0 {
				end = rec.Started.Add(rec.Spec.For).Local().Format(time.TimeOnly)
			}
			fmt.Fprintf(w, "  paused until %s\n", end)
		}
		if rec.Error != "" {
			fmt.Fprintf(w, "  %s\n", rec.Error)
		}
	}
	return nil
}

// addStackFlag adds --stack, which chooses among several running stacks.
func addStackFlag(cmd *cobra.Command, stack *string) {
	cmd.Flags().StringVar(stack, "stack", "", "which stack, where several run")
	_ = cmd.RegisterFlagCompletionFunc("stack", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		infos, _ := control.List(cmd.Context())
		var ids []string
		for _, info := range infos {
			ids = append(ids, info.ID)
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	})
}

// subcommands makes an unknown subcommand of cmd a usage error that names
// the nearest one, instead of a page of help and exit code 0.
func subcommands(cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usageError{fmt.Errorf("%s needs a command: %s", cmd.CommandPath(), strings.Join(names(cmd), ", "))}
		}
		hint := ""
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			hint = fmt.Sprintf("; did you mean %q?", near[0])
		}
		return usageError{fmt.Errorf("unknown command %q for %s%s (there is %s)", args[0], cmd.CommandPath(), hint, strings.Join(names(cmd), ", "))}
	}
	cmd.SuggestionsMinimumDistance = 2
	return cmd
}

func names(cmd *cobra.Command) []string {
	var names []string
	for _, sub := range cmd.Commands() {
		names = append(names, sub.Name())
	}
	slices.Sort(names)
	return names
}
