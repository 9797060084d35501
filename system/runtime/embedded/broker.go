package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kfake"
	"golang.org/x/sync/errgroup"

	"github.com/ordbench/ordbench/system/endpoint"
)

// BrokerConfig is what one broker process is told.
type BrokerConfig struct {
	Replica string
	Listen  string // host:port for clients; also the address that they are told
	Admin   string // host:port for health and metrics
	Dir     string // data directory, of this broker alone
}

// Validate returns every problem of the configuration.
func (cfg BrokerConfig) Validate() error { return validate(cfg.Listen, cfg.Admin, cfg.Dir) }

// apiVersions is a Kafka ApiVersions request, version 0: the one question
// that needs no topic and no group.
const apiVersions = "\x00\x00\x00\x0a" + "\x00\x12\x00\x00" + "\x00\x00\x00\x01" + "\xff\xff"

// RunBroker is a Kafka cluster of one node until ctx ends. Topics are made
// only on request, with one replica.
//
// What a consumer has to know about its groups, where kfake differs from
// Kafka or leaves less room:
//
//   - A session timeout is 6 s to 5 min, as in Kafka. There is no initial
//     rebalance delay: every member that joins rebalances at once, and every
//     member that joins or drops out starts the rebalance timeout anew.
//   - The session of a member that joins again keeps running down while it
//     waits in JoinGroup. When it is over, the member is dropped without an
//     answer and hangs until its own deadline. So the rebalance timeout has to
//     be well below the session timeout.
//   - A member whose join could not be answered, because its connection was
//     gone by then, has no session: it stays, with its partitions, until
//     somebody takes it out.
//   - Members are not kept over a kill. They learn it as an unknown member id
//     or an illegal generation, and have to join anew. Offsets are kept.
//   - Requests of one connection are handled one after the other, so a fetch
//     that waits for data holds up all else that was sent on it.
func RunBroker(ctx context.Context, cfg BrokerConfig, log *slog.Logger) error {
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	release, err := claim(cfg.Dir)
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	defer release()
	// kfake reads these logs up to the first torn entry, but goes on writing
	// behind it: left alone, the next start would miss all that came after.
	for _, name := range []string{"groups.log", "pids.log"} {
		lost, err := mendFile(filepath.Join(cfg.Dir, name))
		if err != nil {
			return fmt.Errorf("broker: mend %s: %w", name, err)
		}
		if lost > 0 {
			log.Warn("dropped a torn entry", "file", name, "bytes", lost)
		}
	}
	l, err := endpoint.Listen(ctx, cfg.Listen)
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.ClusterID("ordbench"),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return l, nil }),
		kfake.DataDir(cfg.Dir),
		kfake.WithLogger(clusterLog{log}),
		kfake.BrokerConfigs(map[string]string{
			// The log of offsets is rewritten at this size while all
			// clients wait: little at a time keeps the wait short.
			"state.log.compact.bytes": "1048576",
		}),
	)
	if err != nil {
		return errors.Join(fmt.Errorf("broker: %w", err), ignoreClosed(l.Close()))
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		admin := health("broker", cfg.Replica, cfg.Admin, cfg.Listen, apiVersions)
		admin.Levers = brokerLevers(cluster)
		return admin.Serve(ctx)
	})
	g.Go(func() error {
		<-ctx.Done()
		cluster.Close()
		return nil
	})
	log.Info("broker ready", "listen", cfg.Listen)
	if err := g.Wait(); err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	return nil
}

// clusterLog passes on what kfake finds wrong. Its lesser messages tell of
// every request.
type clusterLog struct{ log *slog.Logger }

func (l clusterLog) Logf(level kfake.LogLevel, format string, args ...any) {
	switch level {
	case kfake.LogLevelError:
		l.log.Error(fmt.Sprintf(format, args...))
	case kfake.LogLevelWarn:
		l.log.Warn(fmt.Sprintf(format, args...))
	}
}
