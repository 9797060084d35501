package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ordbench/ordbench/scenarios"
	"github.com/ordbench/ordbench/scenarios/conductor"
	"github.com/ordbench/ordbench/scenarios/conductor/control"
	"github.com/ordbench/ordbench/system"
)

type upOptions struct {
	out     string
	runtime runtimeOptions
	listen  string
	otlp    string
	set     []string
	links   []string
	detach  bool
	id      string
}

func newUp() *cobra.Command {
	var o upOptions
	cmd := &cobra.Command{
		Use:   "up [SCENARIO]",
		Short: "Boot a stack that stays",
		Long: `Boot the order system and keep it up until 'ordbench down' or Ctrl-C; with a
SCENARIO, the system as that describes it. Data last as long as the stack.`,
		Example: `  ordbench up                      # in the foreground
  ordbench up -d                   # in the background
  ordbench up -d --listen 127.0.0.1:8080
  ordbench up spike --set system.patterns.inbox=off`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeScenarios,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.detach {
				return o.background(cmd, args)
			}
			return o.foreground(cmd, args)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.detach, "detach", "d", false, "return when it is ready, and let it run")
	f.StringVarP(&o.out, "out", "o", defaultOut, "directory for data and logs")
	o.runtime.flags(cmd)
	o.runtime.collectorFlag(cmd)
	f.StringVar(&o.listen, "listen", "", "address of the gateway, host:port; a free port by default")
	f.StringVar(&o.otlp, "otlp-endpoint", "", "URL of an OpenTelemetry collector that gets the traces")
	f.StringArrayVar(&o.set, "set", nil, "change one value of the scenario, path=value; may be repeated")
	f.StringSliceVar(&o.links, "links", nil, "links to put a proxy in, so that they can be disturbed: all, or some, 'gateway->order'")
	f.StringVar(&o.id, "id", "", "")
	_ = f.MarkHidden("id")
	return cmd
}

// config is the system that is asked for.
func (o *upOptions) config(args []string) (cfg system.Config, name string, err error) {
	cfg, name = system.DefaultConfig(), ""
	switch {
	case len(args) == 1:
		s, err := scenarios.Load(args[0], o.set...)
		if err != nil {
			return cfg, "", err
		}
		cfg, name = s.System, s.Name
	case len(o.set) > 0:
		return cfg, "", usageError{errors.New("--set changes a scenario: name one, as in `ordbench up steady --set system.inventory.replicas=3`")}
	}
	if o.listen != "" {
		cfg.Gateway.Addr = o.listen
	}
	o.runtime.apply(&cfg)
	return cfg, name, nil
}

func (o *upOptions) foreground(cmd *cobra.Command, args []string) error {
	cfg, name, err := o.config(args)
	if err != nil {
		return err
	}
	links, err := conductor.OpenLinks(o.links)
	if err != nil {
		return err
	}
	rt, err := o.choose(cmd, cfg)
	if err != nil {
		return err
	}
	if o.id == "" {
		o.id = conductor.NewID("up")
	}
	dir, err := filepath.Abs(filepath.Join(o.out, "up", o.id))
	if err != nil {
		return err
	}
	interrupt, ctx, stop := interrupts(cmd.Context())
	defer stop()
	booting, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-interrupt:
			cancel()
		case <-booting.Done():
		}
	}()
	began := time.Now()
	collector, err := conductor.Collect(ctx, &cfg, nil, o.otlp)
	if err != nil {
		return usageError{err}
	}
	defer func() { _ = collector.Close() }()
	session, err := conductor.Open(booting, rt, cfg, links, control.Info{
		ID: o.id, Kind: "up", Scenario: name, PID: os.Getpid(), StartedAt: began, Dir: dir,
	}, slog.New(slog.NewJSONHandler(io.Discard, nil)))
	if err != nil {
		if booting.Err() != nil {
			return errInterrupted
		}
		return err
	}
	// The error is that of the Close below; this one is for the ways out before it.
	defer func() { _ = session.Close(ctx) }()
	if err := session.TraceTo(collector); err != nil {
		return err
	}
	st, err := session.Status(ctx)
	if err != nil {
		return err
	}
	o.welcome(cmd.OutOrStdout(), session.Info, st, time.Since(began))
	select {
	case <-interrupt:
		fmt.Fprintln(cmd.ErrOrStderr(), "going down")
	case <-session.Asked():
	}
	return session.Close(ctx)
}

