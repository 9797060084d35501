package order

import (
	"context"
	"log/slog"
)

// Run serves until ctx ends.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error { return cfg.Validate() }
