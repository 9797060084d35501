package reports

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The names of what Write stores in a run directory, beside one
// latency.OP.hgrm for each operation.
const (
	ResultFile  = "result.json"
	SummaryFile = "summary.md"
	JUnitFile   = "junit.xml"
	HGRMFile    = "latency.hgrm"
	CSVFile     = "latency.csv"
	PromFile    = "latency.prom.pb"
	latest      = "latest"
)

// Write stores a result and its renderings in the directory of its run, each
// file whole or not at all, and points the link "latest" beside that
// directory at it. It adds the files to r.Artifacts. result.json comes last:
// where it is, all is.
func Write(dir string, r *Result) error {
	files := []rendering{
		{SummaryFile, func(w io.Writer) error { return Summary(w, r) }},
		{JUnitFile, func(w io.Writer) error { return JUnit(w, r) }},
	}
	ops := hgrmOps(r)
	if len(ops) > 0 {
		files = append(files, rendering{HGRMFile, func(w io.Writer) error { return WriteHGRM(w, r) }})
	}
	for _, op := range ops {
		name := "latency." + fileName(op) + ".hgrm"
		files = append(files, rendering{name, func(w io.Writer) error { return WriteHGRM(w, r, op) }})
	}
	files = append(files,
		rendering{CSVFile, func(w io.Writer) error { return WriteCSV(w, r) }},
		rendering{PromFile, func(w io.Writer) error { return WritePrometheus(w, r) }},
	)
	files = append(files, rendering{ResultFile, func(w io.Writer) error { return json.NewEncoder(w).Encode(r) }})
	for _, f := range files {
		if !slices.Contains(r.Artifacts, f.name) {
			r.Artifacts = append(r.Artifacts, f.name)
		}
	}
	r.fill()
	for _, f := range files {
		if err := writeFile(filepath.Join(dir, f.name), f.write); err != nil {
			return err
		}
	}
	return linkLatest(dir)
}

// rendering is a file of the run directory.
type rendering struct {
	name  string
	write func(io.Writer) error
}

// Read loads a result from its file, from the directory of a run, or from
// the directory of a scenario, whose latest run it then is. dir is where its
// artifacts are.
func Read(path string) (r *Result, dir string, err error) {
	file, err := find(path)
	if err != nil {
		return nil, "", err
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, "", fmt.Errorf("read result: %w", err)
	}
	defer f.Close()
	r, err = Decode(f)
	if err != nil {
		return nil, "", fmt.Errorf("read result %s: %w", file, err)
	}
	return r, filepath.Dir(file), nil
}

// Decode reads a result of this major version of the schema. Keys that it
// does not know belong to a later minor version and are passed over.
func Decode(in io.Reader) (*Result, error) {
	d := json.NewDecoder(in)
	var r Result
	if err := d.Decode(&r); err != nil {
		return nil, fmt.Errorf("not a result: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("not a result: there is more after its end")
	}
	major, _, _ := strings.Cut(SchemaVersion, ".")
	switch given, _, _ := strings.Cut(r.SchemaVersion, "."); given {
	case major:
		return &r, nil
	case "":
		return nil, errors.New("not a result: it has no schema_version")
	default:
		return nil, fmt.Errorf("its schema is %s, this ordbench reads %s", r.SchemaVersion, SchemaVersion)
	}
}

// find follows a path to a result file.
func find(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("read result: %w", err)
	}
	if !info.IsDir() {
		return path, nil
	}
	for _, candidate := range []string{filepath.Join(path, ResultFile), filepath.Join(path, latest, ResultFile)} {
		if _, err := os.Stat(candidate); !errors.Is(err, fs.ErrNotExist) {
			return candidate, err
		}
	}
	return "", fmt.Errorf("read result: %s holds neither %s nor a link %s to a run", path, ResultFile, latest)
}

// writeFile makes a file under another name and moves it into place when it
// is on the disk.
func writeFile(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, cause(err))
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = fmt.Errorf("write %s: %w", path, cause(err))
		}
	}()
	if err = write(f); err != nil {
		return err
	}
	if err = f.Chmod(0o644); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// cause is an error without the name of the file for the time being, which
// says nothing to anybody.
func cause(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}

// linkLatest points the link beside the run directory at it.
func linkLatest(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("link %s: %w", latest, err)
	}
	link := filepath.Join(filepath.Dir(dir), latest)
	temporary := fmt.Sprintf("%s.%d", filepath.Join(filepath.Dir(dir), "."+latest), os.Getpid())
	err = os.Symlink(filepath.Base(dir), temporary)
	if err == nil {
		err = os.Rename(temporary, link)
	}
	if err != nil {
		os.Remove(temporary)
		return fmt.Errorf("link %s: %w", link, cause(err))
	}
	return nil
}

// fileName makes a name safe for a file.
func fileName(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return '-'
	}, s)
}

// fill replaces lists that are nil: readers find [] rather than null.
func (r *Result) fill() {
	fill(&r.Phases)
	fill(&r.Validity.Causes)
	fill(&r.Invariants)
	fill(&r.Latency)
	fill(&r.Completion)
	fill(&r.Breakers)
	fill(&r.Consumers)
	fill(&r.Faults)
	fill(&r.Gates)
	fill(&r.Artifacts)
	fill(&r.Warnings)
	fill(&r.Series.TMS)
	if r.Series.Columns == nil {
		r.Series.Columns = map[string][]float64{}
	}
	if r.Series.Replicas == nil {
		r.Series.Replicas = map[string]Resources{}
	}
}

func fill[T any](list *[]T) {
	if *list == nil {
		*list = []T{}
	}
}
