package docker

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"

	"github.com/ordbench/ordbench/system"
)

// place is where one replica lives: one container, made at its first start
// and started again after each end, with its ports, its files and its volume.
type place struct {
	fleet     *fleet
	name      string
	component system.Component
	ordinal   int
	published map[string]int // host port by container port
	spec      spec
	logFrom   atomic.Int64 // where the log of the latest process begins
	keeper    keeper
	memory    memory

	mu      sync.Mutex
	id      string               // of the container; "": not made yet
	copied  map[string]time.Time // when each renewed file was written that it has; nil: it has no files yet
	ran     bool                 // it was started before
	run     *run                 // nil: none runs
	waiting *run                 // was started ahead, and waits to be told what it is; nil: none does
	// rationed says that the container has a limit of processors, which it
	// keeps when it starts anew.
	rationed atomic.Bool
}

// spec is what a place holds.
type spec struct {
	image   string
	cmd     []string
	told    []byte // what it reads on standard input before it does anything; nil: nothing
	env     map[string]string
	user    string
	files   []file
	renewed []renewed
	volume  string // where the data are kept; "": nowhere
	bound   int64  // bytes that the volume holds; 0: as many as there are
	mounts  []mount.Mount
	stop    string // the signal that ends it in good order
}

// shares say who goes first where processors are short. Containers have the
// same by default, and twenty consumers would leave a twenty-fifth of the
// machine to the broker that they wait for.
var shares = map[system.Component]int64{
	system.Broker: 8192, system.Database: 8192, system.Cache: 4096,
	system.Gateway: 4096, system.Order: 4096,
	system.Inventory: 1024, system.Payment: 2048, system.Notification: 1024,
}

// file is what is put into a container before it starts. That way no
// configuration and no secret stands on a command line or in a variable.
type file struct {
	path string // absolute
	mode int64
	uid  int
	text []byte
}

// renewed is a file of this machine that changes while the stack runs:
// credentials. The container has a copy.
type renewed struct{ from, to string }

