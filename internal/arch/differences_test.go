package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// maxDifferences is how many rows the table of docs/COMPATIBILITY.md may have. A new
// difference takes the place of one, or belongs to the rule of one.
const maxDifferences = 12

// namedTest is a test as that table names it: the package's directory below internal, or
// that of a public package, and the function.
var namedTest = regexp.MustCompile("^`([a-z0-9]+)\\.((?:Test|Fuzz)\\w+)`$")

// readDifferences are the cells of the rows of the section "What is answered
// differently".
func readDifferences(t *testing.T) [][]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/COMPATIBILITY.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(page), "\n## What is answered differently\n")
	if !ok {
		t.Fatal("there is no section")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var rows [][]string
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "| ---") || strings.HasPrefix(line, "| | ") {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	return rows
}

// TestDifferences holds the table of what is answered differently to its word: it is
// short, its rows are whole, and the tests that hold them are there.
func TestDifferences(t *testing.T) {
	rows := readDifferences(t)
	if len(rows) == 0 || len(rows) > maxDifferences {
		t.Errorf("the table has %d rows, want 1 to %d", len(rows), maxDifferences)
	}
	for i, cells := range rows {
		if len(cells) != 6 || cells[0] != strconv.Itoa(i+1) {
			t.Errorf("row %d is %q", i+1, cells)
			continue
		}
		for column, text := range cells[1:] {
			if text == "" {
				t.Errorf("row %d says nothing in column %d", i+1, column+2)
			}
		}
		for name := range strings.SplitSeq(cells[5], ", ") {
			m := namedTest.FindStringSubmatch(name)
			if m == nil || !hasTest(t, m[1], m[2]) {
				t.Errorf("row %d: there is no test %s", i+1, name)
			}
		}
	}
}

// hasTest reports whether a package has a test.
func hasTest(t *testing.T, pkg, name string) bool {
	t.Helper()
	dir := filepath.Join("..", pkg)
	if public, ok := public[pkg]; ok {
		dir = filepath.Join("../..", public)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(source), "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}
