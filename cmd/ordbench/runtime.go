package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

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

// runtimeOptions say where the system runs.
type runtimeOptions struct {
	name   string
	images []string
	mirror string
	binary string
}

func (o *runtimeOptions) flags(cmd *cobra.Command) {
	name := runtimeAuto
	if v := os.Getenv(runtimeVariable); v != "" {
		name = v
	}
	f := cmd.Flags()
	f.StringVar(&o.name, "runtime", name, "where the system runs: auto, local or docker; so says the variable "+runtimeVariable)
	f.StringArrayVar(&o.images, "image", nil, "docker: take this image, NAME=IMAGE of kafka, redis or postgres; may be repeated")
	f.StringVar(&o.mirror, "registry-mirror", "", "docker: prefix of a registry that has the images")
	f.StringVar(&o.binary, "system-binary", "", "docker: static Linux build of ordbench for the system's image, instead of this one")
	_ = cmd.RegisterFlagCompletionFunc("runtime", cobra.FixedCompletions([]string{runtimeAuto, runtimeLocal, runtimeDocker}, cobra.ShellCompDirectiveNoFileComp))
}

// args are the flags again, for a process that runs the same.
func (o *runtimeOptions) args() []string {
	args := []string{"--runtime", o.name, "--registry-mirror", o.mirror, "--system-binary", o.binary}
	for _, i := range o.images {
		args = append(args, "--image", i)
	}
	return args
}

// choose returns the runtime that was asked for. What it has to say goes to
// progress.
func (o *runtimeOptions) choose(progress io.Writer) (system.Runtime, error) {
	images := system.ImagesConfig{Mirror: o.mirror}
	for _, arg := range o.images {
		if err := docker.SetImage(&images, arg); err != nil {
			return nil, usageError{err}
		}
	}
	containers := docker.Runtime{
		Images: images, Binary: o.binary,
		Progress: func(line string) { fmt.Fprintln(progress, line) },
	}
	switch o.name {
	case runtimeAuto, runtimeLocal:
		return local.Runtime{}, nil
	case runtimeDocker:
		return containers, nil
	}
	return nil, usageError{fmt.Errorf("unknown runtime %q: %s, %s and %s are there", o.name, runtimeAuto, runtimeLocal, runtimeDocker)}
}

// suits says what a system asks for that a runtime does not have.
func suits(rt system.Runtime, cfg system.Config) error {
	switch files := cfg.Database.URL == ""; {
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

// removeContainers removes what stacks of containers have left, and says so.
// Without a daemon there is nothing to remove.
func removeContainers(ctx context.Context, w io.Writer) (int, error) {
	removed, err := docker.RemoveAll(ctx)
	var none *docker.UnavailableError
	if errors.As(err, &none) {
		return 0, nil
	}
	for _, id := range removed {
		fmt.Fprintf(w, "removed the containers of stack %s\n", id)
	}
	return len(removed), err
}
