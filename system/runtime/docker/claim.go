package docker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// What marks everything of a stack.
const (
	labelStack   = "org.ordbench.stack"   // its id
	labelHost    = "org.ordbench.host"    // the machine that its owner runs on
	labelClaim   = "org.ordbench.claim"   // the file that its owner has locked
	labelReplica = "org.ordbench.replica" // of a container: the replica in it
)

// claim is a stack's name and the proof that its owner lives: a lock, which
// the kernel takes from it when it dies.
type claim struct {
	id   string
	host string
	path string
	lock *os.File
}

func claimStack() (*claim, error) {
	var random [4]byte
	_, _ = rand.Read(random[:]) // it does not fail
	id := hex.EncodeToString(random[:])
	dir, err := stateDir("stacks")
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	c := &claim{id: id, host: host, path: filepath.Join(dir, id)}
	if c.lock, err = os.OpenFile(c.path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, err
	}
	if err := unix.Flock(int(c.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, fmt.Errorf("lock %s: %w", c.path, err)
	}
	return c, nil
}

func (c *claim) labels() map[string]string {
	return map[string]string{labelStack: c.id, labelHost: c.host, labelClaim: c.path}
}

// release ends the claim, after all that it stood for is gone.
func (c *claim) release() error { return errors.Join(os.Remove(c.path), c.lock.Close()) }

// abandoned tells of a stack with these labels whether its owner is known to
// be dead. Of another machine's stacks nothing is known.
func abandoned(labels map[string]string) bool {
	host, err := os.Hostname()
	if err != nil || labels[labelHost] != host {
		return false
	}
	lock, err := os.OpenFile(labels[labelClaim], os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return true
	}
	if err != nil {
		return false // another user's
	}
	defer lock.Close()
	return unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
}

// Sweep removes what stacks of this machine left whose owner is dead. It
// returns the stacks that it removed, and those that it left alone because
// their owner lives or is not known. Without a daemon its error is an
// *UnavailableError.
func Sweep(ctx context.Context) (removed, kept []string, err error) {
	e, err := connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = e.Close() }()
	return e.removeStacks(ctx, abandoned)
}

// RemoveAll removes everything that ordbench has made on this daemon,
// whoever made it and still uses it, and returns the stacks that it was.
// Without a daemon its error is an *UnavailableError.
func RemoveAll(ctx context.Context) (removed []string, err error) {
	e, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = e.Close() }()
	removed, _, err = e.removeStacks(ctx, func(map[string]string) bool { return true })
	return removed, err
}

func (e *engine) removeStacks(ctx context.Context, which func(labels map[string]string) bool) (removed, kept []string, err error) {
	stacks, err := list(ctx, e.api, labelStack)
	if err != nil {
		return nil, nil, err
	}
	for id, labels := range stacks.owners {
		if !which(labels) {
			kept = append(kept, id)
			continue
		}
		if stuck := remove(ctx, e.api, id); stuck != nil {
			err = errors.Join(err, stuck)
			continue
		}
		_ = os.Remove(labels[labelClaim]) // of another user or machine it may stay
		removed = append(removed, id)
	}
	return removed, kept, err
}

// holdings is what a label is found on.
type holdings struct {
	containers, networks, volumes []string
	owners                        map[string]map[string]string // labels by stack
}

func (h holdings) empty() bool { return len(h.containers)+len(h.networks)+len(h.volumes) == 0 }

// list finds everything with a label, "key" or "key=value".
func list(ctx context.Context, api client.APIClient, label string) (holdings, error) {
	h := holdings{owners: map[string]map[string]string{}}
	filter := client.Filters{}.Add("label", label)
	note := func(labels map[string]string) { h.owners[labels[labelStack]] = labels }
	containers, err := api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filter})
	if err != nil {
		return h, fmt.Errorf("list containers: %w", err)
	}
	for _, c := range containers.Items {
		h.containers = append(h.containers, c.ID)
		note(c.Labels)
	}
	networks, err := api.NetworkList(ctx, client.NetworkListOptions{Filters: filter})
	if err != nil {
		return h, fmt.Errorf("list networks: %w", err)
	}
	for _, n := range networks.Items {
		h.networks = append(h.networks, n.ID)
		note(n.Labels)
	}
	volumes, err := api.VolumeList(ctx, client.VolumeListOptions{Filters: filter})
	if err != nil {
		return h, fmt.Errorf("list volumes: %w", err)
	}
	for _, v := range volumes.Items {
		h.volumes = append(h.volumes, v.Name)
		note(v.Labels)
	}
	return h, nil
}

// quietFor is how long nothing of a stack may be found until it is gone for
// certain: the daemon finishes a request whose client has died.
const quietFor = 2 * time.Second

// countFor is how long a daemon may count ends of a network that has no
// containers. Some lose count, and would count until they are started anew.
const countFor = 2 * time.Second

// remove removes everything of one stack. It looks again until nothing is
// left.
func remove(ctx context.Context, api client.APIClient, stack string) error {
	var bare time.Time // since when only networks are left
	for {
		h, err := list(ctx, api, labelStack+"="+stack)
		if err != nil {
			return fmt.Errorf("remove stack %s: %w", stack, err)
		}
		if h.empty() {
			return nil
		}
		if bare.IsZero() || len(h.containers)+len(h.volumes) > 0 {
			bare = time.Now()
		}
		err = h.remove(ctx, api)
		switch {
		case err != nil && ctx.Err() != nil:
			return fmt.Errorf("remove stack %s: %w", stack, err)
		case err != nil && time.Since(bare) > countFor && strings.Contains(err.Error(), "active endpoints"):
			return fmt.Errorf("remove stack %s: %w, the daemon says, and no container is on it: a restart of the daemon helps", stack, err)
		case err != nil:
			select { // somebody else may be removing the same
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
				return fmt.Errorf("remove stack %s: %w", stack, err)
			}
		}
	}
}

// removersAtOnce is how many things are removed at a time: all of a stack,
// so that none lives on behind the removal of others.
const removersAtOnce = 32

func (h holdings) remove(ctx context.Context, api client.APIClient) error {
	var mu sync.Mutex
	var problems []error
	note := func(err error) {
		if err != nil && !errdefs.IsNotFound(err) && !strings.Contains(err.Error(), "already in progress") {
			mu.Lock()
			defer mu.Unlock()
			problems = append(problems, err)
		}
	}
	var g errgroup.Group
	g.SetLimit(removersAtOnce)
	for _, id := range h.containers {
		g.Go(func() error {
			_, err := api.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
			note(err)
			return nil
		})
	}
	_ = g.Wait() // the errors are noted
	for _, id := range h.networks {
		g.Go(func() error {
			_, err := api.NetworkRemove(ctx, id, client.NetworkRemoveOptions{})
			note(err)
			return nil
		})
	}
	for _, name := range h.volumes {
		g.Go(func() error {
			_, err := api.VolumeRemove(ctx, name, client.VolumeRemoveOptions{Force: true})
			note(err)
			return nil
		})
	}
	_ = g.Wait()
	return errors.Join(problems...)
}
