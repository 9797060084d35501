package docker

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// memory is the limit that a container is held to. It is that of the
// container, not of a run: what dies of it comes back under it.
type memory struct {
	bytes atomic.Int64 // 0: it has none
	kills atomic.Int64 // runs that died of it

	mu    sync.Mutex
	seen  *run   // the run that was last seen under it
	fails uint64 // how often that had met a limit before
}

// refusedForUse is what the daemon says of a limit that is below what is used:
// the kernel would find nobody to take it from.
const refusedForUse = "current usage"

// refusedForDeath is what it says of a container that has ended, as long as it
// does not know that itself.
const refusedForDeath = "container not running"

// outOfMemory is how the end of a run says that it was for its memory.
const outOfMemory = " (out of memory)"

// LimitMemory holds the container of a replica to so many bytes.
func (f *fleet) LimitMemory(ctx context.Context, replica string, bytes int64) (detail string, met, fresh bool, err error) {
	p := f.places[replica]
	if p == nil {
		return "", false, false, fmt.Errorf("there is no place for %s", replica)
	}
	p.mu.Lock()
	r := p.run
	p.mu.Unlock()
	m := &p.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.bytes.Load() != bytes {
		before := container.MemoryStats{}
		if r != nil {
			if before, err = r.memoryStats(); err != nil {
				return "", false, false, err
			}
		}
		m.kills.Store(0)
		m.seen, m.fails = r, before.Failcnt
		m.bytes.Store(bytes)
		switch err := p.holdToMemory(ctx, bytes, bytes); {
		case err != nil && r != nil && strings.Contains(err.Error(), refusedForUse):
			if err := r.Kill(); err != nil {
				return "", false, false, err
			}
			m.kills.Add(1)
			return fmt.Sprintf("it used %d bytes, more than the limit of %d: it was killed, and comes back under the limit", before.Usage, bytes), true, true, nil
		case err != nil:
			m.bytes.Store(0)
			return "", false, false, err
		}
		fresh = true
	}
	if kills := m.kills.Load(); kills > 0 {
		detail, met = fmt.Sprintf("it was killed %d times for its memory", kills), true
	}
	if r == nil {
		if !met {
			err = fmt.Errorf("%s is down", replica)
		}
		return detail, met, fresh, err
	}
	if m.seen != r {
		m.seen, m.fails, fresh = r, 0, true
	}
	now, err := r.memoryStats()
	if err != nil {
		return detail, met, false, err
	}
	if now.Limit != uint64(bytes) {
		return "", false, false, fmt.Errorf("the limit of %s is %d bytes, not %d", replica, now.Limit, bytes)
	}
	if detail != "" {
		detail += "; "
	}
	detail += fmt.Sprintf("its limit is %d bytes", now.Limit)
	// What counts the times is not there with version 2 of the groups.
	if times := now.Failcnt - m.fails; times > 0 || now.Usage >= now.Limit-now.Limit/64 {
		detail, met = detail+fmt.Sprintf(", of which it uses %d; the kernel had to look for memory %d times", now.Usage, times), true
	}
	return detail, met, fresh, nil
}

// FreeMemory lets the container have all that there is.
func (f *fleet) FreeMemory(ctx context.Context, replica string) (detail string, err error) {
	p := f.places[replica]
	if p == nil || p.memory.bytes.Load() == 0 {
		return "it has no limit", nil
	}
	info, err := f.engine.api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return "", err
	}
	// No limit at all is for new containers only. As much again may be swapped,
	// as of any that has one.
	if err := p.holdToMemory(ctx, info.Info.MemTotal, 2*info.Info.MemTotal); err != nil {
		return "", err
	}
	p.memory.bytes.Store(0)
	return fmt.Sprintf("its limit is the %d bytes of the machine again", info.Info.MemTotal), nil
}

// holdToMemory sets how much memory the container may have, and how much of it
// with what is swapped; of one that does not run, from its next start on.
func (p *place) holdToMemory(ctx context.Context, bytes, swapped int64) error {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	for {
		_, err := p.fleet.engine.api.ContainerUpdate(ctx, p.id, client.ContainerUpdateOptions{
			Resources: &container.Resources{Memory: bytes, MemorySwap: swapped},
		})
		if err == nil || !strings.Contains(err.Error(), refusedForDeath) {
			return err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// memoryStats are the daemon's figures.
func (r *run) memoryStats() (container.MemoryStats, error) {
	s, err := r.stats()
	return s.MemoryStats, err
}
