package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/bus"
)

// stationName is the container that stands in the links of a stack, and its
// name on the network.
const stationName = "links"

// Where a station listens: for orders, and for its first route.
const (
	stationControl = "9091"
	stationFrom    = 20000
)

const stationConfig = "/etc/ordbench-links.json"

// detour is where a component finds those that listen on addrs, as they see
// each other: there, or where the station leads to them from.
func (f *fleet) detour(from, to system.Component, addrs []string) []string {
	link := string(from) + "->" + string(to)
	if !slices.Contains(f.cfg.Links, link) {
		return addrs
	}
	if f.detours == nil {
		f.detours = &system.Detours{Control: ":" + stationControl}
	}
	ways := make([]string, len(addrs))
	for i, addr := range addrs {
		n := slices.IndexFunc(f.detours.Routes, func(d system.Detour) bool { return d.Link == link && d.Upstream == addr })
		if n < 0 {
			n = len(f.detours.Routes)
			f.detours.Routes = append(f.detours.Routes, system.Detour{Link: link, Listen: fmt.Sprintf("0.0.0.0:%d", stationFrom+n), Upstream: addr})
		}
		ways[i] = net.JoinHostPort(stationName, strconv.Itoa(stationFrom+n))
	}
	return ways
}

// detourToBrokers is detour for brokers, which say themselves where they are.
func (f *fleet) detourToBrokers(from system.Component) []string {
	addrs := f.inside(system.Broker, kafkaPort)
	ways := f.detour(from, system.Broker, addrs)
	brokers := slices.Clone(addrs)
	for i, addr := range addrs {
		if ways[i] != addr {
			brokers[i] = bus.Detour(addr, ways[i])
		}
	}
	return brokers
}

// Detours returns what stands in the links.
func (f *fleet) Detours() *system.Detours { return f.detours }

// stationLimit is how long a station may take until it answers.
const stationLimit = 20 * time.Second

// startStation starts the container in the links, if there are any to stand
// in, and returns when it answers.
func (f *fleet) startStation(ctx context.Context) error {
	if f.detours == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stationLimit)
	defer cancel()
	f.detours.Token = newSecret()
	p := &place{fleet: f, name: stationName}
	var err error
	if f.detours.Addr, err = p.publish(stationControl, 0); err != nil {
		return err
	}
	text, err := json.Marshal(f.detours)
	if err != nil {
		return err
	}
	p.spec = spec{
		image: f.images.system, stop: "TERM", user: strconv.Itoa(nobody),
		cmd:   []string{"proxy", "--config", stationConfig},
		files: []file{{path: stationConfig, mode: 0o400, uid: nobody, text: text}},
	}
	f.places[p.name] = p
	r, err := p.start(ctx)
	if err != nil {
		return fmt.Errorf("start the proxy of the links: %w", err)
	}
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for !f.stationAnswers(ctx) {
		select {
		case <-look.C:
		case <-r.Done():
			return fmt.Errorf("the proxy of the links has ended: %s\n%s", r.Exit(), f.Tail(p.name, 10))
		case <-ctx.Done():
			return fmt.Errorf("the proxy of the links does not answer: %w", ctx.Err())
		}
	}
	return nil
}

// stationAnswers tells whether it takes orders. Its port is open before it
// listens.
func (f *fleet) stationAnswers(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+f.detours.Addr+"/lease", nil)
	if err != nil {
		return false
	}
	req.Header.Set("Authorization", "Bearer "+f.detours.Token)
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusNoContent
}
