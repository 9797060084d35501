package scenarios

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"regexp"

	"github.com/ordbench/ordbench/loadgen"
)

// largestTrace bounds a file of arrivals, in bytes.
const largestTrace = 512 << 20

// traceFile is a file of arrivals: its path, or {file: PATH, sha256: SUM}, which
// is how a resolved scenario names it: it plays the same arrivals or none.
type traceFile struct{ to **Trace }

func (tf traceFile) keys(t *Trace) object {
	return object{of: "trace", flow: true, fields: []field{
		{"file", words(&t.File), true},
		{"sha256", checksum(&t.SHA256), false},
	}}
}

func (tf traceFile) read(r *reader, n *node) {
	t := &Trace{}
	*tf.to = t
	r.mark(tf.to, n.place)
	if n.shape == mapping {
		tf.keys(t).read(r, n)
	} else {
		words(&t.File).read(r, n)
	}
	if r.broken[&t.File] || r.broken[&t.SHA256] {
		return
	}
	if !filepath.IsAbs(t.File) {
		t.File = filepath.Join(r.dir, t.File)
	}
	where := r.at(&t.File, tf.to)
	text, err := readTrace(t.File)
	if err != nil {
		r.complain(where, "a path from the directory of the scenario, or an absolute one", "trace %s: %v", t.File, cause(err))
		return
	}
	sum := sha256.Sum256(text)
	if now := hex.EncodeToString(sum[:]); t.SHA256 != "" && t.SHA256 != now {
		r.complain(r.at(&t.SHA256, tf.to), "leave sha256 out to play the file as it is", "trace %s: the file has changed: its sha256 is %s", t.File, now)
		return
	}
	t.SHA256 = hex.EncodeToString(sum[:])
	if t.Arrivals, err = loadgen.ReadTrace(bytes.NewReader(text)); err != nil {
		r.complain(where, "one time a line, in order: 1.25 or 1250ms", "trace %s: %v", t.File, err)
	}
}

func (tf traceFile) write() *node {
	if *tf.to == nil {
		return nil
	}
	return tf.keys(*tf.to).write()
}

// readTrace reads a file whole.
func readTrace(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("not a file")
	case info.Size() > largestTrace:
		return nil, errors.New("longer than 512 MiB")
	}
	return os.ReadFile(path)
}

var sum256 = regexp.MustCompile(`^[0-9a-f]{64}$`)

func checksum(to *string) value {
	return value{to, "a sha256", func(s string) *wrong {
		if !sum256.MatchString(s) {
			return wrongf("64 digits, as sha256sum prints them", "%q is no sha256", s)
		}
		*to = s
		return nil
	}, func() string { return *to }}
}

// cause is an error without the path that the message has already.
func cause(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}
