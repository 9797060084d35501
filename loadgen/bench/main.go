//go:build linux

// Command bench measures the load engine beside other generators: what a
// request costs, how punctual it is, whether a stalled or idle server makes it
// lie, and what it keeps in memory. It plays through the same Runner and engine
// that a user gets. `make bench-load` runs it; it wants a quiet machine with
// two cores.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// bench is one run of this program.
type bench struct {
	rounds int
	stalls int
	laws   string
	orders int
	length time.Duration
	rivals []rival
	out    io.Writer
}

func main() {
	var (
		b      = bench{out: os.Stdout}
		only   string
		s      server
		stamps int
	)
	flag.IntVar(&b.rounds, "rounds", 5, "of each measurement, alternating between generators")
	flag.DurationVar(&b.length, "for", 3*time.Second, "of one measurement")
	flag.IntVar(&b.stalls, "stalls", 1, "rounds of stall, each of nearly a minute")
	flag.StringVar(&b.laws, "laws", "constant,ramp,poisson,spike", "of stall")
	flag.IntVar(&b.orders, "orders", 10_000_000, "of memory, about 80,000 a second")
	flag.StringVar(&only, "only", "", "parts, with commas: cost, punctual, arrivals, idle, stall, memory (default all)")
	flag.DurationVar(&s.delay, "delay", 0, "of the server, before each answer")
	flag.BoolVar(&s.spin, "spin", false, "have the server look all the time")
	flag.IntVar(&stamps, "stamps", 0, "of requests that the server keeps")
	flag.Parse()
	var err error
	switch flag.Arg(0) {
	case "serve":
		s.stamps = make([]stamp, 0, stamps)
		err = serve(&s)
	case "generate":
		err = generate()
	case "ping":
		err = ping{}.play()
	default:
		err = b.run(only)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(70)
	}
}

// part is what can be measured by itself.
type part struct {
	name    string
	measure func() error
}

// run measures the parts that are asked for.
func (b *bench) run(only string) error {
	if runtime.NumCPU() < 2 {
		return errors.New("one core is not enough: the server needs its own")
	}
	parts := []part{{"cost", b.cost}, {"punctual", b.punctual}, {"arrivals", b.arrivals}, {"idle", b.idle}, {"stall", b.stall}, {"memory", b.memory}}
	if only != "" {
		for name := range strings.SplitSeq(only, ",") {
			if !slices.ContainsFunc(parts, func(p part) bool { return p.name == name }) {
				return fmt.Errorf("-only: there is no part %q", name)
			}
		}
	}
	dir, err := os.MkdirTemp("", "bench-load-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	all, err := rivals(dir)
	if err != nil {
		return err
	}
	for _, r := range all {
		if err := r.missing(); err != nil {
			fmt.Fprintf(b.out, "skip %s: %v\n", r.name, err)
			continue
		}
		b.rivals = append(b.rivals, r)
		if r.version != nil {
			out, _ := exec.Command(r.name, r.version...).Output() // wrk ends its version with an error
			first, _, _ := strings.Cut(string(out), "\n")
			fmt.Fprintln(b.out, "beside", first)
		} else {
			fmt.Fprintln(b.out, "beside", r.name)
		}
	}
	for _, part := range parts {
		if only != "" && !slices.Contains(strings.Split(only, ","), part.name) {
			continue
		}
		if err := part.measure(); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}
