package store

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ordbench/ordbench/system/store/storetest"
)

// The test binary is also the writer process of the tests below.
const (
	envPath = "ORDBENCH_STORE_TEST_DB"
	envName = "ORDBENCH_STORE_TEST_WRITER"
	envHold = "ORDBENCH_STORE_TEST_HOLD_AT" // stop for ever inside of this write

	envClaim = "ORDBENCH_STORE_TEST_CLAIM" // claim this word and hold it for ever
	envLanes = "ORDBENCH_STORE_TEST_LANES" // hold every lane for ever
)

func TestMain(m *testing.M) {
	if os.Getenv(envClaim) != "" || os.Getenv(envLanes) != "" {
		if err := holdForEver(os.Getenv(envPath), os.Getenv(envClaim)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if path := os.Getenv(envPath); path != "" {
		if err := writeForEver(path, os.Getenv(envName), os.Getenv(envHold)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(storetest.Main(m))
}

// writeForEver writes rows "name 0", "name 1", ... four at a time and prints
// each as soon as it is acknowledged, until stdin ends.
func writeForEver(path, name, hold string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		bufio.NewReader(os.Stdin).ReadByte()
		// A test that crashed leaves nobody to kill a process that holds
		// the lock, or waits for it.
		time.AfterFunc(10*time.Second, func() { os.Exit(1) })
		cancel()
	}()
	db, err := Open(ctx, Config{Path: path})
	if err != nil {
		return err
	}
	if err := db.Migrate(ctx, rowsTable); err != nil {
		return err
	}
	var (
		all sync.WaitGroup
		out sync.Mutex // lines come out whole
	)
	for g := range 4 {
		all.Go(func() {
			for i := g; ctx.Err() == nil; i += 4 {
				id := fmt.Sprint(name, " ", i)
				err := db.Write(ctx, func(tx *Tx) error {
					if err := insert(id)(tx); err != nil {
						return err
					}
					if fmt.Sprint(i) == hold {
						fmt.Println("holding")
						select {}
					}
					return tx.Enqueue(Message{EventID: id, Topic: "t"})
				})
				if ctx.Err() == nil && err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				if err == nil {
					out.Lock()
					fmt.Println("ack", id)
					out.Unlock()
				}
			}
		})
	}
	all.Wait()
	return db.Close()
}

// holdForEver claims a word, or holds every lane for "", says so, and keeps
// that until it is killed.
func holdForEver(path, word string) error {
	db, err := Open(context.Background(), Config{Path: path})
	if err != nil {
		return err
	}
	if word == "" {
		held, _, err := db.BalanceLanes(context.Background())
		if err != nil || len(held) != Lanes {
			return fmt.Errorf("holds %v, %w", held, err)
		}
	} else if _, mine, err := db.Claim(word); err != nil || !mine {
		return fmt.Errorf("claim %q: mine %t, %w", word, mine, err)
	}
	fmt.Println("held")
	time.Sleep(time.Minute) // a test that crashed leaves nobody to kill it
	return nil
}

// process is one writer, with what it acknowledged.
type process struct {
	cmd   *exec.Cmd
	stdin interface{ Close() error }
	lines *bufio.Scanner
	acked []string
}

func start(t testing.TB, path, name, hold string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envPath+"="+path, envName+"="+name, envHold+"="+hold)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return &process{cmd: cmd, stdin: stdin, lines: bufio.NewScanner(stdout)}
}

// await reads n acknowledgements, or up to the end of the output when n < 0.
// It returns early when the process says that it holds the lock.
func (p *process) await(n int) {
	for n != 0 && p.lines.Scan() {
		if p.lines.Text() == "holding" {
			return
		}
		if id, ok := strings.CutPrefix(p.lines.Text(), "ack "); ok {
			p.acked = append(p.acked, id)
			n--
		}
	}
}

func TestProcessKilledInsideOfTheLockHoldsUpNobodyAndLosesNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, kind string) {
		path := storetest.Path(t, kind)
		victim := start(t, path, "victim", "40")
		victim.await(-1) // it is inside of a transaction now, for ever
		others := make([]*process, 3)
		for i := range others {
			others[i] = start(t, path, fmt.Sprint("other", i), "")
		}
		if kind == storetest.SQLite {
			awaitWaiter(t, path) // at least one of them stands at the door
		}
		if err := victim.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		victim.await(-1) // what was acknowledged and not read yet
		victim.cmd.Wait()
		var all sync.WaitGroup
		for _, p := range others {
			all.Go(func() {
				p.await(200) // progress after the death
				p.stdin.Close()
				p.await(-1)
				if err := p.cmd.Wait(); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()

		db := openAt(t, path)
		if kind == storetest.SQLite {
			var check string
			if err := db.QueryRow(t.Context(), `PRAGMA integrity_check`).Scan(&check); err != nil || check != "ok" {
				t.Fatalf("integrity: %s, %v", check, err)
			}
		}
		if len(victim.acked) == 0 {
			t.Fatal("the victim acknowledged nothing, so nothing was tested")
		}
		for _, p := range append(others, victim) {
			for _, id := range p.acked {
				if n := count(t, db, `SELECT count(*) FROM rows JOIN outbox ON event_id = rows.id WHERE rows.id = ?`, id); n != 1 {
					t.Errorf("acknowledged row %q is there %d times", id, n)
				}
			}
		}
		if n := count(t, db, `SELECT count(*) FROM rows WHERE id = 'victim 40'`); n != 0 {
			t.Error("the transaction of the dead process stands")
		}
		if n := count(t, db, `SELECT count(*) FROM rows WHERE id NOT IN (SELECT event_id FROM outbox)`); n != 0 {
			t.Errorf("%d rows without the event that was written with them", n)
		}
	})
}

func TestProcessesKilledAnywhereLoseNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, kind string) {
		path := storetest.Path(t, kind)
		witness := start(t, path, "witness", "")
		var acked []string
		for round := range 5 {
			var all sync.WaitGroup
			ps := make([]*process, 3)
			for i := range ps {
				ps[i] = start(t, path, fmt.Sprint("round", round, "-", i), "")
				all.Go(func() {
					ps[i].await(10 + 17*i) // in the middle of whatever comes next
					ps[i].cmd.Process.Kill()
					ps[i].await(-1)
					ps[i].cmd.Wait()
				})
			}
			all.Wait()
			for _, p := range ps {
				acked = append(acked, p.acked...)
			}
			witness.await(20)
		}
		witness.stdin.Close()
		witness.await(-1)
		if err := witness.cmd.Wait(); err != nil {
			t.Error(err)
		}
		db := openAt(t, path)
		for _, id := range append(acked, witness.acked...) {
			if n := count(t, db, `SELECT count(*) FROM rows JOIN outbox ON event_id = rows.id WHERE rows.id = ?`, id); n != 1 {
				t.Errorf("acknowledged row %q is there %d times", id, n)
			}
		}
	})
}

// BenchmarkProcesses reports what several processes get through one file, and
// how evenly: the least over the greatest number of rows that one of them got.
func BenchmarkProcesses(b *testing.B) {
	for _, n := range []int{1, 4, 20} {
		b.Run(fmt.Sprintf("processes=%d", n), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "shared.db")
			ps := make([]*process, n)
			for i := range ps {
				ps[i] = start(b, path, fmt.Sprint(i), "")
				ps[i].await(1)
			}
			rows := make([]int, n)
			acks := make(chan int)
			enough := make(chan struct{})
			var all sync.WaitGroup
			for i, p := range ps {
				all.Go(func() {
					for p.lines.Scan() {
						select {
						case acks <- i:
						case <-enough:
						}
					}
				})
			}
			b.ResetTimer()
			for range b.N {
				rows[<-acks]++
			}
			b.StopTimer()
			close(enough)
			for _, p := range ps {
				p.stdin.Close()
			}
			all.Wait()
			for _, p := range ps {
				p.cmd.Wait()
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64(slices.Min(rows))/float64(slices.Max(rows)), "least/most")
		})
	}
}
