package docker

import (
	"context"
	"fmt"
	"sync"

	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"github.com/ordbench/ordbench/system/runtime/inside"
)

// keeper holds a bounded volume, which the daemon keeps in memory and drops
// when no container has it: what dies and comes back finds its data. It is
// what fills the volume too, and gives the room back when this process is gone.
type keeper struct {
	mu     sync.Mutex
	made   bool    // the volume
	helper *helper // nil: none was needed yet
}

// keep makes the bounded volume of the place and its keeper, if it has one and
// they are not there. Only then may the container of the place be made: what
// its image has for the volume is copied into it once.
func (p *place) keep(ctx context.Context) error {
	if p.spec.bound == 0 {
		return nil
	}
	p.keeper.mu.Lock()
	defer p.keeper.mu.Unlock()
	return p.keepLocked(ctx)
}

func (p *place) keepLocked(ctx context.Context) error {
	k, f := &p.keeper, p.fleet
	if !k.made {
		_, err := f.engine.api.VolumeCreate(ctx, client.VolumeCreateOptions{
			Name: f.resource(p.name), Driver: "local", Labels: f.labels(),
			DriverOpts: map[string]string{"type": "tmpfs", "device": "tmpfs", "o": fmt.Sprintf("size=%d", p.spec.bound)},
		})
		if err != nil {
			return fmt.Errorf("make a volume of %d bytes: %w", p.spec.bound, err)
		}
		k.made = true
	}
	if k.helper != nil {
		select {
		case <-k.helper.ended:
			k.helper.close()
			k.helper = nil
		default:
			return nil
		}
	}
	// Its root belongs to whoever the image says.
	h, err := f.help(ctx, might{user: "0", caps: []string{"DAC_OVERRIDE"}, mounts: []mount.Mount{p.volume(inside.Volume)}})
	if err != nil {
		return err
	}
	k.helper = h
	return nil
}

// forgo lets go of the keeper of a volume that is gone.
func (p *place) forgo() {
	p.keeper.mu.Lock()
	defer p.keeper.mu.Unlock()
	if p.keeper.helper != nil {
		p.keeper.helper.close()
		p.keeper.helper = nil
	}
}

// volume is the volume of the place, mounted somewhere.
func (p *place) volume(at string) mount.Mount {
	return mount.Mount{Type: mount.TypeVolume, Source: p.fleet.resource(p.name), Target: at,
		VolumeOptions: &mount.VolumeOptions{Labels: p.fleet.labels()}}
}

// askKeeper gives an order to the keeper of a replica's volume.
func (f *fleet) askKeeper(ctx context.Context, replica string, o inside.Order) (inside.Answer, error) {
	p := f.places[replica]
	if p == nil || p.spec.bound == 0 {
		return inside.Answer{}, fmt.Errorf("%s has no volume of a size", replica)
	}
	p.keeper.mu.Lock()
	defer p.keeper.mu.Unlock()
	if err := p.keepLocked(ctx); err != nil {
		return inside.Answer{}, err
	}
	return p.keeper.helper.ask(o)
}

// FillVolume takes the room of a replica's volume.
func (f *fleet) FillVolume(ctx context.Context, replica string, spare int64) (detail string, err error) {
	a, err := f.askKeeper(ctx, replica, inside.Order{Fill: &inside.Fill{Spare: spare}})
	return a.Detail, err
}

// ClearVolume gives it back.
func (f *fleet) ClearVolume(ctx context.Context, replica string) (detail string, err error) {
	a, err := f.askKeeper(ctx, replica, inside.Order{Clear: true})
	return a.Detail, err
}
