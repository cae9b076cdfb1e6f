package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestGeneratedFilesAreCurrent fails when table.txt or the generator changed without go generate.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	outputs, err := generate("..")
	if err != nil {
		t.Fatal(err)
	}
	if len(outputs) != 2 {
		t.Errorf("%d files, want the Go code and the page", len(outputs))
	}
	for name, want := range outputs {
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is stale, run: go generate ./internal/idl", name)
		}
	}
}

func TestParseTableErrors(t *testing.T) {
	for _, c := range []struct{ table, want string }{
		{"  0 lost() -> mute", "line 1: outside of a block"},
		{"  | lost", "line 1: nothing to document"},
		{"protocol short", `line 1: unknown block "protocol short"`},
		{"protocol p 1 P P\n  zero() -> mute", `line 2: no message: "zero() -> mute"`},
		{"protocol p 1 P P\n  0 a() -> mute\n  0 b() -> mute", "line 3: id 0 is out of order"},
		{"protocol p 1 P P\n  0 a(x) -> mute", `line 2: argument without a type: "x"`},
		{"protocol p 1 P P\n  0 a(x [int) -> mute", `line 2: unbalanced brackets in "(x [int) -> mute"`},
		{"protocol p 1 P P\n  0 a() -> mute nonsense", `line 2: left over: "nonsense"`},
		{"category one 1 One\n", `line 1: strconv.Atoi: parsing "one": invalid syntax`},
		{"category 1 One one\n  1 Short", "line 2: want: CODE GO text"},
	} {
		if _, err := parseTable(c.table); err == nil || err.Error() != c.want {
			t.Errorf("%q: %v, want %s", c.table, err, c.want)
		}
	}
}

func TestParseMessage(t *testing.T) {
	m, err := parseMessage("4 publish(name str, endpoints [(str, uint)], info (uint, {int: str})?) -> value(a int, b str) then stream(c raw)")
	if err != nil {
		t.Fatal(err)
	}
	if m.id != 4 || m.name != "publish" || len(m.args) != 3 || m.reply.word != "value" || len(m.reply.args) != 2 || m.next.word != "stream" {
		t.Errorf("parsed as %+v", m)
	}
	if info := m.args[2]; info.typ != "(uint, {int: str})" || !info.optional {
		t.Errorf("last argument is %+v", info)
	}
}

func TestFillMarkers(t *testing.T) {
	page := "a\n<!-- generated:x -->\nold\n<!-- /generated -->\nb\n"
	got, err := fillMarkers([]byte(page), map[string]string{"x": "new"})
	if want := strings.Replace(page, "old", "\nnew", 1); err != nil || string(got) != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	for _, broken := range []string{"", "<!-- generated:x -->\n"} {
		if _, err := fillMarkers([]byte(broken), map[string]string{"x": "new"}); err == nil {
			t.Errorf("no error for %q", broken)
		}
	}
}
