package scenarios

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Load reads a scenario from a file, or from the library where path is the
// name of one there and no such file exists. Each override is "path=value",
// such as "traffic.phases.spike.rate=500/s", and is applied in order. The
// error is a Problems if the scenario is at fault, and a *FileError if it
// can't be read.
func Load(path string, overrides ...string) (*Scenario, error) {
	document, source, err := open(path)
	if err != nil {
		return nil, err
	}
	s, err := Parse(source, document, overrides...)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// FileError is a scenario that can't be read.
type FileError struct {
	Path string
	Err  error
	Hint string
}

func (e *FileError) Error() string {
	message := fmt.Sprintf("read scenario %s: %v", e.Path, e.Err)
	if e.Hint != "" {
		message += "; " + e.Hint
	}
	return message
}

// Unwrap is the cause.
func (e *FileError) Unwrap() error { return e.Err }

func open(path string) (document []byte, source string, err error) {
	info, err := os.Stat(path)
	if err != nil || info.IsDir() {
		if document, ok := fromLibrary(path); ok {
			return document, "library:" + path, nil
		}
	}
	if err == nil && !info.IsDir() {
		if !info.Mode().IsRegular() && info.Mode()&(fs.ModeNamedPipe|fs.ModeCharDevice) == 0 {
			return nil, "", &FileError{Path: path, Err: errors.New("not a file")}
		}
		document, err = readAtMost(path, largestBytes+1)
	}
	switch cause := errors.Unwrap(err); {
	case err == nil && info.IsDir():
		return nil, "", &FileError{Path: path, Err: errors.New("is a directory"), Hint: libraryHint(path)}
	case err == nil:
		return document, path, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, "", &FileError{Path: path, Err: fs.ErrNotExist, Hint: libraryHint(path)}
	case cause != nil:
		return nil, "", &FileError{Path: path, Err: cause}
	default:
		return nil, "", &FileError{Path: path, Err: err}
	}
}

// libraryHint names what the library has for a path that led nowhere.
func libraryHint(path string) string {
	name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	known := libraryNames()
	for _, k := range known {
		if k == name {
			return fmt.Sprintf("the library has %q", name)
		}
	}
	return suggest(name, known)
}

// Parse reads a scenario from a document; source names it in problems. The
// error is a Problems.
func Parse(source string, document []byte, overrides ...string) (*Scenario, error) {
	root, problems := parse(source, string(document))
	problems = append(problems, override(root, overrides)...)
	r := newReader()
	r.problems = problems
	if dir, err := filepath.Abs(filepath.Dir(source)); err == nil {
		r.dir = dir
	}
	s := defaults()
	if root.shape != refused {
		r.mark(&s.System, root.place)
		if at := root.find("system"); at != nil {
			r.mark(&s.System, at.place)
		}
		schema(s).read(r, root)
		r.broken[&s.Chaos] = r.broken[&s.Chaos] || r.meant(root, "chaos")
		for _, late := range r.after {
			late()
		}
		r.judge(s)
	}
	if len(r.problems) > 0 {
		r.problems.sort()
		return nil, r.problems
	}
	s.System.Payment.Seed = s.Seed // one seed for all that is drawn
	s.Source = source
	s.resolve()
	return s, nil
}

// resolve writes down what the scenario has become.
func (s *Scenario) resolve() {
	s.Resolved = resolve(s)
	sum := sha256.Sum256([]byte(s.Resolved))
	s.SHA256 = hex.EncodeToString(sum[:])
}
