package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A snippet is a piece of Go in a page or a package comment: whole declarations, or
// statements.
type snippet struct {
	at, text string
}

// known are the packages that snippets use without importing them.
var known = []string{
	"bytes", "context", "crypto/tls", "errors", "expvar", "fmt", "io", "log", "log/slog", "net/http", "os", "os/exec", "strings", "testing", "testing/synctest",
	"time", module, module + "/worker", module + "/cocainetest",
}

// prelude is what snippets talk of without saying where it comes from.
const prelude = `
type Person struct { Name string ` + "`json:\"name\"`" + ` }
type Greeting struct { Text string ` + "`json:\"text\"`" + ` }
`

// around are the variables that statements may use.
const around = "ctx context.Context, client *cocaine.Client, w *worker.Worker, rt *cocainetest.Runtime, t *testing.T, options cocaine.Options"

// foreign are packages that snippets use and the module does not: what has one of them
// is only parsed.
var foreign = regexp.MustCompile(`\b(prometheus|promauto|otel)\.`)

var (
	fence       = regexp.MustCompile("(?ms)^```go\n(.*?)^```")
	looksLikeGo = regexp.MustCompile(`:=|\b(cocaine|worker|cocainetest)\.[A-Z]|^func `)
)

// ofPage are the Go snippets of a page.
func ofPage(t *testing.T, name string) []snippet {
	t.Helper()
	page, err := os.ReadFile("../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	var all []snippet
	for _, m := range fence.FindAllSubmatchIndex(page, -1) {
		line := 2 + bytes.Count(page[:m[0]], []byte("\n"))
		all = append(all, snippet{fmt.Sprintf("%s:%d", name, line), string(page[m[2]:m[3]])})
	}
	return all
}

// ofPackage are the Go snippets of a package comment.
func ofPackage(t *testing.T, name, dir string) []snippet {
	t.Helper()
	var p comment.Parser
	var all []snippet
	for _, b := range p.Parse(documentation(t, token.NewFileSet(), dir).Doc).Content {
		if c, ok := b.(*comment.Code); ok && looksLikeGo.MatchString(c.Text) {
			all = append(all, snippet{fmt.Sprintf("package %s, snippet %d", name, len(all)+1), c.Text})
		}
	}
	return all
}

// source makes a file of a snippet.
func (s snippet) source() string {
	if strings.HasPrefix(s.text, "package ") {
		return s.text
	}
	body := s.text
	if _, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+body, parser.SkipObjectResolution); err != nil {
		body = "func _(" + around + ") {\n" + body + "\n}\n"
	}
	var b strings.Builder
	b.WriteString("package p\n")
	for _, path := range known {
		name := path[strings.LastIndex(path, "/")+1:]
		if path == module {
			name = "cocaine"
		}
		fmt.Fprintf(&b, "import %s %q\n", name, path)
	}
	b.WriteString(body)
	for line := range strings.Lines(prelude) {
		if name := strings.Fields(line + " - -")[1]; !strings.Contains(body, "type "+name+" ") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// compiled finds the packages of the module and all they import in compiled form.
func compiled(t *testing.T) types.Importer {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-export", "-deps", "-json=ImportPath,Export"}, known...)...)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("cannot list packages: %v", err)
	}
	exports := map[string]string{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct{ ImportPath, Export string }
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		exports[p.ImportPath] = p.Export
	}
	return importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
}

// TestSnippetsCompile: what the pages and package comments show is Go that compiles.
// Only that a variable or an import is not used is no mistake in them.
func TestSnippetsCompile(t *testing.T) {
	var all []snippet
	for _, page := range []string{"README.md", "docs/MIGRATION.md", "docs/OBSERVABILITY.md"} {
		all = append(all, ofPage(t, page)...)
	}
	for name, dir := range public {
		all = append(all, ofPackage(t, name, dir)...)
	}
	if len(all) < 40 {
		t.Errorf("only %d snippets were found", len(all))
	}
	imports := compiled(t)
	for _, s := range all {
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, "snippet.go", s.source(), parser.SkipObjectResolution)
		if err != nil {
			t.Errorf("%s: %v\n%s", s.at, err, s.text)
			continue
		}
		if foreign.MatchString(s.text) {
			continue
		}
		var problems []string
		config := types.Config{Importer: imports, Error: func(err error) {
			if e, ok := errors.AsType[types.Error](err); !ok || !e.Soft {
				problems = append(problems, e.Msg)
			}
		}}
		_, _ = config.Check("p", fset, []*ast.File{file}, nil)
		if slices.Sort(problems); len(problems) > 0 {
			t.Errorf("%s: %s\n%s", s.at, strings.Join(problems, "; "), s.text)
		}
	}
}
