// Package embedded is the infrastructure inside this binary.
package embedded

import (
	"context"
	"errors"
	"log/slog"
)

var errNotYet = errors.New("embedded: being built")

// BrokerConfig is what one broker process is told.
type BrokerConfig struct{ Replica, Listen, Admin, Dir string }

// CacheConfig is what one cache process is told.
type CacheConfig struct{ Replica, Listen, Admin, Dir string }

func RunBroker(ctx context.Context, cfg BrokerConfig, log *slog.Logger) error { return errNotYet }
func RunCache(ctx context.Context, cfg CacheConfig, log *slog.Logger) error   { return errNotYet }
