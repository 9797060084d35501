package docker

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/client"

	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/runtime/inside"
)

// interior is what was done within one run of a container. All of it ends
// with that run.
type interior struct {
	mu      sync.Mutex
	network *helper      // nil: none was needed yet
	drop    *inside.Drop // nil: nothing is dropped
	delayed bool
	limiter *helper // nil: none was needed yet
	limited map[string]bool
}

// ask gives an order to a helper of the run, which is started for its first
// one. The caller holds the lock of the interior.
func (r *run) askInside(ctx context.Context, who **helper, m might, o inside.Order) (inside.Answer, error) {
	select {
	case <-r.done:
		return inside.Answer{}, r.gone()
	default:
	}
	if *who == nil {
		m.within = r.id
		h, err := r.place.fleet.help(ctx, m)
		if err != nil {
			return inside.Answer{}, err
		}
		*who = h
	}
	a, err := (*who).ask(o)
	if (*who).broken != nil {
		(*who).close()
		*who = nil // what it did is undone; the next one begins anew
	}
	return a, err
}

// askNetwork gives an order about packets.
func (r *run) askNetwork(ctx context.Context, o inside.Order) (inside.Answer, error) {
	a, err := r.askInside(ctx, &r.in.network, might{user: "0", caps: []string{"NET_ADMIN"}}, o)
	if r.in.network == nil {
		r.in.drop, r.in.delayed = nil, false
	}
	return a, err
}

// askLimiter gives an order about limits. A helper of the same user needs no
// privilege for that; the processes of who begins as root may be of any user.
func (r *run) askLimiter(o inside.Order) (inside.Answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), helperLimit)
	defer cancel()
	var m might
	if r.in.limiter == nil {
		found, err := r.api.ContainerInspect(ctx, r.id, client.ContainerInspectOptions{})
		if err != nil {
			return inside.Answer{}, err
		}
		if m.user = found.Container.Config.User; m.user == "" || m.user == "0" || m.user == "root" {
			m = might{user: "0", caps: []string{"SYS_RESOURCE", "SYS_PTRACE"}}
		}
	}
	a, err := r.askInside(ctx, &r.in.limiter, m, o)
	if r.in.limiter == nil {
		r.in.limited = nil
	}
	return a, err
}

// LosePackets loses packets by rules in the container's own network.
func (r *run) LosePackets(ctx context.Context, l system.Loss) (lost int64, fresh bool, err error) {
	peers, err := r.place.fleet.peers(ctx, r.place, l.Peer)
	if err != nil {
		return 0, false, err
	}
	want := inside.Drop{Share: l.Share, Peers: peers, Sent: l.Sent, Received: l.Received}
	r.in.mu.Lock()
	defer r.in.mu.Unlock()
	before := r.in.drop
	order := inside.Order{Count: true}
	switch {
	case len(peers) == 0 && before == nil:
		return 0, false, fmt.Errorf("no %s runs that packets could come from or go to", l.Peer)
	case len(peers) > 0 && (before == nil || before.Share != want.Share || before.Sent != want.Sent || before.Received != want.Received || !slices.Equal(before.Peers, peers)):
		order = inside.Order{Drop: &want}
	}
	a, err := r.askNetwork(ctx, order)
	if err != nil {
		return 0, false, err
	}
	if order.Drop != nil {
		r.in.drop = &want
	}
	return a.Dropped, before == nil, nil
}

// DelayPackets delays what the container sends.
func (r *run) DelayPackets(ctx context.Context, by, jitter time.Duration) (fresh bool, err error) {
	r.in.mu.Lock()
	defer r.in.mu.Unlock()
	if r.in.delayed {
		return false, nil
	}
	if _, err := r.askNetwork(ctx, inside.Order{Delay: &inside.Delay{By: by, Jitter: jitter}}); err != nil {
		return false, err
	}
	r.in.delayed = true
	return true, nil
}

// UndelayPackets removes the queues.
func (r *run) UndelayPackets(ctx context.Context) error {
	r.in.mu.Lock()
	defer r.in.mu.Unlock()
	if !r.in.delayed {
		return nil
	}
	_, err := r.askNetwork(ctx, inside.Order{Undelay: true})
	if err == nil {
		r.in.delayed = false
	}
	return err
}

// PassPackets removes the rules.
func (r *run) PassPackets(ctx context.Context) (lost int64, err error) {
	r.in.mu.Lock()
	defer r.in.mu.Unlock()
	if r.in.drop == nil {
		return 0, nil
	}
	a, err := r.askNetwork(ctx, inside.Order{Pass: true})
	if err == nil {
		r.in.drop = nil
	}
	return a.Dropped, err
}

// Limit lowers a limit of every process of the container.
func (r *run) Limit(limit string, spare int64) (detail string, fresh bool, err error) {
	r.in.mu.Lock()
	defer r.in.mu.Unlock()
	a, err := r.askLimiter(inside.Order{Limit: &inside.Limit{Name: limit, Spare: spare}})
	if err != nil {
		return "", false, err
	}
	fresh = !r.in.limited[limit]
	if r.in.limited == nil {
		r.in.limited = map[string]bool{}
	}
	r.in.limited[limit] = true
	return a.Detail, fresh, nil
}

// Unlimit gives the processes their limit back.
func (r *run) Unlimit(limit string) (detail string, err error) {
	r.in.mu.Lock()
	defer r.in.mu.Unlock()
	if !r.in.limited[limit] {
		return "it was not limited", nil
	}
	a, err := r.askLimiter(inside.Order{Unlimit: limit})
	if err == nil {
		delete(r.in.limited, limit)
	}
	return a.Detail, err
}

// leave lets go of the helpers of a run that has ended.
func (r *run) leave() {
	r.in.mu.Lock()
	defer r.in.mu.Unlock()
	for _, h := range []**helper{&r.in.network, &r.in.limiter} {
		if *h != nil {
			(*h).close()
			*h = nil
		}
	}
}

// peers are the addresses of a component's containers, of this machine, or of
// every container but p, sorted. Who goes through the station in the links
// has its address.
func (f *fleet) peers(ctx context.Context, p *place, who string) ([]netip.Addr, error) {
	if who == "client" {
		gateway, err := netip.ParseAddr(f.gateway)
		return []netip.Addr{gateway}, err
	}
	found, err := f.engine.api.ContainerList(ctx, client.ContainerListOptions{Filters: client.Filters{}.Add("label", labelStack+"="+f.claim.id)})
	if err != nil {
		return nil, fmt.Errorf("find the peers: %w", err)
	}
	detoured := slices.ContainsFunc(f.cfg.Links, func(link string) bool {
		return link == who+"->"+string(p.component) || link == string(p.component)+"->"+who
	})
	var addrs []netip.Addr
	for _, c := range found.Items {
		name := c.Labels[labelReplica]
		component, _, _ := strings.Cut(name, "-")
		wanted := who == "all" || component == who || name == stationName && detoured
		if name == "" || name == p.name || !wanted || c.NetworkSettings == nil {
			continue
		}
		if on := c.NetworkSettings.Networks[f.network]; on != nil && on.IPAddress.Is4() {
			addrs = append(addrs, on.IPAddress)
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs, nil
}
