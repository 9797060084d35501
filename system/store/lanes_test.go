package store

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/ordbench/ordbench/system/store/storetest"
)

// balance calls BalanceLanes of each in turn until nothing changes any more,
// and fails if two ever hold the same lane.
func balance(t *testing.T, dbs ...*DB) [][]int {
	t.Helper()
	held := make([][]int, len(dbs))
	for range 4 {
		for i, db := range dbs {
			lanes, publishers, err := db.BalanceLanes(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if publishers < len(dbs) && i == len(dbs)-1 {
				t.Errorf("%d publishers, there are %d", publishers, len(dbs))
			}
			held[i] = lanes
			seen := map[int]bool{}
			for _, h := range held {
				for _, lane := range h {
					if seen[lane] {
						t.Fatalf("two hold lane %d: %v", lane, held)
					}
					seen[lane] = true
				}
			}
		}
	}
	return held
}

// sizes are how many lanes each holds, the most first.
func sizes(held [][]int) []int {
	n := make([]int, len(held))
	for i := range held {
		n[i] = len(held[i])
	}
	slices.SortFunc(n, func(a, b int) int { return b - a })
	return n
}

func TestLanesAreSharedEvenly(t *testing.T) {
	storetest.Each(t, func(t *testing.T, kind string) {
		path := storetest.Path(t, kind)
		var dbs []*DB
		for n, want := range [][]int{{16}, {8, 8}, {6, 6, 4}, {4, 4, 4, 4}, {4, 4, 4, 4, 0}} {
			dbs = append(dbs, openAt(t, path)) // as another process would
			if got := sizes(balance(t, dbs...)); !slices.Equal(got, want) {
				t.Errorf("%d publishers hold %v, want %v", n+1, got, want)
			}
		}
		// One leaves, another is closed as if it had died.
		if err := dbs[0].LeaveLanes(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := dbs[1].Close(); err != nil {
			t.Fatal(err)
		}
		for { // a server sees the end of a session when it looks
			if got := sizes(balance(t, dbs[2:]...)); slices.Equal(got, []int{6, 6, 4}) {
				break
			}
		}
		for _, db := range dbs[2:4] {
			if err := db.LeaveLanes(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := sizes(balance(t, dbs[4])); !slices.Equal(got, []int{16}) {
			t.Errorf("the last holds %v", got)
		}
	})
}

// Whoever comes back takes another place among the publishers, and all are
// counted.
func TestPublishersAreCountedInAnyOrder(t *testing.T) {
	path := storetest.Path(t, storetest.SQLite)
	dbs := make([]*DB, 6)
	for i := range dbs {
		dbs[i] = openAt(t, path)
	}
	balance(t, dbs...)
	for _, leaver := range []int{0, 3, 1, 0, 5} {
		if err := dbs[leaver].LeaveLanes(t.Context()); err != nil {
			t.Fatal(err)
		}
		balance(t, dbs...)
		for i, db := range dbs {
			if _, n, err := db.BalanceLanes(t.Context()); n != len(dbs) || err != nil {
				t.Errorf("publisher %d counts %d, %v; want %d", i, n, err, len(dbs))
			}
		}
	}
}

func TestMorePublishersThanLanes(t *testing.T) {
	path := storetest.Path(t, storetest.SQLite)
	dbs := make([]*DB, Lanes+3)
	for i := range dbs {
		dbs[i] = openAt(t, path)
	}
	n := 0
	for _, h := range balance(t, dbs...) {
		if len(h) > 1 {
			t.Errorf("one holds %v while others have none", h)
		}
		n += len(h)
	}
	if n != Lanes {
		t.Errorf("%d lanes are held, want all %d", n, Lanes)
	}
}

func TestLanesOfAKilledProcessAreFree(t *testing.T) {
	storetest.Each(t, func(t *testing.T, kind string) {
		path := storetest.Path(t, kind)
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), envPath+"="+path, envLanes+"=1")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer cmd.Wait()
		defer cmd.Process.Kill()
		if _, err := out.Read(make([]byte, 1)); err != nil {
			t.Fatalf("it holds nothing: %v", err)
		}
		db := openAt(t, path)
		if held, n, err := db.BalanceLanes(t.Context()); len(held) != 0 || n != 2 || err != nil {
			t.Errorf("beside the other it holds %v of %d publishers, %v", held, n, err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_, _ = cmd.Process.Wait()
		for { // a server sees the end of a session when it looks
			held, _, err := db.BalanceLanes(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(held) == Lanes {
				return
			}
		}
	})
}

func TestPendingInHasEachRowInOneLane(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		const rows = 200
		err := db.Write(t.Context(), func(tx *Tx) error {
			for i := range rows {
				if err := tx.Enqueue(Message{EventID: fmt.Sprint(i), Topic: "t", Key: fmt.Sprint(i % 50)}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		in := map[string]int{} // key to its lane
		n, used := 0, 0
		for lane := range Lanes {
			pending, err := db.PendingIn(t.Context(), []int{lane}, rows)
			if err != nil {
				t.Fatal(err)
			}
			last := int64(0)
			for _, m := range pending {
				if other, ok := in[m.Key]; ok && other != lane {
					t.Errorf("key %s is in lanes %d and %d", m.Key, other, lane)
				}
				if m.ID <= last {
					t.Errorf("row %d after row %d", m.ID, last)
				}
				in[m.Key], last = lane, m.ID
			}
			if n += len(pending); len(pending) > 0 {
				used++
			}
		}
		if n != rows || used < Lanes/2 {
			t.Errorf("%d rows in %d lanes, want %d in most of them", n, used, rows)
		}
		if none, err := db.PendingIn(t.Context(), nil, rows); len(none) > 0 || err != nil {
			t.Errorf("in no lane: %d rows, %v", len(none), err)
		}
		two, err := db.PendingIn(t.Context(), []int{in["1"], in["2"]}, rows)
		if err != nil || len(two) < 4 {
			t.Errorf("in two lanes: %d rows, %v", len(two), err)
		}
	})
}