// start starts the container.
func (p *place) start(ctx context.Context) (*run, error) {
	if err := p.vacate(ctx); err != nil {
		return nil, err
	}
	p.mu.Lock()
	quick := p.ran || p.waiting != nil
	p.mu.Unlock()
	if !quick { // what is new waits behind what is new, and nothing else does
		select {
		case p.fleet.starting <- struct{}{}:
			defer func() { <-p.fleet.starting }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err := p.keep(ctx); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.furnish(ctx); err != nil {
		return nil, err
	}
	if p.rationed.Load() {
		if err := p.quota(ctx, -1); err != nil {
			return nil, err
		}
	}
	if bytes := p.memory.bytes.Load(); bytes > 0 {
		if err := p.holdToMemory(ctx, bytes, bytes); err != nil {
			return nil, err
		}
	}
	r := p.waiting
	if r == nil {
		var err error
		if r, err = p.launch(ctx); err != nil {
			return nil, err
		}
	}
	p.ran, p.run, p.waiting = true, r, nil
	if err := r.tell(); err != nil {
		return nil, errors.Join(fmt.Errorf("tell %s what it is: %w", p.name, err), r.Kill())
	}
	return r, nil
}

// ahead starts the container of a place that was never started, up to where
// its process waits to be told what it is.
func (p *place) ahead(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ran || p.waiting != nil || p.spec.told == nil {
		return nil
	}
	if err := p.furnish(ctx); err != nil {
		return err
	}
	r, err := p.launch(ctx)
	if err != nil {
		return err
	}
	p.waiting = r
	return nil
}

// vacate waits until the daemon knows too that the run before has ended.
func (p *place) vacate(ctx context.Context) error {
	p.mu.Lock()
	before := p.run
	p.mu.Unlock()
	if before == nil {
		return nil
	}
	select {
	case <-before.done:
	default:
		return errors.New("it runs already")
	}
	select {
	case <-before.settled:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// launch attaches to the container before it starts, so that nothing it says
// is missed, and follows it to its end. The caller holds the lock.
func (p *place) launch(ctx context.Context) (*run, error) {
	log, err := os.OpenFile(p.fleet.logPath(p.name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	from, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	r, err := p.follow(ctx, log)
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	p.logFrom.Store(from)
	return r, nil
}

func (p *place) follow(ctx context.Context, log *os.File) (*run, error) {
	api := p.fleet.engine.api
	attach := func() (client.ContainerAttachResult, error) {
		return api.ContainerAttach(ctx, p.id, client.ContainerAttachOptions{Stream: true, Stdin: p.spec.told != nil, Stdout: true, Stderr: true})
	}
	attached, early := attach()
	following, stop := context.WithCancel(context.WithoutCancel(ctx))
	wait := api.ContainerWait(following, p.id, client.ContainerWaitOptions{Condition: container.WaitConditionNextExit})
	fail := func(err error) (*run, error) {
		stop()
		if early == nil {
			attached.Close()
		}
		return nil, err
	}
	if _, err := api.ContainerStart(ctx, p.id, client.ContainerStartOptions{}); err != nil {
		return fail(err)
	}
	if early != nil { // Podman attaches to what runs, and only to that
		if attached, early = attach(); early != nil {
			return fail(fmt.Errorf("attach: %w", early))
		}
	}
	found, err := api.ContainerInspect(ctx, p.id, client.ContainerInspectOptions{})
	if err != nil {
		return fail(err)
	}
	r := &run{place: p, api: api, id: p.id, pid: found.Container.State.Pid, said: make(chan struct{}), done: make(chan struct{}), settled: make(chan struct{})}
	r.tell = func() error {
		if p.spec.told == nil {
			return nil
		}
		_, err := attached.Conn.Write(p.spec.told)
		return errors.Join(err, attached.CloseWrite())
	}
	r.meter = newMeter(r.pid)
	if r.hand = openHandle(r.pid, r.id); r.hand != nil {
		go r.watch()
	}
	go func() {
		defer stop()
		how := r.await(following, wait)
		if strings.HasSuffix(how, outOfMemory) {
			p.memory.kills.Add(1)
		}
		// What it said last may still be on its way; a child of its own
		// could hold the stream open for ever.
		cut := time.AfterFunc(time.Second, attached.Close)
		<-r.said
		cut.Stop()
		attached.Close()
		if found, err := log.Stat(); err == nil && found.Size() == 0 {
			_ = os.Remove(log.Name()) // nobody wanted it
		}
		_ = log.Close() // the writes have told already
		if r.hand != nil {
			r.hand.close()
		}
		p.mu.Lock()
		if p.waiting == r {
			p.waiting = nil
		} else {
			p.run = nil
		}
		p.mu.Unlock()
		r.end(how)
		close(r.settled)
		r.leave()
	}()
	go func() {
		defer close(r.said)
		_, _ = stdcopy.StdCopy(log, log, attached.Reader) // it ends with the connection
	}()
	return r, nil
}

// make makes the container, through testcontainers.
func (p *place) make(ctx context.Context) error {
	f := p.fleet
	mounts := slices.Clone(p.spec.mounts)
	if p.spec.volume != "" {
		mounts = append(mounts, p.volume(p.spec.volume))
	}
	var exposed []string
	bound := network.PortMap{}
	for inside, outside := range p.published {
		port := network.MustParsePort(inside + "/tcp")
		exposed = append(exposed, port.String())
		bound[port] = []network.PortBinding{{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: strconv.Itoa(outside)}}
	}
	labels := f.labels()
	labels[labelReplica] = p.name
	c, err := f.engine.CreateContainer(ctx, testcontainers.ContainerRequest{
		Name:   f.resource(p.name),
		Image:  p.spec.image,
		Cmd:    p.spec.cmd,
		Env:    p.spec.env,
		Labels: labels,
		// All of them: without any, those that the image names would be
		// published, and on every interface.
		ExposedPorts:   exposed,
		Networks:       []string{f.network},
		NetworkAliases: map[string][]string{f.network: {p.name}},
		ConfigModifier: func(c *container.Config) {
			c.Hostname, c.User = p.name, p.spec.user
			c.OpenStdin, c.StdinOnce = p.spec.told != nil, true
		},
		HostConfigModifier: func(h *container.HostConfig) {
			h.Mounts, h.PortBindings = mounts, bound
			h.CPUShares = shares[p.component]
			// The log is a file of ours. A second copy would cost the
			// daemon as much as the first.
			h.LogConfig = container.LogConfig{Type: "none"}
		},
	})
	if c != nil {
		p.id = c.GetContainerID()
	}
	return err
}

// furnish makes the container unless there is one, and copies what it does not
// have yet: at first all its files, later credentials that are new. It is one
// copy, because each has the daemon start a process. The caller holds the lock.
func (p *place) furnish(ctx context.Context) error {
	if p.id == "" {
		if err := p.make(ctx); err != nil {
			return err
		}
	}
	var files []file
	if p.copied == nil {
		files = slices.Clone(p.spec.files)
	}
	copied := map[string]time.Time{}
	for _, r := range p.spec.renewed {
		found, err := os.Stat(r.from)
		if err != nil || found.ModTime().Equal(p.copied[r.from]) {
			continue // it is made in time, or there is none
		}
		text, err := os.ReadFile(r.from)
		if err != nil {
			return err
		}
		files = append(files, file{path: r.to, mode: 0o400, uid: nobody, text: text})
		copied[r.from] = found.ModTime() // of what was read, or of what was there before
	}
	if err := p.put(ctx, files); err != nil {
		return err
	}
	if p.copied == nil {
		p.copied = copied
	}
	maps.Copy(p.copied, copied)
	return nil
}

// put copies files into the container.
func (p *place) put(ctx context.Context, files []file) error {
	if len(files) == 0 {
		return nil
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, f := range files {
		err := w.WriteHeader(&tar.Header{Name: f.path[1:], Mode: f.mode, Uid: f.uid, Gid: f.uid, Size: int64(len(f.text)), ModTime: time.Now()})
		if err != nil {
			return err
		}
		if _, err := w.Write(f.text); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	_, err := p.fleet.engine.api.CopyToContainer(ctx, p.id, client.CopyToContainerOptions{DestinationPath: "/", Content: &archive})
	if err != nil {
		return fmt.Errorf("copy the configuration: %w", err)
	}
	return nil
}

// settle waits for the end of a run whose container is gone, while ctx lasts.
func (p *place) settle(ctx context.Context) {
	p.mu.Lock()
	r := cmp.Or(p.run, p.waiting)
	p.mu.Unlock()
	if r == nil {
		return
	}
	select {
	case <-r.settled:
	case <-ctx.Done():
	}
}

// renewEvery is how often credentials are looked at.
const renewEvery = time.Second

// keepRenewed copies credentials into the containers as they change, until
// ctx ends.
func (f *fleet) keepRenewed(ctx context.Context) {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for _, p := range f.places {
				p.mu.Lock()
				var err error
				if p.run != nil {
					err = p.furnish(ctx)
				}
				p.mu.Unlock()
				if err != nil && ctx.Err() == nil {
					f.rt.Log.Warn("renew credentials", "replica", p.name, "error", err)
				}
			}
		}
	}
}
