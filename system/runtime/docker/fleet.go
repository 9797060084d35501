package docker

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"

	"github.com/ordbench/ordbench/system"
)

// fleet is the places of one stack's replicas. It satisfies system.Fleet.
type fleet struct {
	rt        Runtime
	cfg       system.Config
	engine    *engine
	images    images
	claim     *claim
	reaper    *reaper
	ports     ports
	network   string            // name
	subnet    string            // CIDR
	gateway   string            // this machine, as the containers see it
	spans     *relay            // nil: there are none to bring
	password  string            // of the database
	collector string            // URL of spans, as the containers see it; "": there are none
	collects  *system.Collector // beside ours; nil: none
	detours   *system.Detours   // what stands in the links; nil: nothing
	replicas  []system.Replica
	places    map[string]*place
	starting  chan struct{} // a place in it for each container that is made and started

	stopRenewing context.CancelFunc // nil: not begun
	renewing     sync.WaitGroup

	// Of the probe of the database, one at a time.
	server        *sql.DB
	databasesMade bool
}

func newFleet(rt Runtime, cfg system.Config, e *engine) *fleet {
	return &fleet{rt: rt, cfg: cfg, engine: e, places: map[string]*place{}, starting: make(chan struct{}, startsAtOnce)}
}

// Where the services listen inside their containers.
const (
	servicePort = "8080"
	adminPort   = "9090"
)

// labels mark all that belongs to the stack.
func (f *fleet) labels() map[string]string { return f.claim.labels() }

// resource is the name of one thing of the stack.
func (f *fleet) resource(name string) string { return "ordbench-" + f.claim.id + "-" + name }

// makeNetwork makes the private network of the stack.
func (f *fleet) makeNetwork(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	f.network = f.resource("net")
	//nolint:staticcheck // what replaces it looks for a daemon of its own
	n, err := f.engine.CreateNetwork(ctx, testcontainers.NetworkRequest{
		Name: f.network, Driver: "bridge", Attachable: true, Labels: f.labels(),
	})
	if err != nil {
		return fmt.Errorf("make a network: %w", err)
	}
	found, err := f.engine.api.NetworkInspect(ctx, n.(*testcontainers.DockerNetwork).ID, client.NetworkInspectOptions{})
	if err != nil {
		return fmt.Errorf("look at the network: %w", err)
	}
	for _, pool := range found.Network.IPAM.Config {
		f.subnet, f.gateway = pool.Subnet.String(), pool.Gateway.String()
	}
	return nil
}

// reserve makes the places of every replica that c may ever have.
func (f *fleet) reserve(c system.Component) error {
	for n := range f.cfg.Slots(c) {
		p := &place{fleet: f, name: c.ReplicaName(n), component: c, ordinal: n}
		r := system.Replica{Name: p.name, Component: c}
		var err error
		switch c {
		case system.Broker:
			r.Addr, err = p.publish(kafkaOutside, 0)
			r.Ready = func(ctx context.Context) error { return answers(ctx, r.Addr, kafkaQuestion) }
		case system.Cache:
			r.Addr, err = p.publish(redisPort, 0)
			r.Ready = func(ctx context.Context) error { return answers(ctx, r.Addr, redisQuestion) }
		case system.Database:
			r.Addr, err = p.publish(postgresPort, 0)
			r.Ready = func(ctx context.Context) error { return f.databaseReady(ctx, r.Addr) }
		case system.Gateway:
			r.Addr, err = p.publishAt(servicePort, f.cfg.Gateway.Addr)
		default:
			r.Addr = net.JoinHostPort(p.name, servicePort) // nobody out here asks it
		}
		if err == nil && r.Ready == nil {
			r.Admin, err = p.publish(adminPort, 0)
		}
		if err != nil {
			return err
		}
		f.places[p.name] = p
		f.replicas = append(f.replicas, r)
	}
	return nil
}

// publish gives a port of the place a port of the loopback interface, 0: a
// free one.
func (p *place) publish(port string, at int) (addr string, err error) {
	if at == 0 {
		at, err = p.fleet.ports.take()
	} else {
		err = p.fleet.ports.hold(at)
	}
	if err != nil {
		return "", fmt.Errorf("reserve port %d: %w", at, err)
	}
	if p.published == nil {
		p.published = map[string]int{}
	}
	p.published[port] = at
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(at)), nil
}

