package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ordbench/ordbench/scenarios/conductor/control"
)

func newDown() *cobra.Command {
	var stack string
	var all bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "End the running stack; nothing of it is left",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if !all {
				return down(ctx, cmd, stack)
			}
			infos, err := control.List(ctx)
			if err != nil {
				return err
			}
			var errs []error
			for _, info := range infos {
				errs = append(errs, down(ctx, cmd, info.ID))
			}
			removed, err := removeContainers(ctx, cmd.OutOrStdout())
			if len(infos) == 0 && removed == 0 && err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), "no stack is running")
			}
			return errors.Join(append(errs, err)...)
		},
	}
	addStackFlag(cmd, &stack)
	cmd.Flags().BoolVar(&all, "all", false, "every stack of yours, and all containers that any stack has left")
	return cmd
}

func down(ctx context.Context, cmd *cobra.Command, id string) error {
	c, err := control.Dial(ctx, id)
	if err != nil {
		return usageError{err}
	}
	if err := c.Down(ctx); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s is down: all its processes have ended\n", c.Info.ID)
	return nil
}
