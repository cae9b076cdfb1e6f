package idl_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

const vectorDir = "../../testdata/vectors"

// graphVectors returns the graphs that the original sent, by the name of the protocol.
func graphVectors(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(vectorDir, "graph-*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no graphs in %s: %v", vectorDir, err)
	}
	graphs := make(map[string][]byte)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		archive := txtar.Parse(content)
		for line := range strings.Lines(string(archive.Comment)) {
			if name, ok := strings.CutPrefix(strings.TrimSpace(line), "protocol: "); ok {
				graphs[name] = unhex(t, string(archive.Files[0].Data))
			}
		}
	}
	return graphs
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAppendGraph(t *testing.T) {
	vectors := graphVectors(t)
	for _, p := range protocols {
		want, ok := vectors[p.Name]
		if !ok {
			continue
		}
		delete(vectors, p.Name)
		if got := p.AppendGraph([]byte{0xee})[1:]; !bytes.Equal(got, want) {
			t.Errorf("%s:\n got % x\nwant % x", p.Name, got, want)
		}
	}
	for name := range vectors {
		t.Errorf("no protocol for the graph of %s", name)
	}
}

func TestGraphSizes(t *testing.T) {
	for _, c := range []struct {
		p             *idl.Protocol
		size, entries int
	}{{idl.Locator, 468, 11}, {idl.Storage, 236, 8}, {idl.Unicorn, 552, 14}} {
		b := c.p.AppendGraph(nil)
		g, err := idl.ParseGraph(b)
		if len(b) != c.size || len(g) != c.entries || err != nil {
			t.Errorf("%s: %d bytes, %d entries, %v, want %d and %d", c.p.Name, len(b), len(g), err, c.size, c.entries)
		}
	}
}

// TestParseGraph: a client knows from the graph what the service knows from its protocol.
func TestParseGraph(t *testing.T) {
	for _, p := range protocols {
		g, err := idl.ParseGraph(p.AppendGraph(nil))
		if err != nil {
			t.Fatalf("%s: %v", p.Name, err)
		}
		for i := range p.Messages {
			m := &p.Messages[i]
			e, ok := g[m.ID]
			if !ok || e.Name != m.Name {
				t.Errorf("%s: message %d is %q, want %q", p.Name, m.ID, e.Name, m.Name)
				continue
			}
			sameNode(t, p.Name+"."+m.Name+" tx", e.Tx, m.Next)
			sameNode(t, p.Name+"."+m.Name+" rx", e.Rx, m.Reply.Node)
		}
		if again := g.Append(nil); !bytes.Equal(again, p.AppendGraph(nil)) {
			t.Errorf("%s is written again as % x", p.Name, again)
		}
	}
}

func sameNode(t *testing.T, where string, got, want *idl.Node) {
	t.Helper()
	if (got == nil) != (want == nil) || got.IsTerminal() != want.IsTerminal() {
		t.Errorf("%s: %v, want %v", where, got, want)
		return
	}
	if want == nil {
		return
	}
	for i := range want.Messages {
		w := &want.Messages[i]
		g := got.Lookup(w.ID)
		if g == nil || g.Name != w.Name {
			t.Errorf("%s: lacks %s", where, w.Name)
			continue
		}
		sameNode(t, where+"."+w.Name, g.Next, w.Next)
	}
}

func TestGraphMethod(t *testing.T) {
	g, err := idl.ParseGraph(idl.Echo.AppendGraph(nil))
	if err != nil {
		t.Fatal(err)
	}
	if id, tx, rx, ok := g.Method("ping"); !ok || id != idl.EchoPing || !tx.IsTerminal() || rx.Lookup(idl.Value) == nil {
		t.Errorf("ping is %d, %v, %v, %v", id, tx, rx, ok)
	}
	if _, _, _, ok := g.Method("nothing"); ok {
		t.Error("found a method that is not there")
	}
}

