package docker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/mount"

	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/failpoint"
	"github.com/ordbench/ordbench/system/runtime/briefing"
)

// The ports of the infrastructure inside its containers.
const (
	kafkaPort       = "9092"
	kafkaOutside    = "9094" // for who is not on the network
	kafkaController = "9093"
	redisPort       = "6379"
	postgresPort    = "5432"
)

// Where a service finds its keys, and where it writes down whom it turned away.
const (
	keysPath     = "/etc/ordbench-keys.json"
	identityPath = "/etc/ordbench-identity.pem"
	auditPath    = "/audit.jsonl"
	spoolPath    = "/tmp/spans" // kept, with the container, when the process dies
)

// nobody is the user that services run as.
const nobody = 65534

// furnish says what each place holds.
func (f *fleet) furnish(ctx context.Context) error {
	if f.cfg.Patterns.Tracing && f.cfg.Tracing.Endpoint != "" {
		var err error
		if f.spans, f.collector, err = relayTo(ctx, f.gateway, f.cfg.Tracing.Endpoint); err != nil {
			// A desktop's daemon has its network elsewhere: there the name
			// that it gives to this machine would be needed.
			f.rt.Log.Warn("the stack is not traced", "error", err)
		}
	}
	f.password = newSecret()
	for _, r := range f.replicas {
		p := f.places[r.Name]
		switch r.Component {
		case system.Broker:
			p.spec = f.kafka(p)
		case system.Cache:
			p.spec = f.redis()
		case system.Database:
			p.spec = f.postgres()
		default:
			s, err := f.service(r)
			if err != nil {
				return fmt.Errorf("configure %s: %w", r.Name, err)
			}
			p.spec = s
		}
		p.spec.bound = f.cfg.VolumeSize(r.Component)
	}
	if err := f.startStation(ctx); err != nil {
		return err
	}
	if err := f.startCollector(ctx); err != nil {
		return err
	}
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	f.stopRenewing = stop
	f.renewing.Go(func() { f.keepRenewed(renewing) })
	return nil
}

// newSecret is what only this stack knows.
func newSecret() string {
	var secret [16]byte
	_, _ = rand.Read(secret[:]) // it does not fail
	return hex.EncodeToString(secret[:])
}

// kafka is one broker that is its own controller too. Clients on the network
// are told one address, those outside the other.
func (f *fleet) kafka(p *place) spec {
	brokers := f.cfg.Slots(system.Broker)
	var voters []string
	for n := range brokers {
		voters = append(voters, fmt.Sprintf("%d@%s:%s", n+1, system.Broker.ReplicaName(n), kafkaController))
	}
	if brokers == 1 {
		voters = []string{"1@localhost:" + kafkaController} // it need not resolve its own name
	}
	copies, acknowledging := "1", "1"
	if brokers == 3 {
		copies, acknowledging = "3", "2"
	}
	return spec{
		image:  f.images.kafka,
		volume: "/var/lib/kafka/data",
		stop:   "TERM",
		env: map[string]string{
			"CLUSTER_ID":                           clusterID, // the project's own image formats with it
			"KAFKA_NODE_ID":                        strconv.Itoa(p.ordinal + 1),
			"KAFKA_PROCESS_ROLES":                  "broker,controller",
			"KAFKA_LISTENERS":                      "INSIDE://:" + kafkaPort + ",OUTSIDE://:" + kafkaOutside + ",CONTROLLER://:" + kafkaController,
			"KAFKA_ADVERTISED_LISTENERS":           fmt.Sprintf("INSIDE://%s:%s,OUTSIDE://127.0.0.1:%d", p.name, kafkaPort, p.published[kafkaOutside]),
			"KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
			"KAFKA_INTER_BROKER_LISTENER_NAME":     "INSIDE",
			"KAFKA_CONTROLLER_LISTENER_NAMES":      "CONTROLLER",
			"KAFKA_CONTROLLER_QUORUM_VOTERS":       strings.Join(voters, ","),
			"KAFKA_LOG_DIRS":                       "/var/lib/kafka/data",
			"KAFKA_AUTO_CREATE_TOPICS_ENABLE":      "false",
			"KAFKA_DEFAULT_REPLICATION_FACTOR":     copies,
			"KAFKA_MIN_INSYNC_REPLICAS":            acknowledging,

			"KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR":                 copies,
			"KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS":                     "4",
			"KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR":         copies,
			"KAFKA_TRANSACTION_STATE_LOG_MIN_ISR":                    acknowledging,
			"KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": copies,
			"KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR":            acknowledging,
			// A group that waits for members to join would make every boot
			// and every restart three seconds longer.
			"KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
			// A broker that was killed comes back under its name: the
			// controller must see soon that the old one is gone.
			"KAFKA_BROKER_SESSION_TIMEOUT_MS":    "6000",
			"KAFKA_BROKER_HEARTBEAT_INTERVAL_MS": "1000",
			// One small machine holds it all.
			"KAFKA_NUM_NETWORK_THREADS": "2",
			"KAFKA_NUM_IO_THREADS":      "4",
			"KAFKA_HEAP_OPTS":           "-Xms256m -Xmx512m",
			// A run is over before the second compiler has paid for itself.
			"KAFKA_JVM_PERFORMANCE_OPTS": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
		},
	}
}

