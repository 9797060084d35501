package system

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/ordbench/ordbench/system/bus"
)

// What a runtime may be able to do to its processes and databases beyond what
// each of them must. A Stack whose runtime can't says so.

// Limited is a Process whose resources can be limited while it runs.
type Limited interface {
	// Limit lowers a limit of the process: "files" to how many it has open
	// and spare more, "file-bytes" to spare. fresh says that it did not have
	// it before; detail is what the process table says now.
	Limit(limit string, spare int64) (detail string, fresh bool, err error)
	// Unlimit gives the limit back as it was.
	Unlimit(limit string) (detail string, err error)
}

// Rationed is a Process that can be held to a share of the processors.
type Rationed interface {
	// LimitCPU holds the process to so many cores and says in how many
	// periods it was throttled; fresh says that it was not held before.
	LimitCPU(cores float64) (throttled int64, fresh bool, err error)
	FreeCPU() error
}

// Lockable is a Fleet whose databases can be locked against their services.
type Lockable interface {
	// HoldLock takes the write lock of a database, sees that nobody else
	// gets it, and keeps it until release.
	HoldLock(ctx context.Context, c Component) (detail string, release func() error, err error)
}

// Filled is a Fleet whose volumes can be filled, where they are bounded.
type Filled interface {
	// FillVolume takes the room of a replica's volume, whether a process uses
	// it or not, until spare bytes are left, and says what was seen.
	FillVolume(ctx context.Context, replica string, spare int64) (detail string, err error)
	// ClearVolume gives the room back, and says how much there is.
	ClearVolume(ctx context.Context, replica string) (detail string, err error)
}

// MemoryLimited is a Fleet whose replicas can be held to some memory.
type MemoryLimited interface {
	// LimitMemory holds a replica to so many bytes; one that uses more already
	// is ended. detail is the limit as the kernel has it and what is used of
	// it; met says that it was met, or that somebody died of it, and fresh
	// that the process was not seen under it before.
	LimitMemory(ctx context.Context, replica string, bytes int64) (detail string, met, fresh bool, err error)
	FreeMemory(ctx context.Context, replica string) (detail string, err error)
}

func (s *Stack) cannot(what string) error {
	return fmt.Errorf("the %s runtime can't %s: %w", s.rt.Name(), what, errors.ErrUnsupported)
}

// Limit lowers a limit of whichever process is in a replica's place.
func (s *Stack) Limit(_ context.Context, replica, limit string, spare int64) (detail string, fresh bool, err error) {
	_, p, err := s.find(replica)
	if err != nil {
		return "", false, fmt.Errorf("limit %s: %w", limit, err)
	}
	l, ok := p.(Limited)
	if !ok {
		return "", false, s.cannot("set limits of processes")
	}
	if detail, fresh, err = l.Limit(limit, spare); err != nil {
		return "", false, fmt.Errorf("limit %s of %s: %w", limit, replica, err)
	}
	return detail, fresh, nil
}

// Unlimit gives a process its limit back. With a process its limits end.
func (s *Stack) Unlimit(_ context.Context, replica, limit string) (detail string, err error) {
	_, p, runs := s.running(replica)
	if !runs {
		return "its process is gone, and its limit with it", nil
	}
	l, ok := p.(Limited)
	if !ok {
		return "", s.cannot("set limits of processes")
	}
	if detail, err = l.Unlimit(limit); err != nil {
		return "", fmt.Errorf("unlimit %s of %s: %w", limit, replica, err)
	}
	return detail, nil
}

// LimitCPU holds a replica to so many cores, whichever process is in its
// place, and says in how many periods it was throttled.
func (s *Stack) LimitCPU(_ context.Context, replica string, cores float64) (throttled int64, fresh bool, err error) {
	_, p, err := s.find(replica)
	if err != nil {
		return 0, false, fmt.Errorf("limit cpu: %w", err)
	}
	r, ok := p.(Rationed)
	if !ok {
		return 0, false, s.cannot("ration processors")
	}
	if throttled, fresh, err = r.LimitCPU(cores); err != nil {
		return 0, false, fmt.Errorf("limit cpu of %s: %w", replica, err)
	}
	return throttled, fresh, nil
}

// FreeCPU takes the limit away.
func (s *Stack) FreeCPU(_ context.Context, replica string) error {
	_, p, runs := s.running(replica)
	if !runs {
		return nil
	}
	r, ok := p.(Rationed)
	if !ok {
		return s.cannot("ration processors")
	}
	if err := r.FreeCPU(); err != nil {
		return fmt.Errorf("free cpu of %s: %w", replica, err)
	}
	return nil
}

// HoldLock takes the write lock of a service's database until release.
func (s *Stack) HoldLock(ctx context.Context, component string) (detail string, release func() error, err error) {
	f, ok := s.fleet.(Lockable)
	if !ok {
		return "", nil, s.cannot("lock databases")
	}
	if detail, release, err = f.HoldLock(ctx, Component(component)); err != nil {
		return "", nil, fmt.Errorf("hold the lock of %s: %w", component, err)
	}
	return detail, release, nil
}

