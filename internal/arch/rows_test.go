package arch

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A row is one line of a table of docs/rows.md.
type row struct {
	section, feature, api string
	tests                 []string
}

var (
	sectionNumber = regexp.MustCompile(`^## ([0-9.]+) `)
	codeSpan      = regexp.MustCompile("`([^`]+)`")
	// apiName is a name of a public package: Name or Type.Name, with the package
	// before it unless it is the root.
	apiName  = regexp.MustCompile(`^((worker|cocainetest)\.)?[A-Z]\w*(\.[A-Z]\w*)?$`)
	testName = regexp.MustCompile(`^(Test|Example|Fuzz)\w+$`)
)

func readRows(t *testing.T) []row {
	t.Helper()
	page, err := os.ReadFile("../../docs/rows.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []row
	section := ""
	for line := range strings.Lines(string(page)) {
		if m := sectionNumber.FindStringSubmatch(line); m != nil {
			section = m[1]
		}
		cells := strings.Split(strings.TrimSpace(line), "|")
		if section == "" || len(cells) != 5 || strings.HasPrefix(cells[1], " ---") || cells[1] == " feature " {
			continue
		}
		r := row{section: section, feature: strings.TrimSpace(cells[1]), api: strings.TrimSpace(cells[2])}
		for name := range strings.SplitSeq(cells[3], ",") {
			if name = strings.TrimSpace(name); name != "" {
				r.tests = append(r.tests, name)
			}
		}
		all = append(all, r)
	}
	return all
}

// testFunctions are the tests, examples and fuzz targets of the module, each with the
// names that it uses: its own, those of what it calls in the tests of its directory,
// and those of TestMain, which is what other processes run for it.
func testFunctions(t *testing.T) map[string]map[string]bool {
	t.Helper()
	dirs := map[string]map[string]map[string]bool{} // names by function, by directory
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !isTest(d.Name()) {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir := filepath.Dir(path)
		if dirs[dir] == nil {
			dirs[dir] = map[string]map[string]bool{}
		}
		noteNames(dirs[dir], f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]bool{}
	for _, functions := range dirs {
		for name := range functions {
			if testName.MatchString(name) {
				if all[name] == nil {
					all[name] = map[string]bool{}
				}
				reach(functions, name, all[name])
				reach(functions, "TestMain", all[name])
			}
		}
	}
	return all
}

// noteNames notes the names that each function of a file uses. Methods go by their
// name, whatever type they are of, and so do other declarations.
func noteNames(functions map[string]map[string]bool, f *ast.File) {
	note := func(name string, n ast.Node) {
		if functions[name] == nil {
			functions[name] = map[string]bool{}
		}
		ast.Inspect(n, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				functions[name][id.Name] = true
			}
			return true
		})
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			note(d.Name.Name, d)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					note(spec.Name.Name, spec)
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						note(name.Name, spec)
					}
				}
			}
		}
	}
}

// reach collects the names that a function uses, by way of others as well.
func reach(functions map[string]map[string]bool, name string, names map[string]bool) {
	for used := range functions[name] {
		if !names[used] {
			names[used] = true
			reach(functions, used, names)
		}
	}
}

// publicSymbols are the exported names of the public packages, as docs/rows.md
// writes them.
func publicSymbols(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for name, dir := range public {
		fset := token.NewFileSet()
		prefix := name + "."
		if name == "cocaine" {
			prefix = ""
		}
		for symbol := range symbols(fset, documentation(t, fset, dir)) {
			all[prefix+symbol] = true
		}
	}
	return all
}

// TestRows holds docs/rows.md to its word: every API and every test that it names
// is there, and the tests of a row use its API.
func TestRows(t *testing.T) {
	tests, api := testFunctions(t), publicSymbols(t)
	for _, r := range readRows(t) {
		at := r.section + " " + r.feature
		used := map[string]bool{}
		for i, name := range r.tests {
			switch {
			case tests[name] == nil:
				t.Errorf("%s: there is no test %q", at, name)
			case slices.Contains(r.tests[:i], name):
				t.Errorf("%s: names %s twice", at, name)
			}
			maps.Copy(used, tests[name])
		}
		for _, m := range codeSpan.FindAllStringSubmatch(r.api, -1) {
			switch name := m[1]; {
			case !apiName.MatchString(name):
			case !api[name]:
				t.Errorf("%s: there is no %s", at, name)
			case len(r.tests) > 0 && !used[name[strings.LastIndex(name, ".")+1:]]:
				t.Errorf("%s: none of its tests uses %s", at, name)
			}
		}
		if r.api == "" {
			t.Errorf("%s: says nothing", at)
		}
		gone := strings.HasPrefix(r.api, "replaced: ") || strings.HasPrefix(r.api, "not yet: ")
		if len(r.tests) == 0 && !gone {
			t.Errorf("%s: names no test", at)
		}
	}
}

// TestNoRowIsMissing compares docs/rows.md with the list of features.
func TestNoRowIsMissing(t *testing.T) {
	f, err := os.Open("testdata/features.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := map[string]bool{}
	for s := bufio.NewScanner(f); s.Scan(); {
		if line := strings.TrimSpace(s.Text()); line != "" && !strings.HasPrefix(line, "#") {
			want[line] = true
		}
	}
	if len(want) == 0 {
		t.Fatal("the list of features is empty")
	}
	got := map[string]bool{}
	for _, r := range readRows(t) {
		line := r.section + " " + r.feature
		if got[line] {
			t.Errorf("%s: stands there twice", line)
		}
		got[line] = true
	}
	for _, line := range slices.Sorted(maps.Keys(want)) {
		if !got[line] {
			t.Errorf("%s: no row says what became of it", line)
		}
	}
	for _, line := range slices.Sorted(maps.Keys(got)) {
		if !want[line] {
			t.Errorf("%s: is no feature of the list", line)
		}
	}
}
