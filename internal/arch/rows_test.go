package arch

import (
	"bufio"
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
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Example|Fuzz)\w*)\(`)
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

// testFunctions are the names of the tests, examples and fuzz targets of the module.
func testFunctions(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !isTest(d.Name()) {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range testFunc.FindAllSubmatch(source, -1) {
			all[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
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
// is there.
func TestRows(t *testing.T) {
	tests, api := testFunctions(t), publicSymbols(t)
	for _, r := range readRows(t) {
		at := r.section + " " + r.feature
		for _, m := range codeSpan.FindAllStringSubmatch(r.api, -1) {
			if apiName.MatchString(m[1]) && !api[m[1]] {
				t.Errorf("%s: there is no %s", at, m[1])
			}
		}
		for _, name := range r.tests {
			if !testName.MatchString(name) || !tests[name] {
				t.Errorf("%s: there is no test %q", at, name)
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
