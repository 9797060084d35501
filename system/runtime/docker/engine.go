package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
)

// engine is a Docker daemon that answers.
type engine struct {
	*testcontainers.DockerProvider // nil: it can only be asked
	api                            client.APIClient
	host, says                     string // as of daemonHost
}

// pingLimit is how long a daemon may take to say that it is there.
const pingLimit = 5 * time.Second

// quiet swallows what testcontainers would print: our own words say it.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

// settle keeps testcontainers quiet, and from starting its reaper: its image
// may not be had, and ours needs none.
var settle = sync.OnceFunc(func() {
	log.SetDefault(quiet{})
	_ = os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true") // fails only for a malformed name
})

// connect finds the daemon and sees that it answers, and that what it
// publishes can be reached from here. The error is an *UnavailableError.
func connect(ctx context.Context) (*engine, error) {
	e, err := dial(ctx, pingLimit)
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	if err := e.adopt(limited); err != nil {
		return nil, &UnavailableError{e.host, e.says, errors.Join(err, e.api.Close())}
	}
	return e, nil
}

// dial is connect without testcontainers: enough to ask, and nothing can be
// made. It returns within limit, because a daemon may take connections and
// never answer. The error is an *UnavailableError.
func dial(ctx context.Context, limit time.Duration) (*engine, error) {
	host, says, err := daemonHost()
	if err != nil {
		return nil, &UnavailableError{Err: err}
	}
	fail := func(err error) (*engine, error) { return nil, &UnavailableError{host, says, err} }
	api, err := client.New(client.FromEnv, client.WithHost(host))
	if err != nil {
		return fail(err)
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if _, err := api.Ping(limited, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		return fail(errors.Join(tooLong(ctx, limited, limit, err), api.Close()))
	}
	e := &engine{api: api, host: host, says: says}
	if err := e.onThisMachine(limited); err != nil {
		return fail(errors.Join(err, api.Close()))
	}
	return e, nil
}

// tooLong is err, or says so where it is only that a limit has passed.
func tooLong(ctx, limited context.Context, limit time.Duration, err error) error {
	if limited.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("it does not answer within %s", limit)
	}
	return err
}

// adopt gives testcontainers the daemon that answered. It would look for one
// by itself, take another where the one that was named is away, and wait for
// ever where it does not answer.
func (e *engine) adopt(ctx context.Context) error {
	settle()
	type made struct {
		p   *testcontainers.DockerProvider
		err error
	}
	done := make(chan made, 1)
	go func() {
		if os.Getenv("DOCKER_HOST") == "" {
			_ = os.Setenv("DOCKER_HOST", e.host) // fails only for a malformed name
			defer func() { _ = os.Unsetenv("DOCKER_HOST") }()
		}
		p, err := testcontainers.NewDockerProvider(testcontainers.WithLogger(quiet{}))
		done <- made{p, err}
	}()
	select {
	case m := <-done:
		if m.err != nil {
			return m.err
		}
		e.DockerProvider = m.p
		_ = m.p.Close() // the connections of a client that nobody needs
		m.p.SetClient(e.api)
		return nil
	case <-ctx.Done():
		return errors.New("it answered once and then no more")
	}
}

// onThisMachine fails for a daemon whose loopback interface is not ours: only
// that interface is published. testcontainers would take the gateway's
// address as soon as this process is in a container; but a container may also
// hold the daemon, or share the network of its host.
func (e *engine) onThisMachine(ctx context.Context) error {
	daemon, err := url.Parse(e.api.DaemonHost())
	if err != nil {
		return err
	}
	switch daemon.Scheme {
	case "unix", "npipe":
		if !inContainer() || sameNetwork(daemon.Path) {
			return nil // the daemon's host, or a desktop that forwards
		}
		bridge, err := e.api.NetworkInspect(ctx, "bridge", client.NetworkInspectOptions{})
		if err != nil {
			return nil //nolint:nilerr // without a bridge there is nothing to compare: try
		}
		for _, pool := range bridge.Network.IPAM.Config {
			gateway := pool.Gateway
			if !gateway.IsValid() {
				gateway = pool.Subnet.Addr().Next() // what the daemon takes by default, and does not always tell
			}
			if ownAddress(gateway.String()) {
				return nil
			}
		}
		return fmt.Errorf("this process is in a container and the daemon is outside of it: start the container with --network host: %w", errElsewhere)
	default:
		host := daemon.Hostname()
		if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
			return nil
		}
		return fmt.Errorf("%s is another machine: %w", host, errElsewhere)
	}
}

func inContainer() bool {
	for _, mark := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Stat(mark); err == nil {
			return true
		}
	}
	return false
}

// ownAddress tells whether an interface of this machine has the address.
func ownAddress(ip string) bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range addrs {
		if own, _, _ := strings.Cut(a.String(), "/"); own == ip {
			return true
		}
	}
	return false
}

// Close ends the connections to the daemon.
func (e *engine) Close() error { return e.api.Close() }
