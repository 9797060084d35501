package serve

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// watchdogConfig says what a watchdog cleans up.
type watchdogConfig struct {
	Replica string   `json:"replica"`
	Remove  []string `json:"remove"` // directories of control groups, with those in them
}

// patience is how long a watchdog tries: a group can go when the last process
// in it is gone.
const patience = 10 * time.Second

// runWatchdog waits for the end of whoever started it, and cleans up after
// it.
func runWatchdog(ctx context.Context, cfg watchdogConfig, log *slog.Logger) error {
	<-ctx.Done()
	left := cfg.Remove
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); len(left) > 0; {
		var still []string
		for _, dir := range left {
			inner, _ := filepath.Glob(filepath.Join(dir, "*", "cgroup.procs"))
			for _, procs := range inner {
				os.Remove(filepath.Dir(procs))
			}
			if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
				still = append(still, dir)
			}
		}
		if left = still; len(left) == 0 || time.Now().After(deadline) {
			break
		}
		<-tick.C
	}
	log.Info("cleaned up", "left", left)
	return nil
}
