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
	*testcontainers.DockerProvider
	api client.APIClient
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

// UnavailableError says that there is no daemon to work with, and what to do.
type UnavailableError struct{ Err error }

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("no Docker daemon to work with: %v\nStart one, or name it in DOCKER_HOST, or take --runtime local", e.Err)
}

func (e *UnavailableError) Unwrap() error { return e.Err }

// connect finds the daemon and sees that it answers, and that what it
// publishes can be reached from here.
func connect(ctx context.Context) (*engine, error) {
	settle()
	p, err := testcontainers.NewDockerProvider(testcontainers.WithLogger(quiet{}))
	if err != nil {
		return nil, &UnavailableError{err}
	}
	e := &engine{DockerProvider: p, api: p.Client()}
	ctx, cancel := context.WithTimeout(ctx, pingLimit)
	defer cancel()
	if _, err := e.api.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		return nil, &UnavailableError{errors.Join(err, p.Close())}
	}
	if err := e.onThisMachine(ctx); err != nil {
		return nil, &UnavailableError{errors.Join(err, p.Close())}
	}
	return e, nil
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
		if !inContainer() {
			return nil // the daemon's host, or a desktop that forwards
		}
		bridge, err := e.GetGatewayIP(ctx)
		if err != nil || ownAddress(bridge) {
			return nil //nolint:nilerr // without a bridge there is nothing to compare: try
		}
		return errors.New("this process is in a container and the daemon is outside of it: start the container with --network host")
	default:
		host := daemon.Hostname()
		if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
			return nil
		}
		return fmt.Errorf("%s is another machine, and containers publish on its loopback interface only", host)
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