// clusterID names every cluster: no two share a network.
const clusterID = "b3JkYmVuY2gtY2x1c3RlcQ"

// redis keeps what it is told in a log that it flushes each second, its
// default when it keeps one.
func (f *fleet) redis() spec {
	return spec{
		image: f.images.redis, volume: "/data", stop: "TERM",
		cmd: []string{"redis-server", "--appendonly", "yes", "--save", "", "--protected-mode", "no"},
	}
}

// postgres acknowledges a commit when it is on disk, its default.
func (f *fleet) postgres() spec {
	const secretPath = "/etc/ordbench-postgres-password"
	var log []string
	if bound := f.cfg.VolumeSize(system.Database); bound > 0 {
		// Its log, which grows to a GiB else, must leave room for the books.
		log = []string{"-c", "min_wal_size=32MB", "-c", fmt.Sprintf("max_wal_size=%dMB", bound>>22)}
	}
	return spec{
		image: f.images.postgres, volume: "/ordbench",
		stop: "INT", // at TERM it would wait for its clients to leave
		cmd: append([]string{"postgres", "-c", "listen_addresses=*", "-c", "max_connections=600", "-c", "shared_buffers=128MB", "-c", "jit=off",
			"-c", "max_prepared_transactions=300"}, log...), // as many as the gateway has places, and more
		env: map[string]string{
			"PGDATA":                 "/ordbench/pgdata",
			"POSTGRES_USER":          postgresUser,
			"POSTGRES_PASSWORD_FILE": secretPath,
		},
		// Whoever the server runs as must be able to read it.
		files: []file{{path: secretPath, mode: 0o444, text: []byte(f.password)}},
	}
}

// service is this program, told on its standard input. So it can be started
// before anybody wants it, and nothing that it is told stands in a file, on a
// command line or in a variable.
func (f *fleet) service(r system.Replica) (spec, error) {
	r.Addr = net.JoinHostPort(r.Name, servicePort)
	r.Admin = net.JoinHostPort(r.Name, adminPort)
	text, err := json.MarshalIndent(briefing.Of(f.cfg, r, briefing.Site{
		Brokers:       f.detourToBrokers(r.Component),
		Cache:         f.detour(r.Component, system.Cache, f.inside(system.Cache, redisPort))[0],
		Orders:        f.detour(r.Component, system.Order, f.inside(system.Order, servicePort)),
		Inventories:   f.detour(r.Component, system.Inventory, f.inside(system.Inventory, servicePort)),
		Payments:      f.detour(r.Component, system.Payment, f.inside(system.Payment, servicePort)),
		Notifications: f.detour(r.Component, system.Notification, f.inside(system.Notification, servicePort)),
		Database: func(c system.Component) string {
			return f.databaseURL(f.detour(r.Component, system.Database, f.inside(system.Database, postgresPort))[0], string(c))
		},
		Collector:      f.collector,
		Spool:          spoolPath,
		Keys:           keysPath,
		Identity:       func(string) string { return identityPath },
		Audit:          auditPath,
		TrustedProxies: []string{f.subnet},
	}), "", "  ")
	if err != nil {
		return spec{}, err
	}
	s := spec{
		image: f.images.system, stop: "TERM", user: strconv.Itoa(nobody),
		cmd:  []string{"serve", string(r.Component)},
		told: text,
		env: map[string]string{
			failpoint.HostVariable: f.gateway, // we come by way of it
			"GODEBUG":              briefing.Debug(""),
		},
	}
	if f.cfg.Patterns.MTLS {
		s.renewed = append(s.renewed, renewed{from: system.IdentityPath(f.cfg.Dir, r.Name), to: identityPath})
	}
	if r.Component == system.Gateway && f.cfg.Patterns.Auth {
		s.renewed = append(s.renewed, renewed{from: system.KeySetPath(f.cfg.Dir), to: keysPath})
	}
	audit := system.AuditPath(f.cfg.LogDir)
	s.mounts = []mount.Mount{{Type: mount.TypeBind, Source: audit, Target: auditPath}}
	return s, f.makeAudit(audit)
}

// makeAudit makes the file that gateways add to, as nobody.
func (f *fleet) makeAudit(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(file.Chmod(0o666), file.Close())
}

// databaseURL is the URL of one database of the server at addr. It never
// leaves the private network, or this machine.
func (f *fleet) databaseURL(addr, name string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(postgresUser, f.password), Host: addr, Path: "/" + name, RawQuery: "sslmode=disable"}
	return u.String()
}
