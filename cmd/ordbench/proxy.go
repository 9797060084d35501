package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/ordbench/ordbench/chaos/proxy"
	"github.com/ordbench/ordbench/system/telemetry"
)

// newProxy is the life of the container that stands in the links of a stack.
func newProxy() *cobra.Command {
	var config string
	cmd := &cobra.Command{
		Use:    "proxy",
		Short:  "Stand in links until SIGTERM; the docker runtime starts it",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, os.Interrupt)
			defer stop()
			f, err := os.Open(config)
			if err != nil {
				return usageError{err}
			}
			defer f.Close()
			var cfg proxy.StationConfig
			dec := json.NewDecoder(f)
			dec.DisallowUnknownFields()
			if err := dec.Decode(&cfg); err != nil {
				return usageError{fmt.Errorf("%s: %w", config, err)}
			}
			return proxy.RunStation(ctx, cfg, telemetry.NewLogger(cmd.ErrOrStderr(), "links", ""))
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "JSON configuration")
	_ = cmd.MarkFlagRequired("config")
	return cmd
}
