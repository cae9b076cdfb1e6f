// Package arch holds the tests that keep the shape of the module: who may import
// whom. The table is a statement of intent: change it in the commit that changes
// your mind.
package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/cocaine/cocaine-go"

// levels lists the packages from bottom to top. A package may import what stands
// on an earlier line, unless forbidden says otherwise; it may not import its
// neighbours on the same line.
var levels = [][]string{
	{"internal/msgpack", "internal/logctx", "internal/faultnet", "internal/archive", "internal/jetstream", "internal/document", "internal/filestore", "internal/tokens", "internal/tlsconn/tlstest", "internal/logtest", "internal/timing", "internal/chunkio"},
	{"internal/tlsconn", "internal/hpack", "internal/idl", "internal/manifest", "internal/config", "internal/codec", "internal/httpwire"},
	{"internal/wire", "internal/source", "internal/isolate", "internal/idl/gen"},
	{"internal/rpc", "internal/isolate/process", "internal/isolate/isolatetest", "internal/locator/ring"},
	{"internal/relay", "internal/v011", "internal/auth"},
	{"internal/unicat", "internal/echo", "internal/cache", "internal/chrono", "internal/uniresis", "internal/urlfetch", "internal/metrics", "internal/logging/filter"},
	{".", "internal/host", "internal/rpc/rpctest", "internal/engine/enginetest", "internal/storage", "internal/unicorn", "internal/logging", "internal/locator", "internal/cluster", "internal/admin", "internal/engine"},
	{"worker", "internal/node", "internal/storage/storagetest", "internal/unicorn/unicorntest", "internal/standin", "internal/clientgen", "internal/tool"},
	{"internal/daemon", "cocainetest"},
	{"internal/cli"},
	{"cmd/cocaine"},
}

// forbidden are imports that the levels would allow and that are wrong all the
// same.
var forbidden = []struct{ from, to, why string }{
	{".", "internal/jetstream", "a client must stay small"},
	{"worker", "internal/engine", "a worker must not carry the runtime"},
	{"internal/storage", "internal/idl/gen", "the generator is no library"},
}

type pkg struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", module+"/...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("cannot list packages: %v", err)
	}
	var all []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// local is a package's path inside the module, "." for the root.
func local(importPath string) (string, bool) {
	if importPath == module {
		return ".", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

func level(p string) int {
	return slices.IndexFunc(levels, func(l []string) bool { return slices.Contains(l, p) })
}

func TestImportLevels(t *testing.T) {
	for _, p := range packages(t) {
		from, _ := local(p.ImportPath)
		if strings.HasPrefix(from, "examples/") || from == "internal/arch" {
			continue
		}
		at := level(from)
		if at < 0 {
			t.Errorf("%s stands on no level: add it to the table", from)
			continue
		}
		for _, imp := range p.Imports {
			to, ok := local(imp)
			if !ok {
				continue
			}
			if l := level(to); l >= at {
				t.Errorf("%s (level %d) imports %s (level %d): imports go down", from, at+1, to, l+1)
			}
			for _, f := range forbidden {
				if f.from == from && f.to == to {
					t.Errorf("%s imports %s: %s", from, to, f.why)
				}
			}
		}
	}
}

// TestEveryPackageIsOnThePage: docs/ARCHITECTURE.md names every package, by its path in
// the module or in internal.
func TestEveryPackageIsOnThePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packages(t) {
		name, _ := local(p.ImportPath)
		if name == "." || strings.HasPrefix(name, "examples/") {
			continue
		}
		if short := strings.TrimPrefix(name, "internal/"); !bytes.Contains(page, []byte("`"+short+"`")) {
			t.Errorf("docs/ARCHITECTURE.md does not name `%s`", short)
		}
	}
}

// TestStandardLibrary keeps processes and HTTP to the packages that are about them.
func TestStandardLibrary(t *testing.T) {
	allowed := map[string][]string{
		"net/http": {"internal/daemon", "internal/cli", "internal/httpwire", "internal/urlfetch", "worker"},
		"os/exec":  {"internal/isolate/process", "internal/source", "internal/cli", "internal/tool", "internal/isolate/isolatetest", "internal/standin"},
	}
	for _, p := range packages(t) {
		from, _ := local(p.ImportPath)
		if strings.HasPrefix(from, "examples/") {
			continue
		}
		for lib, who := range allowed {
			if slices.Contains(p.Imports, lib) && !slices.Contains(who, from) {
				t.Errorf("%s imports %s, which is for %s", path.Base(from), lib, strings.Join(who, ", "))
			}
		}
	}
}
