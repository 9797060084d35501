package storetest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Server is a PostgreSQL server.
type Server struct {
	url  string
	home string // "": it is somebody else's
	bin  string
	port string
	run  *exec.Cmd
	life io.Closer // the server ends when this does
	log  *bytes.Buffer
}

// startLimit is how long a server may take to be there.
const startLimit = time.Minute

// guard runs a server until its input ends, which it does when the tests die,
// however they do.
const guard = `"$@" & server=$!; read -r _ || true; kill -INT "$server" 2>/dev/null; wait "$server"`

// Private is a server of this test's own, that may be killed. It is skipped
// where PostgreSQL is not installed.
func Private(t testing.TB) *Server {
	t.Helper()
	s, err := start()
	if err != nil {
		Skip(t, "PostgreSQL: "+err.Error())
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// start makes a server in a directory of its own, with durable commits.
func start() (*Server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	home, err := os.MkdirTemp("", "ordbench-postgres-")
	if err != nil {
		return nil, err
	}
	s := &Server{home: home, bin: bin, log: new(bytes.Buffer)}
	if err := s.make(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(home))
	}
	return s, nil
}

// programs is where PostgreSQL is installed, the newest of them.
func programs() (string, error) {
	if found, err := exec.LookPath("initdb"); err == nil {
		if found, err = filepath.EvalSymlinks(found); err == nil {
			return filepath.Dir(found), nil
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is good
	if len(found) == 0 {
		return "", errors.New("not installed, and ORDBENCH_TEST_POSTGRES names no server")
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(newest), nil
}

func version(initdb string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(initdb)))) // 0 for what has no number
	return n
}

func (s *Server) make() error {
	if os.Geteuid() == 0 {
		// PostgreSQL refuses to run as root.
		if err := os.Chown(s.home, nobody, nobody); err != nil {
			return err
		}
	}
	made := s.command(filepath.Join(s.bin, "initdb"), "-D", s.data(), "-U", "ordbench", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	if out, err := made.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	_, s.port, _ = net.SplitHostPort(l.Addr().String())
	if err := l.Close(); err != nil {
		return err
	}
	s.url = "postgres://ordbench@127.0.0.1:" + s.port + "/postgres?sslmode=disable"
	return s.Start()
}

func (s *Server) data() string { return filepath.Join(s.home, "data") }

// nobody is the user that a server runs as if the tests are root.
const nobody = 65534

// command is a program that runs as a user who may run PostgreSQL.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = s.home
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	return cmd
}

// Start starts the server and waits until it takes connections.
func (s *Server) Start() error {
	args := []string{"-c", guard, "guard", filepath.Join(s.bin, "postgres"), "-D", s.data(), "-k", "", "-h", "127.0.0.1", "-p", s.port}
	for _, setting := range []string{
		"fsync=on", "synchronous_commit=on", "max_connections=300", "max_prepared_transactions=200",
		"shared_buffers=64MB", "log_min_messages=fatal",
	} {
		args = append(args, "-c", setting)
	}
	s.run = s.command("/bin/sh", args...)
	s.run.Stderr = s.log
	life, err := s.run.StdinPipe()
	if err != nil {
		return err
	}
	if err := s.run.Start(); err != nil {
		return err
	}
	s.life = life
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	db, err := sql.Open("pgx", s.url)
	if err != nil {
		return err
	}
	defer db.Close()
	for {
		if err = db.PingContext(ctx); err == nil {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("start: %w: %s", err, s.log), s.Stop())
		}
	}
}

// Stop ends the server in good order, though it waits for no client.
func (s *Server) Stop() error {
	err := s.life.Close()
	_ = s.run.Wait() // the shell passes on how the server ended
	return err
}

// Kill ends the server and all its processes at once, in the middle of what
// they do; the next start recovers what was committed.
func (s *Server) Kill() error {
	text, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.SplitN(string(text), "\n", 2)[0])
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGQUIT); err != nil {
		return err
	}
	return s.Stop()
}

// URL is a database of the server, of a user who may do everything.
func (s *Server) URL() string { return s.url }

// close ends the server and leaves nothing behind.
func (s *Server) close() error {
	if s.home == "" {
		return nil
	}
	return errors.Join(s.Stop(), os.RemoveAll(s.home))
}
