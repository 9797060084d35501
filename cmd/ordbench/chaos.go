package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ordbench/ordbench/chaos"
	"github.com/ordbench/ordbench/scenarios/conductor/control"
	"github.com/ordbench/ordbench/system/runtime/local"
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
  ordbench chaos latency 'gateway->order' --delay 200ms   # needs up --links
  ordbench chaos list
  ordbench chaos heal`,
	}
	for _, d := range chaos.Catalogue() {
		cmd.AddCommand(newFault(d))
	}
	cmd.AddCommand(newChaosList(), newHeal(), newShrink())
	return subcommands(cmd)
}

// newFault is the command of one kind of fault; its flags are the options.
func newFault(d chaos.Definition) *cobra.Command {
	var stack string
	spec := chaos.Spec{Fault: d.Name}
	given := map[string]*string{}
	cmd := &cobra.Command{
		Use:     d.Name + " TARGET",
		Short:   d.Summary,
		Long:    faultHelp(d),
		Example: "  " + d.Example,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{fmt.Errorf("%s needs one TARGET: %s", cmd.CommandPath(), strings.Join(d.Targets, ", "))}
			}
			return nil
		},
		ValidArgsFunction: complete(func() []string {
			return d.Targets
		}),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec.Target, spec.Options = args[0], chaos.Options{}
			for name, text := range given {
				if cmd.Flags().Changed(flagOf(name)) {
					spec.Options[name] = *text
				}
			}
			if problems := spec.Validate(); len(problems) > 0 {
				return problems[0]
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			c, err := control.Dial(ctx, stack)
			if err != nil {
				return usageError{err}
			}
			rec, err := c.Inject(ctx, spec)
			if ctx.Err() != nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "interrupted: %s %s may stand%s (ordbench chaos heal ends it)\n", spec.Fault, spec.Target, upTo(spec.For()))
				return errInterrupted
			}
			if err != nil {
				return err
			}
			return printRecords(cmd.OutOrStdout(), rec)
		},
	}
	for _, o := range d.Options {
		given[o.Name] = cmd.Flags().String(flagOf(o.Name), o.Default, o.Summary)
		if len(o.Words) > 0 {
			_ = cmd.RegisterFlagCompletionFunc(flagOf(o.Name), cobra.FixedCompletions(o.Words, cobra.ShellCompDirectiveNoFileComp))
		}
	}
	addStackFlag(cmd, &stack)
	return cmd
}

// upTo is how long something lasts, where it has an end.
func upTo(length time.Duration) string {
	if length == 0 {
		return ""
	}
	return " for " + length.String()
}

func flagOf(option string) string { return strings.ReplaceAll(option, "_", "-") }

// faultHelp is what the catalogue knows of a fault.
func faultHelp(d chaos.Definition) string {
	text := fmt.Sprintf("%s (%s fault).\n\nTARGET: %s", d.Summary, d.Family, strings.Join(d.Targets, ", "))
	if !strings.ContainsAny(strings.Join(d.Targets, ""), ">|") {
		text += "; or one replica of it, inventory-3"
	}
	for _, n := range d.Needs {
		text += "\nIt needs " + n.What
		if n.On != "" {
			text += " on the " + n.On + " runtime"
		}
		text += "."
		if n.Missing != "" {
			text += " That is missing here: " + n.Missing + "."
		}
	}
	for _, runtime := range []string{runtimeLocal, runtimeDocker} {
		if why := d.NotOn[runtime]; why != "" {
			text += "\nNot on the " + runtime + " runtime: " + why + "."
		}
	}
	for _, note := range d.Notes {
		text += "\n" + note
	}
	return text + "\nIn a scenario the options are keys, with underscores for dashes."
}

func newChaosList() *cobra.Command {
	var asJSON, brief bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the faults: targets, options, needs, and whether they run here",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				return printJSON(cmd.OutOrStdout(), chaos.Catalogue())
			}
			return listFaults(cmd.OutOrStdout(), chaos.Catalogue(), brief)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&brief, "brief", false, "a line for each")
	return cmd
}

// listFaults prints the catalogue by family.
func listFaults(w io.Writer, all []chaos.Definition, brief bool) error {
	family := chaos.Family("")
	for _, d := range all {
		if d.Family != family {
			family = d.Family
			fmt.Fprintf(w, "%s\n", strings.ToUpper(string(family)))
		}
		fmt.Fprintf(w, "  %-19s %s\n", d.Name, d.Summary)
		if brief {
			continue
		}
		fmt.Fprintf(w, "  %19s on %s; %s\n", "", strings.Join(d.Targets, ", "), runsHere(d))
		for _, runtime := range []string{runtimeLocal, runtimeDocker} {
			if part, only := d.TargetsOn[runtime]; only {
				fmt.Fprintf(w, "  %19s on the %s runtime only on %s: %s\n", "", runtime, strings.Join(part.Targets, ", "), part.Else)
			}
		}
		for _, n := range d.Needs {
			on := ""
			if n.On != "" {
				on = ", on the " + n.On + " runtime"
			}
			fmt.Fprintf(w, "  %19s needs %s%s\n", "", n.What, on)
		}
		for _, o := range d.Options {
			what := string(o.Kind)
			if len(o.Words) > 0 {
				what = strings.Join(o.Words, "|")
			}
			usual := "default " + o.Default
			if o.Default == "" {
				usual = "must be given"
			}
			fmt.Fprintf(w, "  %19s --%s %s, %s: %s\n", "", flagOf(o.Name), what, usual, o.Summary)
		}
		for _, note := range d.Notes {
			fmt.Fprintf(w, "  %19s %s\n", "", note)
		}
		fmt.Fprintf(w, "  %19s $ %s\n", "", d.Example)
	}
	return nil
}

// runsHere says on which runtimes of this machine a fault can be made, and why
// not on the others.
func runsHere(d chaos.Definition) string {
	var runs, not []string
	for _, runtime := range []string{runtimeLocal, runtimeDocker} {
		if ok, why := d.RunsOn(runtime); ok {
			runs = append(runs, runtime)
		} else {
			not = append(not, "not on "+runtime+": "+why)
		}
	}
	switch {
	case len(not) == 0:
		return "runs here"
	case len(runs) == 0:
		return "can't run here: " + strings.Join(not, "; ")
	}
	return "runs here on " + runs[0] + "; " + strings.Join(not, "; ")
}

func newHeal() *cobra.Command {
	var stack string
	cmd := &cobra.Command{
		Use:   "heal",
		Short: "Undo every fault that stands in a running stack, or what a killed one left",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := control.Dial(cmd.Context(), stack)
			if errors.Is(err, control.ErrNone) {
				return healLeftovers(cmd.OutOrStdout())
			}
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

// healLeftovers removes what stacks have left outside of their processes that
// were killed together with their watchdogs.
func healLeftovers(w io.Writer) error {
	removed := local.Sweep()
	for _, what := range removed {
		fmt.Fprintf(w, "removed %s\n", what)
	}
	if len(removed) == 0 {
		fmt.Fprintln(w, "nothing to heal: no stack is running, and nothing of a killed one is left")
	}
	return nil
}

func printRecords(w io.Writer, recs ...chaos.Record) error {
	for _, rec := range recs {
		fmt.Fprintf(w, "%s\n", rec.Spec.Name)
		for _, line := range rec.Proof {
			fmt.Fprintf(w, "  %s\n", line)
		}
		if rec.Stands() {
			end := "until what it hit is ready again"
			switch length := rec.Spec.For(); {
			case rec.Endless:
				end = "until it is healed (ordbench chaos heal)"
			case length > 0:
				end = "until " + rec.Started.Add(length).Local().Format(time.TimeOnly)
			}
			fmt.Fprintf(w, "  stands %s\n", end)
			if !rec.Effective && rec.Error == "" {
				fmt.Fprintln(w, "  no effect was seen yet: nothing has run into it")
			}
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
