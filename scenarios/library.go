package scenarios

import (
	"embed"
	"io"
	"os"
	"strings"
	"time"
)

//go:embed *.yaml
var library embed.FS

// Entry is a scenario of the library. Its Name can be given to Load.
type Entry struct {
	Name        string        `json:"name"`
	Description string        `json:"description"`
	Length      time.Duration `json:"length_ns"` // of the traffic
	YAML        string        `json:"yaml"`
}

// Library lists the scenarios that are part of this binary, by name.
func Library() []Entry {
	var entries []Entry
	for _, name := range libraryNames() {
		document, _ := fromLibrary(name)
		e := Entry{Name: name, YAML: string(document)}
		if s, err := Parse("library:"+name, document); err == nil {
			e.Description, e.Length = s.Description, s.Length()
		}
		entries = append(entries, e)
	}
	return entries
}

func libraryNames() []string {
	files, err := library.ReadDir(".")
	if err != nil {
		panic(err) // an embedded directory can be read
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f.Name(), ".yaml"))
	}
	return names
}

func fromLibrary(name string) ([]byte, bool) {
	document, err := library.ReadFile(name + ".yaml")
	return document, err == nil
}

// readAtMost reads the beginning of a file: what is longer is no scenario,
// and may have no end.
func readAtMost(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}
