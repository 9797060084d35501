package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/ordbench/ordbench/system/runtime/serve"
	"github.com/ordbench/ordbench/system/telemetry"
)

func newServe() *cobra.Command {
	var config string
	var lease int
	cmd := &cobra.Command{
		Use:   "serve COMPONENT",
		Short: "Run one component; the runtimes start these",
		Long: `Run one component of the order system until SIGTERM. The runtimes start it;
by hand it serves for looking at one component alone.

Components: ` + strings.Join(serve.Components(), ", "),
		Example:           `  ordbench serve broker --config broker.json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: complete(serve.Components),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, os.Interrupt)
			defer stop()
			switch {
			case lease > 0 && args[0] == serve.Watchdog:
				// It ends with its lease too, but has work to do then.
				go func() {
					_, _ = io.Copy(io.Discard, os.NewFile(uintptr(lease), "lease"))
					stop()
				}()
			case lease > 0:
				go endWith(os.NewFile(uintptr(lease), "lease"))
			}
			in := cmd.InOrStdin()
			if config != "-" {
				f, err := os.Open(config)
				if err != nil {
					return usageError{err}
				}
				defer f.Close()
				in = f
			}
			collectSeldom()
			log := telemetry.NewLogger(cmd.ErrOrStderr(), args[0], "")
			return serve.Run(ctx, args[0], in, log)
		},
	}
	cmd.Flags().StringVar(&config, "config", "-", "JSON configuration of the component; - is standard input")
	cmd.Flags().IntVar(&lease, "lease-fd", 0, "descriptor of a pipe whose end ends this process")
	_ = cmd.Flags().MarkHidden("lease-fd")
	return cmd
}

// collectSeldom lets the heap grow to five times what lives, unless the user
// says otherwise. In a component that is a few megabytes, and collecting them at
// every doubling would cost a tenth of the processor. Beside a load, each
// collection stops who sends, for as long as the kernel keeps any thread waiting.
func collectSeldom() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

// endWith ends this process when the process that holds the other end of the
// lease is gone: nothing may outlive it.
func endWith(lease *os.File) {
	_, _ = io.Copy(io.Discard, lease)
	fmt.Fprintln(os.Stderr, "the parent process is gone: ending")
	os.Exit(exitInternal)
}

// complete offers the values of list for the first argument.
func complete(list func() []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return list(), cobra.ShellCompDirectiveNoFileComp
	}
}
