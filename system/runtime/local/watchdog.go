package local

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// guard makes sure that a directory outside of this stack is removed when this
// process is gone, however it goes: a process of its own holds the lease, as
// the children do, and removes the directory when the lease ends. It is
// started at the first call.
func (f *fleet) guard(dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.watchdog != nil {
		return nil
	}
	config := filepath.Join(f.cfg.Dir, "watchdog.json")
	text, err := json.Marshal(map[string]any{"replica": "watchdog", "remove": []string{dir}})
	if err != nil {
		return err
	}
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return err
	}
	log, err := os.OpenFile(f.logPath("watchdog"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close() // the watchdog has its own
	cmd := &exec.Cmd{
		Path:       f.binary(),
		Args:       append(append([]string{}, f.command...), "watchdog", "--config", config, "--lease-fd", "3"),
		Stdout:     log,
		Stderr:     log,
		ExtraFiles: []*os.File{f.lease},
		// Not bound to this process: it has to outlive it by a moment.
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	f.watchdog, f.guarded = cmd, dir
	return nil
}

// unguard removes what the watchdog would, and waits for it to end with the
// lease.
func (f *fleet) unguard() {
	if f.watchdog == nil {
		return
	}
	removeGroup(f.guarded)
	_ = f.watchdog.Wait() // what it could not remove, the next start will
}