func TestParseGraphForms(t *testing.T) {
	for _, c := range []struct{ name, hex, want string }{
		{"empty", "80", "80"},
		{"recurrent and mute", "810093a178c080", "810093a178c080"},
		{"new dialect, wide headers", "de0001d000dc0003d90178c0df00000000", "810093a178c080"},
		{"ids in any order", "8201 93a16280c0 0093a16180c0", "820093a16180c00193a16280c0"},
		{"node ids in any order", "810093a1788202 92a162c0 0092a161c0 80", "810093a178820092a161c00292a162c080"},
	} {
		g, err := idl.ParseGraph(unhex(t, c.hex))
		if got := hex.EncodeToString(g.Append(nil)); err != nil || got != c.want {
			t.Errorf("%s: %s, %v, want %s", c.name, got, err, c.want)
		}
	}
}

func TestParseGraphRefuses(t *testing.T) {
	deep := func(n int) string {
		return "810093a178" + strings.Repeat("810092a161", n) + "80" + "80"
	}
	wide := msgpack.AppendMap(nil, 5000)
	for i := range 5000 {
		wide = msgpack.AppendUint(wide, uint64(i))
		wide = append(wide, 0x93, 0xa0, 0xc0, 0xc0)
	}
	for _, c := range []struct{ name, hex string }{
		{"nothing", ""},
		{"nil", "c0"},
		{"array", "90"},
		{"text keys", "81a13093a178c080"},
		{"negative key", "81ff93a178c080"},
		{"entry of two fields", "810092a17880"},
		{"entry of four fields", "810094a178c080c0"},
		{"v0.11: only a name", "8100a178"},
		{"name is a number", "81009301c080"},
		{"tx is text", "810093a178a17980"},
		{"node entry of three fields", "810093a178810093a179c080c0"},
		{"twice the same id", "820093a178c0800093a179c080"},
		{"twice the same node id", "810093a178820092a179c00092a17ac080"},
		{"cut", "810093a178c0"},
		{"bytes after it", "8000"},
		{"false count", "dfffffffff"},
		{"too deep", deep(12)},
		{"too wide", hex.EncodeToString(wide)},
		{"long name", "810093da0101" + strings.Repeat("78", 257) + "c080"},
	} {
		if g, err := idl.ParseGraph(unhex(t, c.hex)); !errors.Is(err, idl.ErrGraph) || g != nil {
			t.Errorf("%s: %v, %v", c.name, g, err)
		}
	}
	if _, err := idl.ParseGraph(unhex(t, deep(11))); err != nil {
		t.Errorf("deepest graph: %v", err)
	}
}

func TestReadGraphInsideReply(t *testing.T) {
	reply := idl.Cache.AppendGraph([]byte{0x92})
	reply = append(reply, 0x07)
	r := msgpack.NewReader(reply)
	r.Array()
	g, err := idl.ReadGraph(&r)
	if err != nil || len(g) != 6 || r.Uint() != 7 || r.Len() != 0 {
		t.Errorf("%d entries, %v, %d bytes left", len(g), err, r.Len())
	}
}

// FuzzParseGraph: what parses is written and parsed to the same, byte for byte.
func FuzzParseGraph(f *testing.F) {
	for _, g := range graphVectors(f) {
		f.Add(g)
	}
	for _, s := range []string{"80", "810093a178c080", "de0001d000dc0003d90178c0df00000000", "8201 93a16280c0 0093a16180c0", "dfffffffff", "8100a178"} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := idl.ParseGraph(b)
		if err != nil {
			if g != nil {
				t.Fatal("a graph with an error")
			}
			return
		}
		first := g.Append(nil)
		again, err := idl.ParseGraph(first)
		if err != nil {
			t.Fatalf("% x written as % x: %v", b, first, err)
		}
		if second := again.Append(nil); !bytes.Equal(first, second) {
			t.Fatalf("% x, then % x", first, second)
		}
	})
}