// choose returns the runtime, and says why if nobody named it.
func (o *upOptions) choose(cmd *cobra.Command, cfg system.Config) (system.Runtime, error) {
	rt, why, err := o.runtime.choose(cmd.Context(), cmd.ErrOrStderr(), cfg, "")
	if why != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s for --runtime auto: %s\n", rt.Name(), why)
	}
	return rt, err
}

// welcome prints what to try on a stack that is up.
func (o *upOptions) welcome(w io.Writer, info control.Info, st system.Status, took time.Duration) {
	fmt.Fprintf(w, "%s is up in %s, %s runtime\n\n", info.ID, took.Round(time.Millisecond), st.Runtime)
	fmt.Fprintf(w, "  TOKEN=$(ordbench token --stack %s)\n", info.ID)
	fmt.Fprintf(w, "  curl -i -X POST %s/orders -H \"Authorization: Bearer $TOKEN\" -d '{\"user_id\":\"u123\",\"total\":99.95}'\n", st.URL)
	fmt.Fprintf(w, "  curl -i %s/orders/ORDER_ID -H \"Authorization: Bearer $TOKEN\"\n", st.URL)
	fmt.Fprintf(w, "  curl -i -X POST %s/orders/ORDER_ID/cancel -H \"Authorization: Bearer $TOKEN\"\n", st.URL)
	fmt.Fprintf(w, "  curl -i %s/stock/sku-0001 -H \"Authorization: Bearer $TOKEN\"\n\n", st.URL)
	fmt.Fprintln(w, "  ordbench status")
	fmt.Fprintln(w, "  ordbench chaos kill inventory")
	fmt.Fprintln(w, "  ordbench verify")
	fmt.Fprintln(w, "  ordbench down")
}

// background starts this program again as a foreground stack in a session of
// its own, and returns when that answers.
func (o *upOptions) background(cmd *cobra.Command, args []string) error {
	// Mistakes should show here, not in the log of a process that is gone.
	if err := conductor.CheckEndpoint(o.otlp); err != nil {
		return usageError{err}
	}
	cfg, _, err := o.config(args)
	if err != nil {
		return err
	}
	if _, err := conductor.OpenLinks(o.links); err != nil {
		return err
	}
	rt, err := o.choose(cmd, cfg)
	if err != nil {
		return err
	}
	o.runtime.name = rt.Name() // it is not to be chosen again
	id := conductor.NewID("up")
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir := filepath.Join(o.out, "up", id)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return &conductor.OutDirError{Dir: o.out, Err: err}
	}
	logPath := filepath.Join(dir, "up.log")
	logFile, err := os.Create(logPath)
	if err != nil {
		return &conductor.OutDirError{Dir: o.out, Err: err}
	}
	defer logFile.Close()
	child := []string{"up", "--id", id, "--out", o.out, "--listen", o.listen, "--otlp-endpoint", o.otlp, "--collector-image", o.runtime.collector, "--no-color"}
	child = append(child, o.runtime.args()...)
	for _, set := range o.set {
		child = append(child, "--set", set)
	}
	for _, link := range o.links {
		child = append(child, "--links", link)
	}
	proc := exec.Command(self, append(child, args...)...)
	proc.Stdout, proc.Stderr = logFile, logFile
	proc.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	began := time.Now()
	if err := proc.Start(); err != nil {
		return fmt.Errorf("start in the background: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = proc.Wait() // how it ended stands in ProcessState
		close(ended)
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			said, _ := os.ReadFile(logPath)
			return &childError{code: proc.ProcessState.ExitCode(), said: string(said)}
		case <-cmd.Context().Done():
			return errInterrupted
		case <-tick.C:
			if c, err := control.Dial(cmd.Context(), id); err == nil && c.Info.ID == id {
				st, err := c.Status(cmd.Context())
				if err != nil {
					return err
				}
				o.welcome(cmd.OutOrStdout(), c.Info, st, time.Since(began))
				return nil
			}
		}
	}
}

// childError is how a stack in the background ended before it was up, in its
// own words.
type childError struct {
	code int
	said string
}

func (e *childError) Error() string {
	return strings.TrimPrefix(strings.TrimSpace(e.said), "ordbench: ")
}
