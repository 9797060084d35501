package main

import (
	"fmt"

	"github.com/fatih/color"
	"github.com/spf13/cobra"

	"github.com/ordbench/ordbench/reports"
)

func newReport() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "report RESULT",
		Short: "Show a stored result again",
		Long: `Show a stored result again. A RESULT is result.json, the directory of a run, or
the directory of a scenario, whose latest run it then is.`,
		Example: `  ordbench report results/spike
  ordbench report results/spike/latest --format json | jq .verdict`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			result, dir, err := reports.Read(args[0])
			if err != nil {
				return usageError{err}
			}
			switch format {
			case "text":
				width, _ := terminal(cmd.OutOrStdout())
				return reports.Text(cmd.OutOrStdout(), result, reports.TextOptions{Color: !color.NoColor, Width: width, Dir: dir})
			case "json":
				return printJSON(cmd.OutOrStdout(), result)
			case "hgrm":
				return reports.WriteHGRM(cmd.OutOrStdout(), result)
			default:
				return usageError{fmt.Errorf("unknown format %q: text, json and hgrm are there", format)}
			}
		},
	}
	cmd.Flags().StringVarP(&format, "format", "f", "text", "text, json or hgrm")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"text", "json", "hgrm"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}
