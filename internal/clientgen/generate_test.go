package clientgen_test

import (
	"context"
	"errors"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/clientgen"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/standin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// update writes the clients below testdata anew. They are packages that the tests
// of this package are compiled with.
var update = flag.Bool("update", false, "write testdata")

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

func patient(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func connect(t testing.TB, r *standin.Runtime) *cocaine.Client {
	t.Helper()
	client, err := cocaine.New(cocaine.Options{Locators: []string{r.Locator()}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// resolved is what a client learns of a service that speaks a protocol.
func resolved(t testing.TB, name string, p *idl.Protocol) *cocaine.Resolution {
	t.Helper()
	r := standin.New(t)
	r.Publish(name, p, "127.0.0.1:1")
	res, err := connect(t, r).Locator().Resolve(patient(t), name)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// foreignProtocol is one that no table has, with names that are none in Go.
func foreignProtocol() *idl.Protocol {
	value := idl.Storage.Method("read").Reply
	chunks := idl.App.Method("enqueue").Reply
	p := &idl.Protocol{Name: "no such", Version: 9, Messages: []idl.Message{
		{ID: 0, Name: "get-item", Next: idl.Terminal, Reply: value},
		{ID: 1, Name: "get item", Next: idl.Terminal, Reply: value},
		{ID: 2, Name: "type", Next: idl.Terminal, Reply: chunks},
		{ID: 3, Name: "with", Next: chunks.Node, Reply: chunks},
		{ID: 4, Name: "4ever", Next: idl.UnicornSession, Reply: value},
		{ID: 5, Name: "\n*/ func init() {} //", Next: idl.Terminal, Reply: idl.Reply{Node: idl.Terminal}},
		{ID: 6, Name: "", Next: idl.Terminal, Reply: value},
		{ID: 7, Name: "имя", Next: nil, Reply: value},
		{ID: 8, Name: "hold", Next: idl.LocatorSession, Reply: value},
	}}
	return p
}

func TestGolden(t *testing.T) {
	for _, c := range []struct {
		service  string
		protocol *idl.Protocol
		options  clientgen.Options
	}{
		{"storage", idl.Storage, clientgen.Options{}},
		{"locator", idl.Locator, clientgen.Options{}},
		{"logging", idl.Logging, clientgen.Options{}},
		{"metrics", idl.Metrics, clientgen.Options{}},
		{"coordination", idl.Unicorn, clientgen.Options{Type: "Tree"}}, // known by its methods
		{"hello-app", idl.App, clientgen.Options{Package: "hello", Type: "Hello", Events: []string{"greet", "info", "http.get"}}},
		{"no\nsuch", foreignProtocol(), clientgen.Options{Package: "foreign", Type: "Foreign"}},
	} {
		t.Run(c.service, func(t *testing.T) {
			got, err := clientgen.Generate(resolved(t, c.service, c.protocol), c.options)
			if err != nil {
				t.Fatal(err)
			}
			f, err := parser.ParseFile(token.NewFileSet(), "", got, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if !ast.IsGenerated(f) {
				t.Error("the file does not say that it is generated")
			}
			path := filepath.Join("testdata", f.Name.Name, f.Name.Name+".go")
			if *update {
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(want) {
				t.Errorf("%s is not what is generated now, which is\n%s", path, got)
			}
		})
	}
}

// The order in which a map gives the methods of a graph does not show.
func TestSameInputSameOutput(t *testing.T) {
	r := resolved(t, "unicorn", idl.Unicorn)
	first, err := clientgen.Generate(r, clientgen.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		again, err := clientgen.Generate(resolved(t, "unicorn", idl.Unicorn), clientgen.Options{})
		if err != nil || string(again) != string(first) {
			t.Fatalf("another output, %v:\n%s", err, again)
		}
	}
}

// Every exported name is documented, whatever the service.
func TestEverythingIsDocumented(t *testing.T) {
	for _, p := range []*idl.Protocol{idl.Locator, idl.Storage, idl.Logging, idl.LoggingV2, idl.Unicorn, idl.Metrics, idl.NodeService,
		idl.App, idl.Isolate, idl.Vicodyn, idl.Uniresis, idl.Unicat, idl.Cache, idl.Chrono, idl.URLFetch, idl.Graphite, idl.Echo,
		idl.Elasticsearch, idl.Admin, idl.Worker, idl.Invoke, foreignProtocol()} {
		source, err := clientgen.Generate(resolved(t, p.Name, p), clientgen.Options{})
		if err != nil {
			t.Errorf("%s: %v", p.Name, err)
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), "", source, parser.ParseComments)
		if err != nil {
			t.Errorf("%s: %v", p.Name, err)
			continue
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && !strings.HasPrefix(fn.Doc.Text(), fn.Name.Name+" ") {
				t.Errorf("%s: %s is not documented", p.Name, fn.Name.Name)
			}
		}
		for line := range strings.Lines(string(source)) {
			if strings.HasPrefix(line, "//") && len(line) > 90 && strings.Count(line, " ") > 1 {
				t.Errorf("%s: long line %q", p.Name, line)
			}
		}
	}
}

// A service is taken for one of a protocol by its name or all its methods, and a
// method only if its id, name and shape are those of the protocol.
func TestTypesAreNotGuessed(t *testing.T) {
	generate := func(name string, p *idl.Protocol) string {
		source, err := clientgen.Generate(resolved(t, name, p), clientgen.Options{Type: "T"})
		if err != nil {
			t.Fatal(err)
		}
		return string(source)
	}
	if s := generate("sonar", idl.Echo); strings.Contains(s, "text string") {
		t.Errorf("one method makes an echo:\n%s", s)
	}
	if s := generate("echo", idl.Echo); !strings.Contains(s, "Ping(ctx context.Context, text string) (string, error)") {
		t.Errorf("echo is not known:\n%s", s)
	}
	newer := *idl.Cache
	newer.Messages = []idl.Message{
		*idl.Cache.Method("get"),
		{ID: 1, Name: "put", Next: idl.Terminal, Reply: idl.App.Method("enqueue").Reply}, // answers otherwise
		{ID: 2, Name: "flush", Next: idl.Terminal, Reply: idl.Cache.Method("put").Reply},
	}
	s := generate("cache", &newer)
	for _, want := range []string{
		"Get(ctx context.Context, key string) (TGetAnswer, error)",
		"Put(ctx context.Context, args ...any) iter.Seq2[cocaine.Raw, error]",
		"Flush(ctx context.Context, args ...any) (cocaine.Raw, error)",
	} {
		if !strings.Contains(s, want) {
			t.Errorf("no %s in\n%s", want, s)
		}
	}
	if s := generate("stash", &newer); strings.Contains(s, "key string") {
		t.Errorf("some methods make a cache:\n%s", s)
	}
}

func TestRefusals(t *testing.T) {
	storage := resolved(t, "storage", idl.Storage)
	empty := resolved(t, "db", &idl.Protocol{Name: "db"})
	for _, c := range []struct {
		r    *cocaine.Resolution
		o    clientgen.Options
		want error
	}{
		{empty, clientgen.Options{}, clientgen.ErrNoMethods},
		{storage, clientgen.Options{Events: []string{"greet"}}, clientgen.ErrNoApp},
		{storage, clientgen.Options{Package: "my-storage"}, clientgen.ErrName},
		{storage, clientgen.Options{Package: "func"}, clientgen.ErrName},
		{storage, clientgen.Options{Package: "_"}, clientgen.ErrName},
		{storage, clientgen.Options{Type: "storage"}, clientgen.ErrName},
		{storage, clientgen.Options{Type: "A B"}, clientgen.ErrName},
	} {
		if source, err := clientgen.Generate(c.r, c.o); !errors.Is(err, c.want) || source != nil {
			t.Errorf("%s, %+v: got %v, want %v", c.r.Name, c.o, err, c.want)
		}
	}
}

// FuzzGenerate: whatever a service tells of itself, what is written is Go, and
// there is nothing in it but a client.
func FuzzGenerate(f *testing.F) {
	f.Add("storage", "read", "write", byte(0), byte(9))
	f.Add("a\nb", "\n*/ func init() {} //", "Ä", byte(3), byte(60))
	f.Add("1", "", "4", byte(200), byte(33))
	f.Add("locator", "With", "with", byte(1), byte(2))
	words := []string{"write", "value", "error", "close", "discard", "revoke"}
	pick := func(bits byte) (list []string) {
		for i, w := range words {
			if bits&(1<<i) != 0 {
				list = append(list, w)
			}
		}
		return list
	}
	f.Fuzz(func(t *testing.T, service, first, second string, accepts, replies byte) {
		r := &cocaine.Resolution{Name: service, Version: 1, Methods: []cocaine.Method{
			{ID: 0, Name: first, Accepts: pick(accepts), Replies: pick(replies)},
			{ID: 1, Name: second, Accepts: pick(replies), Replies: pick(accepts)},
			{ID: 2, Name: "enqueue", Accepts: pick(1), Replies: pick(1)},
		}}
		source, err := clientgen.Generate(r, clientgen.Options{Events: []string{second, first}})
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), "", source, parser.SkipObjectResolution)
		if err != nil {
			t.Fatalf("%v:\n%s", err, source)
		}
		declared := make(map[string]bool)
		for _, d := range file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if fn.Recv == nil && !strings.HasPrefix(fn.Name.Name, "New") || declared[fn.Name.Name] {
				t.Fatalf("function %s:\n%s", fn.Name.Name, source)
			}
			declared[fn.Name.Name] = true
		}
	})
}
