package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/fatih/color"
	"github.com/spf13/cobra"

	"github.com/ordbench/ordbench/loadgen"
	"github.com/ordbench/ordbench/loadgen/static"
	"github.com/ordbench/ordbench/reports"
	"github.com/ordbench/ordbench/reports/gate"
	"github.com/ordbench/ordbench/scenarios"
	"github.com/ordbench/ordbench/scenarios/conductor"
)

// largestBody is the longest body of a request, in bytes.
const largestBody = 16 << 20

type loadOptions struct {
	law         scenarios.LawFlags
	duration    time.Duration
	warmUp      time.Duration
	connections int
	timeout     time.Duration
	maxSlip     time.Duration
	method      string
	headers     []string
	body        string
	expect      string
	insecure    bool
	seed        uint64
	maxP99      time.Duration
	maxErrors   float64
	out         string
	json        bool
	quiet       bool
}

func newLoad() *cobra.Command {
	var o loadOptions
	cmd := &cobra.Command{
		Use:   "load URL",
		Short: "Drive any HTTP target, and say whether the numbers can be believed",
		Long: `Send requests to URL in an open loop: each when it is due, whatever became of
those before. Latency counts from when a request was due.

The verdict comes first. VALID: these are numbers of the target.
SYSTEM-LIMITED: requests waited for a connection, because the target had not
answered those before. GENERATOR-LIMITED: ordbench or its machine was the
limit, and the numbers say nothing of the target (exit code 3).

` + exitHelp,
		Example: `  ordbench load http://127.0.0.1:8080/ --rate 500/s -d 30s
  ordbench load http://127.0.0.1:8080/orders -r 100/s..1000/s -d 1m --arrivals poisson \
    -H 'Content-Type: application/json' --body @order.json --expect 202
  ordbench load http://127.0.0.1:8080/ --steps 100/s,500/s,1000/s -d 30s   # 10 s of each
  ordbench load https://shop.test/ -r 50/s --max-p99 200ms --max-errors 1   # a gate: exits 1
  ordbench load http://127.0.0.1:8080/ --arrivals closed --users 20 --think 100ms`,
		Args: cobra.ExactArgs(1),
		RunE: o.run,
	}
	f := cmd.Flags()
	f.StringVarP(&o.law.Rate, "rate", "r", "", "requests in all: 500/s, 100/min, or 100/s..1000/s for a ramp")
	f.DurationVarP(&o.duration, "duration", "d", 10*time.Second, "how long")
	f.StringSliceVar(&o.law.Steps, "steps", nil, "rates of equal parts of the duration, in place of one rate: 100/s,500/s,1000/s")
	f.StringVar(&o.law.Arrivals, "arrivals", scenarios.ArrivalsConstant, "constant, poisson or closed")
	f.StringVar(&o.law.Trace, "trace", "", "file of arrival times, one a line, in place of a rate")
	f.IntVar(&o.law.Users, "users", 0, "users of a closed loop, in place of a rate")
	f.DurationVar(&o.law.Think, "think", 0, "pause of a user between an answer and the next request")
	f.IntVarP(&o.connections, "connections", "c", 50, "connections, at most")
	f.DurationVar(&o.timeout, "timeout", 5*time.Second, "for an answer; a request that is due for longer and finds no connection is dropped")
	f.DurationVar(&o.warmUp, "warm-up", 0, "time before it, at the same rate, that is not measured")
	f.StringVarP(&o.method, "method", "X", "", "method; GET, or POST if there is a body")
	f.StringArrayVarP(&o.headers, "header", "H", nil, "header line, 'Name: value'; may be repeated")
	f.StringVar(&o.body, "body", "", "body, or @FILE, or @- for standard input")
	f.StringVar(&o.expect, "expect", "2xx", "statuses that are ok, such as 200,404 or 2xx,3xx")
	f.BoolVar(&o.insecure, "insecure", false, "take any certificate of the target")
	f.DurationVar(&o.maxP99, "max-p99", 0, "gate: the 99th percentile of the response time must not be above it")
	f.Float64Var(&o.maxErrors, "max-errors", -1, "gate: at most that many percent of errors")
	f.DurationVar(&o.maxSlip, "max-slip", 50*time.Millisecond, "how late the generator may be before it, not the target, is measured")
	f.Uint64Var(&o.seed, "seed", 1, "seed of poisson arrivals")
	f.StringVarP(&o.out, "out", "o", "", "directory for results, which are else only printed")
	f.BoolVar(&o.json, "json", false, "print result.json instead of the summary")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "no progress, only the result")
	_ = cmd.RegisterFlagCompletionFunc("arrivals", cobra.FixedCompletions(
		[]string{scenarios.ArrivalsConstant, scenarios.ArrivalsPoisson, scenarios.ArrivalsClosed}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (o *loadOptions) run(cmd *cobra.Command, args []string) error {
	load, err := o.resolve(args[0], cmd.InOrStdin())
	if err != nil {
		return usageError{err}
	}
	interrupt, ctx, stop := interrupts(cmd.Context())
	defer stop()
	progress := newProgress(cmd.ErrOrStderr(), o.quiet)
	progress.plan = fmt.Sprintf("%s %s: %s for %v over %d connections", load.Request.Method, load.Target.Redacted(), load.Law, o.duration, load.Connections)
	load.Reporter, load.Interrupt = progress, interrupt
	result, dir, err := conductor.Load(ctx, load)
	progress.close()
	if errors.Is(err, conductor.ErrInterrupted) {
		return errInterrupted
	}
	if err != nil {
		return err
	}
	if err := o.print(cmd.OutOrStdout(), dir, result); err != nil {
		return err
	}
	switch {
	case result.Run.Interrupted:
		return errInterrupted
	case result.Verdict.Outcome != reports.Pass:
		return &outcomeError{result.Verdict.Outcome}
	}
	return nil
}

func (o *loadOptions) print(w io.Writer, dir string, result *reports.Result) error {
	if o.json {
		return printJSON(w, result)
	}
	width, _ := terminal(w)
	return reports.Text(w, result, reports.TextOptions{Color: !color.NoColor, Width: width, Dir: dir})
}

// resolve makes a load of what was typed, or says everything that is wrong
// with it.
func (o *loadOptions) resolve(target string, stdin io.Reader) (conductor.LoadOptions, error) {
	out := conductor.LoadOptions{
		Connections: o.connections, Timeout: o.timeout, MaxSlip: o.maxSlip,
		Out: o.out, Command: commandLine(), Version: version(),
	}
	var errs []error
	keep := func(flag string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s%w", flag, err))
		}
	}
	var err error
	out.Target, err = parseTarget(target)
	keep("", err)
	phase, err := o.law.Phase(o.duration)
	keep("", err)
	out.Law = phase.Describe()
	out.Request, err = o.request(out.Target, stdin)
	keep("", err)
	for _, c := range []struct {
		flag  string
		wrong bool
		want  string
	}{
		{"--connections", o.connections < 1 || o.connections > 100_000, "1 to 100000"},
		{"--timeout", o.timeout < time.Millisecond || o.timeout > time.Hour, "1ms to 1h"},
		{"--max-slip", o.maxSlip < time.Millisecond || o.maxSlip > time.Minute, "1ms to 1m"},
		{"--warm-up", o.warmUp < 0 || o.warmUp > time.Hour, "0s to 1h"},
		{"--max-p99", o.maxP99 < 0, "more than 0s"},
		{"--max-errors", o.maxErrors > 100, "a percentage"},
	} {
		if c.wrong {
			keep(c.flag+": ", fmt.Errorf("out of range; want %s", c.want))
		}
	}
	if len(errs) > 0 {
		return out, errors.Join(errs...)
	}
	out.Plan.Seed = o.seed
	if o.warmUp > 0 {
		before := phase
		before.RateTo = before.Rate // a ramp begins when it is measured
		before.Steps = before.Steps[:min(1, len(before.Steps))]
		out.Plan.Phases = append(out.Plan.Phases, loadgen.Phase{Name: "warm-up", Law: before.Law(), For: o.warmUp})
	}
	out.Plan.Phases = append(out.Plan.Phases, loadgen.Phase{Name: phase.Name, Law: phase.Law(), For: phase.For, Record: true})
	if o.insecure {
		out.TLS = &tls.Config{InsecureSkipVerify: true} // asked for by name
	}
	if o.maxP99 > 0 {
		most := o.maxP99.Seconds() * 1e3
		out.Gates = append(out.Gates, gate.Gate{ID: "max-p99", Metric: "latency." + string(static.Op) + ".p99", Max: &most})
	}
	if o.maxErrors >= 0 {
		most := o.maxErrors / 100
		out.Gates = append(out.Gates, gate.Gate{ID: "max-errors", Metric: "errors.rate", Max: &most})
	}
	return out, nil
}

// parseTarget reads the URL. There is no default: whoever is driven was named.
func parseTarget(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "":
		u.Fragment = ""
		return u, nil
	case !strings.Contains(text, "://"):
		return nil, fmt.Errorf("%q is not a URL; write http://%s", text, strings.TrimPrefix(text, "//"))
	case err != nil:
		var wrong *url.Error
		if errors.As(err, &wrong) {
			err = wrong.Err
		}
		return nil, fmt.Errorf("%q is not a URL: %w", text, err)
	case u.Hostname() == "":
		return nil, fmt.Errorf("%q names no host; write http://127.0.0.1:8080/", text)
	}
	return nil, fmt.Errorf("%q: %s is not spoken here; write http:// or https://", text, u.Scheme)
}