// VolumeBytes is how many bytes the volume of a component's replicas holds; 0:
// it has no bound.
func (s *Stack) VolumeBytes(component string) int64 {
	return s.cfg.VolumeSize(Component(component))
}

// FillVolume takes the room of a replica's volume until spare bytes are left.
func (s *Stack) FillVolume(ctx context.Context, replica string, spare int64) (detail string, err error) {
	f, ok := s.fleet.(Filled)
	if !ok {
		return "", s.cannot("fill volumes")
	}
	if detail, err = f.FillVolume(ctx, replica, spare); err != nil {
		return "", fmt.Errorf("fill the volume of %s: %w", replica, err)
	}
	return detail, nil
}

// ClearVolume gives the room back.
func (s *Stack) ClearVolume(ctx context.Context, replica string) (detail string, err error) {
	f, ok := s.fleet.(Filled)
	if !ok {
		return "", s.cannot("fill volumes")
	}
	if detail, err = f.ClearVolume(ctx, replica); err != nil {
		return "", fmt.Errorf("clear the volume of %s: %w", replica, err)
	}
	return detail, nil
}

// LimitMemory holds a replica to so many bytes, whichever process is in its
// place.
func (s *Stack) LimitMemory(ctx context.Context, replica string, bytes int64) (detail string, met, fresh bool, err error) {
	f, ok := s.fleet.(MemoryLimited)
	if !ok {
		return "", false, false, s.cannot("limit memory")
	}
	if detail, met, fresh, err = f.LimitMemory(ctx, replica, bytes); err != nil {
		return "", false, false, fmt.Errorf("limit the memory of %s: %w", replica, err)
	}
	return detail, met, fresh, nil
}

// FreeMemory takes the limit away.
func (s *Stack) FreeMemory(ctx context.Context, replica string) (detail string, err error) {
	f, ok := s.fleet.(MemoryLimited)
	if !ok {
		return "", s.cannot("limit memory")
	}
	if detail, err = f.FreeMemory(ctx, replica); err != nil {
		return "", fmt.Errorf("free the memory of %s: %w", replica, err)
	}
	return detail, nil
}

// FlushCache removes every key of the cache and says how many there were.
func (s *Stack) FlushCache(ctx context.Context) (keys int64, err error) {
	addr := s.of(Cache)[0].Addr
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return 0, fmt.Errorf("flush the cache: %w", err)
	}
	defer c.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(deadline) // a connection that is closed fails below
	}
	answers := bufio.NewReader(c)
	ask := func(command string) (string, error) {
		if _, err := fmt.Fprintf(c, "*1\r\n$%d\r\n%s\r\n", len(command), command); err != nil {
			return "", err
		}
		line, err := answers.ReadString('\n')
		line = strings.TrimSpace(line)
		if err == nil && strings.HasPrefix(line, "-") {
			err = errors.New(line[1:])
		}
		return line, err
	}
	count, err := ask("DBSIZE")
	if err == nil {
		_, err = ask("FLUSHALL")
	}
	if err != nil {
		return 0, fmt.Errorf("flush the cache: %w", err)
	}
	return strconv.ParseInt(strings.TrimPrefix(count, ":"), 10, 64)
}

// poison is what no consumer can read.
const poison = "\x00this is no event"

// Poison publishes n messages that nobody can read to a topic.
func (s *Stack) Poison(ctx context.Context, topic string, n int) (detail string, err error) {
	pub := bus.NewPublisher(s.fleet.Brokers())
	defer func() { _ = pub.Close() }()
	msgs := make([]bus.Message, n)
	for i := range msgs {
		msgs[i] = bus.Message{Topic: topic, Key: fmt.Sprintf("poison-%d", i), Value: []byte(poison), Time: time.Now()}
	}
	if err := pub.Publish(ctx, msgs...); err != nil {
		return "", fmt.Errorf("poison: %w", err)
	}
	return fmt.Sprintf("the broker acknowledged %d messages that nobody can read, in %s", n, topic), nil
}

// Stop ends a replica in good order and holds it down for hold.
func (s *Stack) Stop(ctx context.Context, replica string, hold time.Duration) (at time.Time, detail string, err error) {
	st, p, err := s.find(replica)
	if err != nil {
		return time.Time{}, "", fmt.Errorf("stop: %w", err)
	}
	st.update(func() { st.heldUntil = time.Now().Add(hold) })
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		st.end(p)
	}()
	select {
	case <-ended:
		at = time.Now()
	case <-ctx.Done():
		return time.Time{}, "", fmt.Errorf("stop %s: pid %d still there: %w", replica, p.PID(), ctx.Err())
	}
	if err := st.await(ctx, func() bool { return st.process != p }); err != nil {
		return time.Time{}, "", fmt.Errorf("stop %s: %w", replica, err)
	}
	return at, fmt.Sprintf("pid %d has ended (%s)", p.PID(), p.Exit()), nil
}
