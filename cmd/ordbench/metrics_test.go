package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestTableOfMetrics holds the table of metrics in ARCHITECTURE.md equal
// to those that the code makes: their names are a contract with dashboards.
func TestTableOfMetrics(t *testing.T) {
	want := metricsOfCode(t)
	text, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "| `ordbench_") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the table of metrics in ARCHITECTURE.md is not what the code makes, which is:\n%s", strings.Join(want, "\n"))
	}
	for _, name := range namesInCode(t) {
		if !slices.ContainsFunc(want, func(line string) bool { return strings.HasPrefix(line, "| `"+name+"` ") }) {
			t.Errorf("the code names %s, but this test does not see how it is made", name)
		}
	}
}

// namesInCode are all texts in the code below system that look like a metric.
func namesInCode(t *testing.T) (names []string) {
	t.Helper()
	like := regexp.MustCompile(`^ordbench(_[a-z]+)+$`)
	for _, f := range codeOf(t, "system") {
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && like.MatchString(literal(lit, nil)) {
				names = append(names, literal(lit, nil))
			}
			return true
		})
	}
	if len(names) < 20 {
		t.Errorf("only %d names of metrics are in the code", len(names))
	}
	return names
}

// codeOf parses the code below a directory, tests left out.
func codeOf(t *testing.T, dir string) (files []*ast.File) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(root, dir), func(file string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		files = append(files, parsed)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// metricsOfCode is a line of the table for each metric that code below system
// makes, sorted.
func metricsOfCode(t *testing.T) []string {
	t.Helper()
	var lines []string
	constants := map[string]string{}
	files := codeOf(t, "system")
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok {
				for i, name := range spec.Names {
					if i < len(spec.Values) && strings.HasPrefix(name.Name, "Metric") {
						constants[name.Name] = literal(spec.Values[i], nil)
					}
				}
			}
			return true
		})
	}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if line := metricOf(call, constants); line != "" {
					lines = append(lines, line)
				}
			}
			return true
		})
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// metricOf is the line of the metric that a call makes, "" if it makes none.
func metricOf(call *ast.CallExpr, constants map[string]string) string {
	if len(call.Args) == 0 {
		return ""
	}
	kind := ""
	switch fn := call.Fun.(type) {
	case *ast.Ident: // a function of the package itself: counter, counters
		kind = strings.TrimSuffix(fn.Name, "s")
	case *ast.SelectorExpr:
		if pkg, ok := fn.X.(*ast.Ident); ok && pkg.Name == "prometheus" {
			kind = strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(fn.Sel.Name, "New"), "Vec"), "Func"))
		}
	}
	name, help := "", ""
	labels := []string{}
	switch {
	case kind == "desc" && len(call.Args) > 1:
		name, help = literal(call.Args[0], constants), literal(call.Args[1], constants)
		kind = "gauge"
		if strings.HasSuffix(name, "_total") {
			kind = "counter"
		}
	case slices.Contains([]string{"counter", "gauge", "histogram"}, kind):
		opts, ok := call.Args[0].(*ast.CompositeLit)
		if !ok && len(call.Args) > 1 {
			name, help = literal(call.Args[0], constants), literal(call.Args[1], constants)
			for _, label := range call.Args[2:] {
				labels = append(labels, "`"+literal(label, constants)+"`")
			}
			break
		}
		if !ok {
			return ""
		}
		for _, e := range opts.Elts {
			pair := e.(*ast.KeyValueExpr)
			switch pair.Key.(*ast.Ident).Name {
			case "Name":
				name = literal(pair.Value, constants)
			case "Help":
				help = literal(pair.Value, constants)
			case "ConstLabels":
				labels = append(labels, constantLabels(pair.Value)...)
			}
		}
	}
	if !strings.HasPrefix(name, "ordbench_") {
		return ""
	}
	for _, arg := range call.Args[1:] {
		if list, ok := arg.(*ast.CompositeLit); ok {
			for _, e := range list.Elts {
				if l := literal(e, constants); l != "" {
					labels = append(labels, "`"+l+"`")
				}
			}
		}
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s |", name, kind, strings.Join(labels, ", "), help)
}

// constantLabels are those that every series of a metric has, "dependency" if
// they were made elsewhere.
func constantLabels(e ast.Expr) (labels []string) {
	list, ok := e.(*ast.CompositeLit)
	if !ok {
		return []string{"`dependency`"}
	}
	for _, e := range list.Elts {
		labels = append(labels, "`"+literal(e.(*ast.KeyValueExpr).Key, nil)+"`")
	}
	return labels
}

// literal is the value of a string literal, of a sum of them, or of a known
// constant.
func literal(e ast.Expr, constants map[string]string) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, _ := strconv.Unquote(e.Value)
		return s
	case *ast.BinaryExpr:
		return literal(e.X, constants) + literal(e.Y, constants)
	case *ast.Ident:
		return constants[e.Name]
	case *ast.SelectorExpr:
		return constants[e.Sel.Name]
	}
	return ""
}
