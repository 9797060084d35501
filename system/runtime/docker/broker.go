package docker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ordbench/ordbench/system"
)

// Broker is one Kafka broker by itself, for who wants to hold something to the
// real one. It is a stack of one place, and goes as any other does.
type Broker struct {
	Addr  string // host:port for who is on this machine
	fleet *fleet
}

// brokerPause is how long from one look at a broker that starts to the next.
const brokerPause = 50 * time.Millisecond

// StartBroker starts a broker and returns when it takes requests; its log goes
// into dir. The image is the one that a stack would take, but it is not pulled:
// the error is an *UnavailableError without a daemon and an *ImageError
// without the image.
func (r Runtime) StartBroker(ctx context.Context, dir string) (*Broker, error) {
	e, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	r.Log = slog.New(slog.DiscardHandler)
	cfg := system.DefaultConfig()
	cfg.Dir, cfg.LogDir = dir, dir
	b := &Broker{fleet: newFleet(r, cfg, e)}
	if err := b.start(ctx); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

func (b *Broker) start(ctx context.Context) error {
	f := b.fleet
	if _, _, err := Sweep(ctx); err != nil {
		return err
	}
	var err error
	kafka := Products()[0]
	if f.images.kafka, err = f.engine.find(ctx, kafka, kafka.choice(f.rt.Images, f.cfg.Images), "", nil); err != nil {
		return err
	}
	if err := f.found(ctx, system.Broker); err != nil {
		return err
	}
	place := f.replicas[0]
	f.places[place.Name].spec = f.kafka(f.places[place.Name])
	process, err := f.Start(ctx, place.Name)
	if err != nil {
		return err
	}
	b.Addr = place.Addr
	for {
		err := place.Ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(brokerPause):
		case <-process.Done():
			return fmt.Errorf("the broker ended: %s\n%s", process.Exit(), f.Tail(place.Name, 20))
		case <-ctx.Done():
			return fmt.Errorf("the broker is not ready: %w", err)
		}
	}
}

// Close removes the broker and its data.
func (b *Broker) Close() error { return b.fleet.Close() }
