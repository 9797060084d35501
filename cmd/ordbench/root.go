package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/fatih/color"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// Main runs one command line and returns its exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.Execute()
	if err != nil && !reported(err) {
		fmt.Fprintf(stderr, "ordbench: %v\n", err)
	}
	return exitCode(err)
}

func newRoot() *cobra.Command {
	var noColor bool
	root := &cobra.Command{
		Use:   "ordbench",
		Short: "Load, break and judge an event-driven order system",
		Long: `ordbench boots an event-driven order system, drives it with open-loop traffic,
breaks it on purpose, and says with evidence whether it kept its promises:
latency, breaker trips, consumer-lag scaling, and no accepted order lost or
doubled.

` + exitHelp,
		Example: `  ordbench run spike                      # boot, drive, break, drain, verify, report
  ordbench run scenarios/spike.yaml       # the same from a file
  ordbench load http://127.0.0.1:8080/ --rate 500/s   # drive any HTTP target
  ordbench up -d && ordbench status       # a stack that stays
  ordbench chaos kill inventory           # into whatever runs
  ordbench verify && ordbench down`,
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRun: func(*cobra.Command, []string) {
			if noColor {
				color.NoColor = true
			}
		},
	}
	root.PersistentFlags().BoolVar(&noColor, "no-color", false, "no colour; so does the variable NO_COLOR")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w\nSee '%s --help'", err, c.CommandPath())}
	})
	root.AddCommand(
		newRun(), newLoad(), newUp(), newDown(), newStatus(), newChaos(), newVerify(), newDLQ(), newToken(),
		newScenario(), newReport(), newDoctor(), newServe(), newReap(), newProxy(), newInside(), newVersion(),
	)
	root.Args = unknownCommand
	root.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	root.SuggestionsMinimumDistance = 2
	for _, c := range root.Commands() {
		markUsage(c)
	}
	return root
}

// unknownCommand refuses what is no command, with those that come near.
func unknownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return usageError{fmt.Errorf("unknown command %q%s\nSee '%s --help'", args[0], hint, c.CommandPath())}
}

// markUsage makes a wrong number of arguments a usage error, in c and below.
func markUsage(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageError{fmt.Errorf("%w\nUsage: %s", err, cmd.UseLine())}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		markUsage(sub)
	}
}

// interrupts returns a channel that is closed at the first interrupt, and a
// context that is cancelled at the second.
func interrupts(ctx context.Context) (<-chan struct{}, context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	first := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-signals:
				if n > 0 {
					cancel()
					return
				}
				close(first)
			}
		}
	}()
	return first, ctx, func() {
		signal.Stop(signals)
		cancel()
		<-ended
	}
}

// terminal says whether w is a terminal, and its width.
func terminal(w io.Writer) (width int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	return width, err == nil
}