// publishAt is publish for an address that somebody asked for; "" and port 0
// take a free one.
func (p *place) publishAt(port, addr string) (string, error) {
	_, at, err := net.SplitHostPort(addr)
	if addr == "" || err != nil {
		return p.publish(port, 0)
	}
	n, err := strconv.Atoi(at)
	if err != nil {
		return "", fmt.Errorf("address %s: %w", addr, err)
	}
	return p.publish(port, n)
}

// Replicas lists every place.
func (f *fleet) Replicas() []system.Replica { return f.replicas }

// Brokers are the addresses of the brokers as seen from here.
func (f *fleet) Brokers() []string {
	var addrs []string
	for _, r := range f.replicas {
		if r.Component == system.Broker {
			addrs = append(addrs, r.Addr)
		}
	}
	return addrs
}

// inside are the addresses of a component as its peers see them.
func (f *fleet) inside(c system.Component, port string) []string {
	var addrs []string
	for n := range f.cfg.Slots(c) {
		addrs = append(addrs, net.JoinHostPort(c.ReplicaName(n), port))
	}
	return addrs
}

// Perishable tells that nothing outlives the fleet: its volumes go with it.
func (f *fleet) Perishable() bool { return true }

// Start starts a replica's container; what it writes is added to the
// replica's log.
func (f *fleet) Start(ctx context.Context, replica string) (system.Process, error) {
	p := f.places[replica]
	if p == nil {
		return nil, fmt.Errorf("there is no replica %s", replica)
	}
	r, err := p.start(ctx)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", replica, err)
	}
	return r, nil
}

// Prepare starts the containers of services that were never started, one after
// the other, up to where their processes wait to be told what they are. Most of
// what a start costs, which is the daemon's and the kernel's work, is done
// before the load that asks for it.
func (f *fleet) Prepare(ctx context.Context, replicas []string) {
	for _, name := range replicas {
		select {
		case f.starting <- struct{}{}:
		case <-ctx.Done():
			return
		}
		err := f.places[name].ahead(ctx)
		<-f.starting
		if err != nil && ctx.Err() == nil {
			f.rt.Log.Warn("start a container ahead", "replica", name, "error", err) // its start will tell
		}
	}
}

func (f *fleet) logPath(replica string) string {
	return filepath.Join(f.cfg.LogDir, replica+".log")
}

// tailBytes is how far back a tail looks.
const tailBytes = 16 << 10

// Tail returns the last lines of the log of a replica's latest process.
func (f *fleet) Tail(replica string, lines int) string {
	p := f.places[replica]
	if p == nil {
		return ""
	}
	log, err := os.Open(f.logPath(replica))
	if err != nil {
		return ""
	}
	defer log.Close()
	end, err := log.Seek(0, 2)
	if err != nil {
		return ""
	}
	from := max(p.logFrom.Load(), end-tailBytes)
	text := make([]byte, end-from)
	if _, err := log.ReadAt(text, from); err != nil {
		return ""
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// closeLimit bounds the removal of what a stack has made.
const closeLimit = 30 * time.Second

// Close removes containers, volumes and network, and lets the reaper go.
func (f *fleet) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	var problems []error
	if f.stopRenewing != nil {
		f.stopRenewing()
		f.renewing.Wait()
	}
	if f.claim != nil {
		problems = append(problems, remove(ctx, f.engine.api, f.claim.id))
	}
	for _, p := range f.places {
		p.settle(ctx)
		p.forgo()
	}
	if f.spans != nil {
		problems = append(problems, f.spans.Close())
	}
	if f.server != nil {
		problems = append(problems, f.server.Close())
	}
	if f.reaper != nil && errors.Join(problems...) == nil {
		problems = append(problems, f.reaper.dismiss())
	}
	if f.claim != nil {
		problems = append(problems, f.claim.release())
	}
	problems = append(problems, f.ports.release(), f.engine.Close())
	return errors.Join(problems...)
}
