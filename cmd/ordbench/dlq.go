package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ordbench/ordbench/scenarios/conductor/control"
	"github.com/ordbench/ordbench/system"
)

func newDLQ() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dlq",
		Short: "Look at dead letters of a running stack, and send them back",
		Long: `Look at the messages that a consumer group of the running stack has given up,
and send them back. A message that fails by its own fault is tried again later,
four times in all; then it lies in the dead-letter topic of the group with its
cause, and its order is PARKED. Sent back, it is tried as a new message is, and
brings its order to its end.`,
		Example: `  ordbench dlq list
  ordbench dlq show payment-group/3
  ordbench dlq redrive payment-group/3
  ordbench dlq redrive --all`,
	}
	cmd.AddCommand(newDLQList(), newDLQShow(), newDLQRedrive())
	return subcommands(cmd)
}

func newDLQList() *cobra.Command {
	var stack string
	var asJSON, all bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List dead letters that nobody has sent back",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			letters, err := deadLetters(cmd, stack)
			if err != nil {
				return err
			}
			if !all {
				open := []system.DeadLetter{}
				for _, d := range letters {
					if !d.Redriven && !d.Handled {
						open = append(open, d)
					}
				}
				letters = open
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), letters)
			}
			return printDeadLetters(cmd.OutOrStdout(), letters)
		},
	}
	addStackFlag(cmd, &stack)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&all, "all", false, "also those that were sent back, or handled since")
	return cmd
}

func newDLQShow() *cobra.Command {
	var stack string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show one dead letter with its cause, its origin and what it says",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			letters, err := deadLetters(cmd, stack)
			if err != nil {
				return err
			}
			for _, d := range letters {
				switch {
				case d.ID != args[0]:
				case asJSON:
					return printJSON(cmd.OutOrStdout(), d)
				default:
					return printDeadLetter(cmd.OutOrStdout(), d)
				}
			}
			return usageError{fmt.Errorf("no dead letter %s: ordbench dlq list --all shows them", args[0])}
		},
	}
	addStackFlag(cmd, &stack)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newDLQRedrive() *cobra.Command {
	var stack string
	var asJSON, all bool
	cmd := &cobra.Command{
		Use:   "redrive ID... | --all",
		Short: "Send dead letters back to the group that gave them up",
		RunE: func(cmd *cobra.Command, ids []string) error {
			switch {
			case all && len(ids) > 0:
				return usageError{errors.New("redrive takes ids or --all, not both")}
			case all:
				ids = []string{"all"}
			case len(ids) == 0:
				return usageError{errors.New("redrive needs the id of a dead letter, or --all: ordbench dlq list shows them")}
			}
			c, err := control.Dial(cmd.Context(), stack)
			if err != nil {
				return usageError{err}
			}
			sent, err := c.Redrive(cmd.Context(), ids...)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), sent)
			}
			for _, d := range sent {
				fmt.Fprintf(cmd.OutOrStdout(), "%s  sent back to %s, order %s\n", d.ID, d.Group, d.Key)
			}
			if len(sent) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "nothing to send back")
			}
			return nil
		},
	}
	addStackFlag(cmd, &stack)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&all, "all", false, "all that were neither sent back nor handled since")
	return cmd
}

func deadLetters(cmd *cobra.Command, stack string) ([]system.DeadLetter, error) {
	c, err := control.Dial(cmd.Context(), stack)
	if err != nil {
		return nil, usageError{err}
	}
	return c.DeadLetters(cmd.Context())
}

func printDeadLetters(w io.Writer, letters []system.DeadLetter) error {
	if len(letters) == 0 {
		fmt.Fprintln(w, "no dead letters")
		return nil
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "ID\tEVENT\tORDER\tIS\tATTEMPTS\tGIVEN UP\tCAUSE")
	for _, d := range letters {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", d.ID, d.Event, d.Key, dead(d), d.Attempts, d.GivenUp.Local().Format(time.TimeOnly), oneLine(d.Cause))
	}
	return tw.Flush()
}

// dead is where a dead letter and its order stand.
func dead(d system.DeadLetter) string {
	state := d.OrderStatus
	if state == "" {
		state = "no order"
	}
	switch {
	case d.Handled:
		state += ", handled since"
	case d.Redriven:
		state += ", sent back"
	}
	return state
}

func printDeadLetter(w io.Writer, d system.DeadLetter) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{
		{"id", d.ID},
		{"order", d.Key + " (" + dead(d) + ")"},
		{"event", strings.TrimSpace(d.Event + " " + d.EventID)},
		{"cause", oneLine(d.Cause)},
		{"attempts", fmt.Sprint(d.Attempts)},
		{"origin", d.Origin},
		{"first failed", d.FirstFailed.Local().Format(time.DateTime)},
		{"given up", d.GivenUp.Local().Format(time.DateTime)},
		{"trace", d.Traceparent},
		{"value", oneLine(d.Value)},
	} {
		if row[1] != "" {
			fmt.Fprintf(tw, "%s\t%s\n", row[0], row[1])
		}
	}
	return tw.Flush()
}

// oneLine keeps what a stranger has sent from playing with the terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
