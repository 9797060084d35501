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
	var all, force bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "End the running stack; nothing of it is left",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if force && !all {
				return usageError{errors.New("--force goes with --all")}
			}
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
			found, err := removeContainers(ctx, cmd.OutOrStdout(), force)
			if len(infos) == 0 && found == 0 && err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), "no stack is running")
			}
			return errors.Join(append(errs, err)...)
		},
	}
	addStackFlag(cmd, &stack)
	cmd.Flags().BoolVar(&all, "all", false, "every stack of yours, and all containers that a killed ordbench has left")
	cmd.Flags().BoolVar(&force, "force", false, "with --all: also the containers of stacks that somebody else uses")
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
