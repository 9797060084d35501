package main

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ordbench/ordbench/scenarios"
)

func newScenario() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "scenario",
		Short: "List and check scenarios",
		Example: `  ordbench scenario list
  ordbench scenario lint scenarios/*.yaml`,
	}
	cmd.AddCommand(newScenarioList(), newScenarioLint())
	return subcommands(cmd)
}

func newScenarioList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the scenarios of the library",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			library := scenarios.Library()
			if asJSON {
				return printJSON(cmd.OutOrStdout(), library)
			}
			tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(tw, "SCENARIO\tLOAD\tWHAT IT SHOWS")
			for _, e := range library {
				fmt.Fprintf(tw, "%s\t%s\t%s\n", e.Name, e.Length, e.Description)
			}
			return tw.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newScenarioLint() *cobra.Command {
	var set []string
	cmd := &cobra.Command{
		Use:               "lint SCENARIO...",
		Short:             "Say everything that is wrong with scenarios, and where",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: completeScenarios,
		RunE: func(cmd *cobra.Command, args []string) error {
			var problems []error
			for _, arg := range args {
				s, err := scenarios.Load(arg, set...)
				if err != nil {
					problems = append(problems, err)
					continue
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: ok\n", arg)
				for _, runtime := range []string{runtimeLocal, runtimeDocker} {
					for _, p := range s.CheckOn(runtime) {
						fmt.Fprintf(cmd.OutOrStdout(), "  not with --runtime %s: %s\n", runtime, p.Message)
					}
				}
			}
			return errors.Join(problems...)
		},
	}
	cmd.Flags().StringArrayVar(&set, "set", nil, "change one value before checking, path=value; may be repeated")
	return cmd
}

// completeScenarios offers the names of the library, and files.
func completeScenarios(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, e := range scenarios.Library() {
		names = append(names, e.Name)
	}
	return names, cobra.ShellCompDirectiveDefault
}
