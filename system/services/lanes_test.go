package services_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/store"
	"github.com/ordbench/ordbench/system/store/storetest"
)

// relayEnv makes this test binary a relay: the database, and the brokers
// after a space.
const relayEnv = "ORDBENCH_TEST_RELAY"

// relayForEver relays an outbox until it is killed, and says when it has its
// share of the lanes.
func relayForEver(where string) error {
	path, brokers, _ := strings.Cut(where, " ")
	ctx := context.Background()
	db, err := store.Open(ctx, store.Config{Path: path})
	if err != nil {
		return err
	}
	pub := bus.NewPublisher(strings.Split(brokers, ","))
	log := slog.New(slog.NewTextHandler(os.Stdout, nil))
	time.AfterFunc(time.Minute, func() { os.Exit(1) }) // a test that crashed leaves nobody to kill it
	return bus.RunRelay(ctx, db, bus.RelayConfig{Publisher: pub, Log: log})
}

// Relays come, go in good order and are killed while rows are added. Every row
// arrives, and what comes first of each keeps the order of its key.
func TestRelaysKeepTheOrderOfEachKeyWhoeverHasItsLane(t *testing.T) {
	storetest.Each(t, func(t *testing.T, kind string) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		const topic, keys, rounds, perRound = "lanes", 40, 5, 8
		c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(8, topic))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		path := storetest.Path(t, kind)
		open := func() *store.DB {
			db, err := store.Open(ctx, store.Config{Path: path})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { db.Close() })
			return db
		}
		db := open()
		if err := db.Migrate(ctx); err != nil {
			t.Fatal(err)
		}
		n := 0
		add := func() {
			for range perRound {
				err := db.Write(ctx, func(tx *store.Tx) error {
					for k := range keys {
						key := fmt.Sprint("key-", k)
						if err := tx.Enqueue(store.Message{EventID: fmt.Sprint(key, "/", n), Topic: topic, Key: key, Payload: fmt.Appendf(nil, "%d", n)}); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				n++
			}
		}
		relay := func() (stop func()) {
			own, end := context.WithCancel(ctx)
			pub, mine := bus.NewPublisher(c.ListenAddrs()), open()
			var ended sync.WaitGroup
			ended.Go(func() {
				if err := bus.RunRelay(own, mine, bus.RelayConfig{Publisher: pub}); err != nil {
					t.Error(err)
				}
			})
			stop = sync.OnceFunc(func() { end(); ended.Wait(); pub.Close() })
			t.Cleanup(stop)
			return stop
		}
		process := func() (kill func()) {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), relayEnv+"="+path+" "+strings.Join(c.ListenAddrs(), ","))
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			kill = sync.OnceFunc(func() { cmd.Process.Kill(); cmd.Wait() })
			t.Cleanup(kill)
			for lines := bufio.NewScanner(out); lines.Scan(); {
				if strings.Contains(lines.Text(), "relaying the outbox") && !strings.Contains(lines.Text(), "lanes=0") {
					break
				}
			}
			return kill
		}
		add()
		first := relay()
		kill := process() // scaled out
		add()
		second := relay()
		add()
		kill()
		add()
		first() // in good order
		add()
		if n != rounds*perRound {
			t.Fatal(n)
		}
		for {
			pending, err := db.Pending(ctx, 1)
			if err != nil {
				t.Fatal(err)
			}
			if len(pending) == 0 {
				break
			}
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				t.Fatal("rows are left in the outbox")
			}
		}
		second()
		next := map[string]int{}
		err = bus.ReadTopic(ctx, c.ListenAddrs(), topic, func(m bus.Message) error {
			var at int
			fmt.Sscan(string(m.Value), &at)
			if at > next[m.Key] {
				t.Errorf("%s: %d came first after %d", m.Key, at, next[m.Key]-1)
			}
			next[m.Key] = max(next[m.Key], at+1)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for k := range keys {
			if got := next[fmt.Sprint("key-", k)]; got != n {
				t.Errorf("key-%d: %d of %d rows are in the topic", k, got, n)
			}
		}
	})
}
