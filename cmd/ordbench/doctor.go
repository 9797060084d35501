package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/fatih/color"
	"github.com/spf13/cobra"

	"github.com/ordbench/ordbench/chaos"
	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/runtime/local"
	"github.com/ordbench/ordbench/system/runtime/machine"
)

// checkup is what a machine has for each runtime, and which one a run takes.
type checkup struct {
	Runtimes []runtimeCheckup `json:"runtimes"`
	Faults   faultCheckup     `json:"faults"`
	Takes    string           `json:"takes"`         // the runtime that `ordbench run` takes
	Why      string           `json:"why,omitempty"` // "": it was named
	Ready    bool             `json:"ready"`         // that runtime works
}

type runtimeCheckup struct {
	Name     string            `json:"name"`
	Ready    bool              `json:"ready"`
	Findings []machine.Finding `json:"findings"`
}

// faultCheckup is what faults need beyond what the runtimes do.
type faultCheckup struct {
	Findings []machine.Finding `json:"findings"`
	CantRun  []string          `json:"cant_run"` // faults of the catalogue, with the reason
}

// errNotReady says that the runtime which a run takes would not boot. It is
// reported already.
var errNotReady = errors.New("not ready")

func newDoctor() *cobra.Command {
	var o runtimeOptions
	var out string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine lacks for each runtime, and how to get it",
		Long: `Look at what each runtime and the faults need of this machine, and say what is
missing and how to get it. Nothing is made, changed, started or pulled.

Exits 0 when the runtime that 'ordbench run' would take works, 4 when it does
not: with --runtime, the one that is named.`,
		Example: `  ordbench doctor
  ordbench doctor --runtime docker    # exits 4 without a daemon or an image
  ordbench doctor --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			found, err := o.examine(cmd.Context(), out)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), found)
			} else {
				err = found.print(cmd.OutOrStdout())
			}
			if err == nil && !found.Ready {
				err = errNotReady
			}
			return err
		},
	}
	o.flags(cmd)
	cmd.Flags().StringVarP(&out, "out", "o", defaultOut, "directory that results would go to")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// examine looks at this machine.
func (o *runtimeOptions) examine(ctx context.Context, out string) (checkup, error) {
	containers, err := o.containers(io.Discard)
	if err != nil {
		return checkup{}, err
	}
	cfg := system.DefaultConfig()
	of := func(name string, found []machine.Finding) runtimeCheckup {
		return runtimeCheckup{Name: name, Ready: machine.Lacks(found) == "", Findings: found}
	}
	c := checkup{Runtimes: []runtimeCheckup{
		of(runtimeLocal, local.Runtime{}.Examine(out)),
		of(runtimeDocker, containers.Examine(ctx, cfg.Images)),
	}}
	c.Faults = faultCheckup{Findings: machine.Kernel(), CantRun: []string{}}
	for _, d := range chaos.Catalogue() {
		for _, n := range d.Needs {
			if n.Missing != "" {
				c.Faults.CantRun = append(c.Faults.CantRun, d.Name+": "+n.Missing)
			}
		}
	}
	rt, why, err := o.choose(ctx, io.Discard, cfg, "")
	if err != nil {
		return checkup{}, err
	}
	c.Takes, c.Why = rt.Name(), why
	for _, r := range c.Runtimes {
		c.Ready = c.Ready || r.Name == c.Takes && r.Ready
	}
	return c, nil
}

func (c checkup) print(w io.Writer) error {
	var text strings.Builder
	for _, r := range c.Runtimes {
		state := "ready"
		if !r.Ready {
			state = "not ready: lacks " + machine.Lacks(r.Findings)
		}
		fmt.Fprintf(&text, "%s runtime: %s\n", r.Name, state)
		printFindings(&text, r.Findings)
	}
	fmt.Fprintf(&text, "faults: %d of %d run here\n", len(chaos.Catalogue())-len(c.Faults.CantRun), len(chaos.Catalogue()))
	printFindings(&text, c.Faults.Findings)
	for _, fault := range c.Faults.CantRun {
		fmt.Fprintf(&text, "  can't run  %s\n", fault)
	}
	fmt.Fprintf(&text, "\nordbench run takes the %s runtime", c.Takes)
	if c.Why != "" {
		fmt.Fprintf(&text, ": %s", c.Why)
	}
	fmt.Fprintln(&text)
	_, err := io.WriteString(w, text.String())
	return err
}

// printFindings prints a line for each finding, and below it the remedy.
func printFindings(w io.Writer, found []machine.Finding) {
	paint := map[machine.State]*color.Color{
		machine.OK: color.New(color.FgGreen), machine.Limited: color.New(color.FgYellow), machine.Missing: color.New(color.FgRed),
	}
	width := 0
	for _, f := range found {
		width = max(width, len(f.Need))
	}
	for _, f := range found {
		fmt.Fprintf(w, "  %s  %-*s  %s\n", paint[f.State].Sprintf("%-7s", f.State), width, f.Need, f.Detail)
		if f.Remedy != "" {
			fmt.Fprintf(w, "  %7s  %-*s  -> %s\n", "", width, "", f.Remedy)
		}
	}
}
