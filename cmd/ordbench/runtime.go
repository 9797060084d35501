package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ordbench/ordbench/scenarios"
	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/runtime/docker"
	"github.com/ordbench/ordbench/system/runtime/local"
)

// The runtimes by name.
const (
	runtimeAuto   = "auto"
	runtimeLocal  = "local"
	runtimeDocker = "docker"

	runtimeVariable = "ORDBENCH_RUNTIME"
)

var runtimes = []string{runtimeAuto, runtimeLocal, runtimeDocker}

// runtimeOptions say where the system runs.
type runtimeOptions struct {
	name      string
	images    []string
	collector string
	mirror    string
	binary    string
}

func (o *runtimeOptions) flags(cmd *cobra.Command) {
	name := runtimeAuto
	if v := os.Getenv(runtimeVariable); v != "" {
		name = v
	}
	f := cmd.Flags()
	f.StringVar(&o.name, "runtime", name, "where the system runs: local, docker, or auto: docker where it is ready (ordbench doctor); default from the variable "+runtimeVariable)
	f.StringArrayVar(&o.images, "image", nil, "docker: take this image, NAME=IMAGE of kafka, redis or postgres; may be repeated")
	f.StringVar(&o.mirror, "registry-mirror", "", "docker: prefix of a registry that has the images")
	f.StringVar(&o.binary, "system-binary", "", "docker: static Linux build of ordbench for the system's image, instead of this one")
	_ = cmd.RegisterFlagCompletionFunc("runtime", cobra.FixedCompletions(runtimes, cobra.ShellCompDirectiveNoFileComp))
}

// collectorFlag is for what boots a system that is traced.
func (o *runtimeOptions) collectorFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.collector, "collector-image", "", "docker: put this collector of traces, such as jaegertracing/jaeger, into the stack; it takes OTLP over HTTP on port 4318")
}

// args are the flags again, for a process that runs the same.
func (o *runtimeOptions) args() []string {
	args := []string{"--runtime", o.name, "--registry-mirror", o.mirror, "--system-binary", o.binary}
	for _, i := range o.images {
		args = append(args, "--image", i)
	}
	return args
}

// apply is what the flags change in a system.
func (o *runtimeOptions) apply(cfg *system.Config) {
	if o.collector != "" {
		cfg.Images.Collector = o.collector
	}
}

// choose returns the runtime for a system of cfg: the one that was asked for,
// or else the one that this machine is ready for, and then why. misfit says
// why it can't be that of containers, "" if it can. What takes long goes to
// progress.
func (o *runtimeOptions) choose(ctx context.Context, progress io.Writer, cfg system.Config, misfit string) (rt system.Runtime, why string, err error) {
	containers, err := o.containers(progress)
	if err != nil {
		return nil, "", err
	}
	switch {
	case o.name == runtimeLocal:
		rt = local.Runtime{}
	case o.name == runtimeDocker:
		rt = containers
	case cfg.Database.URL != "":
		rt, why = local.Runtime{}, "the books are kept on the server of system.database.url"
	case misfit != "":
		rt, why = local.Runtime{}, misfit
	default:
		var yes bool
		if yes, why = containers.Choose(ctx, cfg); yes {
			rt = containers
		} else {
			rt = local.Runtime{}
		}
	}
	return rt, why, suits(rt, cfg)
}

// misfit says why a scenario can't be played in containers, "" if it can.
func misfit(s *scenarios.Scenario) string {
	if problems := s.CheckOn(runtimeDocker); len(problems) > 0 {
		return problems[0].Message
	}
	return ""
}

// containers is the runtime of containers as the flags want it. The error is
// a mistake in one of them.
func (o *runtimeOptions) containers(progress io.Writer) (docker.Runtime, error) {
	images := system.ImagesConfig{Mirror: o.mirror}
	for _, arg := range o.images {
		if err := docker.SetImage(&images, arg); err != nil {
			return docker.Runtime{}, usageError{err}
		}
	}
	if !slices.Contains(runtimes, o.name) {
		return docker.Runtime{}, usageError{fmt.Errorf("unknown runtime %q: %s are there", o.name, strings.Join(runtimes, ", "))}
	}
	return docker.Runtime{
		Images: images, Binary: o.binary,
		Progress: func(line string) { fmt.Fprintln(progress, line) },
	}, nil
}

// validate says what is wrong with the flags. Nobody is asked.
func (o *runtimeOptions) validate() error {
	_, err := o.containers(io.Discard)
	return err
}

// suits says what a system asks for that a runtime does not have.
func suits(rt system.Runtime, cfg system.Config) error {
	switch files := cfg.Database.URL == ""; {
	case cfg.Images.Collector != "" && !cfg.Patterns.Tracing:
		return usageError{errors.New("a collector has nothing to collect while system.patterns.tracing is off")}
	case rt.Name() == runtimeLocal && cfg.Images.Collector != "":
		return usageError{errors.New("a collector of the stack is a container: take --runtime docker, or name one that is there with --otlp-endpoint")}
	case rt.Name() == runtimeLocal && files && cfg.Consistency == system.Consistency2PC:
		return usageError{local.ErrNoServer}
	case rt.Name() == runtimeDocker && !files:
		return usageError{errors.New("system.database.url: this runtime has a PostgreSQL server of its own: leave it out, or take --runtime local")}
	}
	return nil
}

// newReap is the life of the process that clears up after a killed stack of
// containers.
func newReap() *cobra.Command {
	return &cobra.Command{
		Use:    "reap STACK",
		Short:  "Wait for the end of standard input, then remove a stack's containers",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return docker.Reap(cmd.InOrStdin(), args[0])
		},
	}
}

// removeContainers removes what stacks of containers have left, and says so;
// with force, those in use too. Without a daemon there is nothing to remove.
// It returns how many stacks there were.
func removeContainers(ctx context.Context, w io.Writer, force bool) (int, error) {
	var removed, kept []string
	var err error
	if force {
		removed, err = docker.RemoveAll(ctx)
	} else {
		removed, kept, err = docker.Sweep(ctx)
	}
	var none *docker.UnavailableError
	if errors.As(err, &none) {
		return 0, nil
	}
	for _, id := range removed {
		fmt.Fprintf(w, "removed the containers of stack %s\n", id)
	}
	for _, id := range kept {
		fmt.Fprintf(w, "the containers of stack %s are in use by another ordbench and stay; --force removes them too\n", id)
	}
	return len(removed) + len(kept), err
}
