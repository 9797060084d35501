package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// ration is the share of the processors that a run is held to.
type ration struct {
	cores     float64 // 0: it has all
	throttled int64   // periods, before it was held
}

// quotaPeriod is what quotas are counted in, in microseconds.
const quotaPeriod = 100_000

// LimitCPU holds the container to so many cores.
func (r *run) LimitCPU(cores float64) (throttled int64, fresh bool, err error) {
	r.in.mu.Lock()
	defer r.in.mu.Unlock()
	now, err := r.throttled()
	if err != nil {
		return 0, false, err
	}
	if r.ration.cores != cores {
		fresh = r.ration.cores == 0
		if err := r.quota(int64(max(1000, math.Round(cores*quotaPeriod)))); err != nil {
			return 0, false, err
		}
		r.ration = ration{cores, now}
	}
	return now - r.ration.throttled, fresh, nil
}

// FreeCPU takes the limit away.
func (r *run) FreeCPU() error {
	r.in.mu.Lock()
	defer r.in.mu.Unlock()
	if err := r.quota(-1); err != nil {
		return err
	}
	r.ration = ration{}
	return nil
}

// quota sets how much of a period the container may run; -1: all of it.
func (r *run) quota(microseconds int64) error {
	return r.ask("ration", func(ctx context.Context) error { return r.place.quota(ctx, microseconds) })
}

func (p *place) quota(ctx context.Context, microseconds int64) error {
	_, err := p.fleet.engine.api.ContainerUpdate(ctx, p.id, client.ContainerUpdateOptions{
		Resources: &container.Resources{CPUPeriod: quotaPeriod, CPUQuota: microseconds},
	})
	if err == nil {
		p.rationed.Store(microseconds > 0)
	}
	return err
}

// throttled asks the daemon in how many periods the container had to wait.
func (r *run) throttled() (int64, error) {
	s, err := r.stats()
	return int64(s.CPUStats.ThrottlingData.ThrottledPeriods), err
}

// stats asks the daemon for its figures of the container.
func (r *run) stats() (stats container.StatsResponse, err error) {
	err = r.ask("look at", func(ctx context.Context) error {
		answer, err := r.api.ContainerStats(ctx, r.id, client.ContainerStatsOptions{})
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if err := json.NewDecoder(answer.Body).Decode(&stats); err != nil {
			return fmt.Errorf("the daemon's figures: %w", err)
		}
		return nil
	})
	return stats, err
}
