package main

import (
	"bufio"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/ordbench/ordbench/"

// root is the top of the repository, seen from this package.
const root = "../.."

// TestImportsAreThoseOfTheTable holds the code and the table of
// ARCHITECTURE.md together, in both directions.
func TestImportsAreThoseOfTheTable(t *testing.T) {
	table, code := importTable(t), importsOfCode(t)
	for pkg, imports := range code {
		listed, ok := table[pkg]
		if !ok {
			t.Errorf("%s is not in the table of ARCHITECTURE.md", pkg)
			continue
		}
		for _, imp := range imports.ours {
			if !slices.Contains(listed, imp) {
				t.Errorf("%s imports %s, which the table does not allow", pkg, imp)
			}
		}
		for _, imp := range listed {
			if !slices.Contains(imports.ours, imp) {
				t.Errorf("the table lets %s import %s, which it does not", pkg, imp)
			}
		}
	}
	for pkg := range table {
		if _, ok := code[pkg]; !ok {
			t.Errorf("the table has %s, which does not exist", pkg)
		}
	}
}

// TestTableKeepsTheRules checks the table itself against the rules from which
// it follows, so that a change of both can't break them unseen.
func TestTableKeepsTheRules(t *testing.T) {
	services := []string{"system/events", "system/bus", "system/store", "system/resilience", "system/telemetry", "system/pki", "system/direct", "system/endpoint", "system/lifecycle", "system/failpoint", "system/lever"}
	for pkg, imports := range importTable(t) {
		for _, imp := range imports {
			if broken := brokenRule(services, pkg, imp); broken != "" {
				t.Errorf("%s imports %s: %s", pkg, imp, broken)
			}
		}
	}
}

func brokenRule(services []string, pkg, imp string) string {
	below := func(dir, p string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }
	switch {
	case below("system/services", pkg) && !slices.Contains(services, imp):
		return "services import events, bus, store, resilience, telemetry, pki, endpoint, lifecycle, failpoint, lever, and never each other"
	case below("system", pkg) && !below("system", imp):
		return "the system does not know that it is tested"
	case below("loadgen", pkg) && below("chaos", imp), below("chaos", pkg) && below("loadgen", imp):
		return "loadgen and chaos do not know each other"
	case below("chaos", pkg) && !below("chaos", imp):
		return "chaos declares what it needs"
	case below("scenarios/conductor", imp) && !below("scenarios/conductor", pkg) && !below("cmd", pkg):
		return "only cmd stands above the conductor"
	case below("cmd", imp):
		return "nothing stands above cmd"
	}
	return ""
}

func TestBrokenRuleSeesEachRuleBroken(t *testing.T) {
	services := []string{"system/events"}
	for _, row := range [][2]string{
		{"system/services/order", "system/services/gateway"},
		{"system/services/order", "system/autoscale"},
		{"system", "loadgen"},
		{"system/runtime/local", "reports"},
		{"loadgen/wire", "chaos"},
		{"chaos", "loadgen"},
		{"chaos", "system"},
		{"scenarios", "scenarios/conductor"},
		{"reports", "cmd/ordbench"},
	} {
		if brokenRule(services, row[0], row[1]) == "" {
			t.Errorf("%s may import %s", row[0], row[1])
		}
	}
	if broken := brokenRule(services, "system/services/order", "system/events"); broken != "" {
		t.Errorf("a service may not import events: %s", broken)
	}
}

// TestOnlyBusSpeaksKafka keeps the client library behind one package.
func TestOnlyBusSpeaksKafka(t *testing.T) {
	for pkg, imports := range importsOfCode(t) {
		for _, imp := range imports.theirs {
			if strings.HasPrefix(imp, "github.com/segmentio/kafka-go") && pkg != "system/bus" {
				t.Errorf("%s imports %s", pkg, imp)
			}
		}
	}
}

type imports struct{ ours, theirs []string }

// importsOfCode reads what each package imports, tests left out.
func importsOfCode(t *testing.T) map[string]*imports {
	t.Helper()
	code := map[string]*imports{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == "results" || strings.HasPrefix(d.Name(), ".") && file != root):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go"):
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, path.Dir(file))
		if err != nil {
			return err
		}
		pkg := code[dir]
		if pkg == nil {
			pkg = &imports{}
			code[dir] = pkg
		}
		for _, spec := range parsed.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			list := &pkg.theirs
			if ours, ok := strings.CutPrefix(imp, module); ok {
				imp, list = ours, &pkg.ours
			}
			if !slices.Contains(*list, imp) {
				*list = append(*list, imp)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// importTable reads the rows "| `package` | `import`, `import` |" that follow
// the heading of the import table.
func importTable(t *testing.T) map[string][]string {
	t.Helper()
	f, err := os.Open(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	table := map[string][]string{}
	inside := false
	for s := bufio.NewScanner(f); s.Scan(); {
		line := s.Text()
		if strings.HasPrefix(line, "#") {
			inside = strings.Contains(line, "Import table")
			continue
		}
		cells := strings.Split(line, "|")
		if !inside || len(cells) < 4 || !strings.Contains(cells[1], "`") {
			continue
		}
		pkg := strings.Trim(cells[1], " `")
		table[pkg] = []string{}
		for _, imp := range strings.Split(cells[2], ",") {
			if imp = strings.Trim(imp, " `"); imp != "" && imp != "-" {
				table[pkg] = append(table[pkg], imp)
			}
		}
	}
	if len(table) == 0 {
		t.Fatal("ARCHITECTURE.md has no import table")
	}
	return table
}
