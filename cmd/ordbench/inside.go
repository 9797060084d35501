package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/ordbench/ordbench/system/runtime/inside"
)

// newInside is the life of a helper in the namespaces of another container.
func newInside() *cobra.Command {
	return &cobra.Command{
		Use:    "inside",
		Short:  "Take orders on standard input until it ends; the docker runtime starts it",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// It ends with its input, so that it undoes what it did.
			signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
			return inside.Run(cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}