// request is what is sent each time.
func (o *loadOptions) request(target *url.URL, stdin io.Reader) (static.Request, error) {
	r := static.Request{Method: o.method}
	var errs []error
	var err error
	if r.Expect, err = static.ParseStatuses(o.expect); err != nil {
		errs = append(errs, fmt.Errorf("--expect: %w", err))
	}
	if r.Body, err = readBody(o.body, stdin); err != nil {
		errs = append(errs, fmt.Errorf("--body: %w", err))
	}
	for _, line := range o.headers {
		f, err := static.ParseField(line)
		if err != nil {
			errs = append(errs, fmt.Errorf("--header: %w", err))
		}
		r.Header = append(r.Header, f)
	}
	switch {
	case r.Method == "" && len(r.Body) > 0:
		r.Method = http.MethodPost
	case r.Method == "":
		r.Method = http.MethodGet
	}
	if err := r.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("--method: %w", err))
	}
	if target != nil {
		r.Path = target.RequestURI()
		if target.User != nil {
			errs = append(errs, errors.New("a name and password in the URL are not sent; write --header 'Authorization: Basic ...'"))
		}
	}
	return r, errors.Join(errs...)
}

// readBody is the text itself, or what a file or standard input holds.
func readBody(body string, stdin io.Reader) ([]byte, error) {
	path, isFile := strings.CutPrefix(body, "@")
	if !isFile {
		return []byte(body), nil
	}
	in := stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, largestBody+1))
	if err == nil && len(text) > largestBody {
		err = fmt.Errorf("longer than %d MiB", largestBody>>20)
	}
	return text, err
}
