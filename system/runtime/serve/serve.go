// Package serve runs one component of the system as this process: Run reads
// its config and blocks until it ends. It is what every runtime starts,
// behind `ordbench serve COMPONENT` and behind test binaries that start
// themselves again.
//
// The invariant is that a config is understood wholly or not at all: an
// unknown key, a second value or a missing one is an error before anything
// listens.
package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/ordbench/ordbench/system/runtime/embedded"
	"github.com/ordbench/ordbench/system/services/gateway"
	"github.com/ordbench/ordbench/system/services/inventory"
	"github.com/ordbench/ordbench/system/services/notification"
	"github.com/ordbench/ordbench/system/services/order"
	"github.com/ordbench/ordbench/system/services/payment"
)

// configLimit bounds a config, in bytes.
const configLimit = 1 << 20

// component is one thing that can be served.
type component struct {
	name string
	// decode reads the config of one replica and says how to run it.
	decode func(io.Reader) (run func(context.Context, *slog.Logger) error, replica string, err error)
}

// components are in boot order.
var components = []component{
	{"broker", decode(embedded.RunBroker, func(c embedded.BrokerConfig) string { return c.Replica })},
	{"cache", decode(embedded.RunCache, func(c embedded.CacheConfig) string { return c.Replica })},
	{"order", decode(order.Run, func(c order.Config) string { return c.Replica })},
	{"inventory", decode(inventory.Run, func(c inventory.Config) string { return c.Replica })},
	{"payment", decode(payment.Run, func(c payment.Config) string { return c.Replica })},
	{"notification", decode(notification.Run, func(c notification.Config) string { return c.Replica })},
	{"gateway", decode(gateway.Run, func(c gateway.Config) string { return c.Replica })},
}

// Watchdog is no component: the local runtime starts it beside them, to clean
// up when the process that keeps the stack is gone.
const Watchdog = "watchdog"

var watchdog = component{Watchdog, decode(runWatchdog, func(c watchdogConfig) string { return c.Replica })}

// UnknownComponentError says that there is no such component, and which name
// comes nearest.
type UnknownComponentError struct {
	Name    string
	Nearest string
}

func (e *UnknownComponentError) Error() string {
	return fmt.Sprintf("unknown component %q: did you mean %q? There are %s",
		e.Name, e.Nearest, strings.Join(Components(), ", "))
}

// Components names what Run can run, in boot order.
func Components() []string {
	names := make([]string, len(components))
	for i, c := range components {
		names[i] = c.name
	}
	return names
}

// Run runs the named component with the JSON config until ctx ends, and
// returns nil after an orderly end. Its log is marked with the replica that
// the config names. An unknown component is an *UnknownComponentError.
func Run(ctx context.Context, name string, config io.Reader, log *slog.Logger) error {
	for _, c := range append(slices.Clone(components), watchdog) {
		if c.name != name {
			continue
		}
		run, replica, err := c.decode(config)
		if err != nil {
			return fmt.Errorf("%s config: %w", name, err)
		}
		return run(ctx, log.With("replica", replica))
	}
	return &UnknownComponentError{Name: name, Nearest: nearest(name, Components())}
}

// decode binds a component's Run to the config it reads.
func decode[C any](run func(context.Context, C, *slog.Logger) error, replica func(C) string) func(io.Reader) (func(context.Context, *slog.Logger) error, string, error) {
	return func(r io.Reader) (func(context.Context, *slog.Logger) error, string, error) {
		var cfg C
		if err := decodeStrict(r, &cfg); err != nil {
			return nil, "", err
		}
		return func(ctx context.Context, log *slog.Logger) error { return run(ctx, cfg, log) }, replica(cfg), nil
	}
}

// decodeStrict reads exactly one JSON object into v; its error names the
// unknown key, the wrong type with its field, or the byte where JSON ends.
func decodeStrict(r io.Reader, v any) error {
	data, err := io.ReadAll(io.LimitReader(r, configLimit+1))
	if err != nil {
		return err
	}
	if len(data) > configLimit {
		return fmt.Errorf("longer than %d bytes", configLimit)
	}
	switch start := bytes.TrimSpace(data); {
	case len(start) == 0:
		return errors.New("empty: want a JSON object")
	case start[0] != '{': // JSON null would pass as a config without any value
		return errors.New("want a JSON object")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return fmt.Errorf("byte %d: %w", syntax.Offset, err)
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return errors.New("ends in the middle of an object")
		}
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	if rest := bytes.TrimLeft(data[dec.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return fmt.Errorf("byte %d: more than one value", len(data)-len(rest)+1)
	}
	return nil
}

// nearest is the candidate with the fewest edits from name.
func nearest(name string, candidates []string) string {
	best, bestEdits := "", -1
	for _, c := range candidates {
		if n := edits(name, c); bestEdits < 0 || n < bestEdits {
			best, bestEdits = c, n
		}
	}
	return best
}

// edits is the Levenshtein distance of a and b, over bytes: component names
// are ASCII.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
