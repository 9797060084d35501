package main

import (
	"fmt"
	"strings"

	"github.com/fatih/color"
	"github.com/spf13/cobra"

	"github.com/ordbench/ordbench/reports"
)

var formats = []string{"text", "json", "md", "junit", "hgrm", "csv", "prometheus"}

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
			w := cmd.OutOrStdout()
			switch format {
			case "text":
				width, _ := terminal(w)
				return reports.Text(w, result, reports.TextOptions{Color: !color.NoColor, Width: width, Dir: dir})
			case "json":
				return printJSON(w, result)
			case "md":
				return reports.Summary(w, result)
			case "junit":
				return reports.JUnit(w, result)
			case "hgrm":
				return reports.WriteHGRM(w, result)
			case "csv":
				return reports.WriteCSV(w, result)
			case "prometheus":
				return reports.WritePrometheus(w, result)
			default:
				return usageError{fmt.Errorf("unknown format %q: there is %s", format, strings.Join(formats, ", "))}
			}
		},
	}
	cmd.Flags().StringVarP(&format, "format", "f", "text", strings.Join(formats, ", "))
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}
