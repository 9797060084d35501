package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ordbench/ordbench/reports"
	"github.com/ordbench/ordbench/scenarios/conductor/control"
)

func newVerify() *cobra.Command {
	var stack string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Audit the books of a running stack now",
		Long: `Audit the databases and topics of a running stack: every order has its stock
effect exactly once and was charged and told of once or not at all, as it
ended; stock and money are conserved, every promised event was published,
nothing appears that nobody ordered. Orders still on their way are in flight,
not lost.`,
		Example: `  ordbench verify
  ordbench verify --json | jq .orders`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := control.Dial(cmd.Context(), stack)
			if err != nil {
				return usageError{err}
			}
			v, err := c.Verify(cmd.Context())
			if err != nil {
				return err
			}
			write := printVerification
			if asJSON {
				write = func(w io.Writer, v control.Verification) error { return printJSON(w, v) }
			}
			if err := write(cmd.OutOrStdout(), v); err != nil {
				return err
			}
			if v.Outcome != reports.Pass {
				return &outcomeError{v.Outcome}
			}
			return nil
		},
	}
	addStackFlag(cmd, &stack)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printVerification(w io.Writer, v control.Verification) error {
	fmt.Fprintf(w, "%s  %s\n\n", strings.ToUpper(string(v.Outcome)), v.Reason)
	o := v.Orders
	fmt.Fprintf(w, "orders %d: completed %d, compensated %d, pending %d, parked %d; lost %d, doubled %d\n",
		o.Accepted, o.Completed, o.Compensated, o.Pending, o.Parked, o.Lost, o.Duplicated)
	if v.InFlight != "" {
		fmt.Fprintf(w, "in flight: %s\n", v.InFlight)
	}
	fmt.Fprintln(w)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, inv := range v.Invariants {
		fmt.Fprintf(tw, "%s\t%s\t%s\n", inv.Outcome, inv.ID, inv.Detail)
		if inv.Outcome != reports.Broken {
			continue // what is on its way is no evidence
		}
		for _, id := range inv.Evidence {
			fmt.Fprintf(tw, "\t\t%s\n", id)
		}
	}
	return tw.Flush()
}
