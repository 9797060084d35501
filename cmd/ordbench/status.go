package main

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ordbench/ordbench/scenarios/conductor/control"
	"github.com/ordbench/ordbench/system"
)

func newStatus() *cobra.Command {
	var stack string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the running stack: replicas, lag, breakers",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := control.Dial(cmd.Context(), stack)
			if err != nil {
				return usageError{err}
			}
			st, err := c.Status(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), struct {
					Stack control.Info `json:"stack"`
					system.Status
				}{c.Info, st})
			}
			return printStatus(cmd.OutOrStdout(), c.Info, st)
		},
	}
	addStackFlag(cmd, &stack)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printStatus(w io.Writer, info control.Info, st system.Status) error {
	what := info.Kind
	if info.Scenario != "" {
		what += " " + info.Scenario
	}
	fmt.Fprintf(w, "%s  %s, %s runtime, pid %d, up %s\n", info.ID, what, st.Runtime, info.PID, ms(st.UptimeMS))
	fmt.Fprintf(w, "gateway  %s\nlogs     %s/logs\n", st.URL, info.Dir)
	if c := st.Collector; c != nil {
		fmt.Fprintf(w, "traces   %s (%s)", cmp.Or(c.UI, "in the collector"), c.Image)
		fmt.Fprintf(w, ", OTLP at %s\n", c.Endpoint)
	}
	fmt.Fprintln(w)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "REPLICA\tSTATE\tPID\tUP\tRESTARTS\tCPU\tMEMORY\tADDRESS\t")
	for _, c := range st.Components {
		for _, r := range c.Replicas {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%d\t%.2f\t%d MB\t%s\t%s\n", r.Name, r.State, orDash(r.PID), ms(r.UptimeMS),
				r.Restarts, r.CPUCores, r.RSSBytes>>20, r.Addr, r.Detail)
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if st.LagError != "" {
		fmt.Fprintf(w, "lag      unknown: %s\n", st.LagError)
	}
	for _, l := range st.Lag {
		fmt.Fprintf(w, "lag      %s on %s: %d in %d partitions\n", l.Group, l.Topic, l.Total(), len(l.Partitions))
	}
	for _, b := range st.Breakers {
		fmt.Fprintf(w, "breaker  %s of %s: %s, %d trips\n", b.Name, b.Replica, b.State, b.Trips)
	}
	return nil
}

func ms(n int64) time.Duration {
	return (time.Duration(n) * time.Millisecond).Round(100 * time.Millisecond)
}

func orDash(pid int) string {
	if pid == 0 {
		return "-"
	}
	return fmt.Sprint(pid)
}
