package chaos

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"
)

// Journal is a file that says, before a fault is injected, what is about to
// be done. What it says has begun and not ended may have to be undone by
// somebody else. It outlives the process, and is not flushed to the disk: no
// fault outlives the machine, and each would wait for a disk that the system
// keeps busy.
type Journal struct {
	mu   sync.Mutex
	file *os.File
}

// Entry is one line of a journal.
type Entry struct {
	At     time.Time `json:"at"`
	Begun  bool      `json:"begun"` // else it is over
	Name   string    `json:"name"`
	Fault  string    `json:"fault"`
	Target string    `json:"target"`
	Places []string  `json:"places"`
}

// CreateJournal begins a journal.
func CreateJournal(path string) (*Journal, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("journal of faults: %w", err)
	}
	return &Journal{file: f}, nil
}

// begin writes a fault down before it is injected.
func (j *Journal) begin(r Record) error {
	if j == nil {
		return nil
	}
	if err := j.write(r, true); err != nil {
		return fmt.Errorf("journal of faults: %w", err)
	}
	return nil
}

// end writes down that a fault is over. That it could not is no harm: the
// fault would be undone once more.
func (j *Journal) end(r Record) {
	if j != nil {
		_ = j.write(r, false)
	}
}

func (j *Journal) write(r Record, begun bool) error {
	line, err := json.Marshal(Entry{At: time.Now().UTC(), Begun: begun, Name: r.Spec.Name, Fault: r.Spec.Fault, Target: r.Spec.Target, Places: r.Replicas})
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	_, err = j.file.Write(append(line, '\n'))
	return err
}

// Close closes the file.
func (j *Journal) Close() error {
	if j == nil {
		return nil
	}
	return j.file.Close()
}
