package locator_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/internal/locator"
	"github.com/cocaine/cocaine-go/internal/logtest"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const nodeUUID = "29c2b1c4-4c0f-4a3a-908c-c05304a2305e"

// records is a storage of routing groups.
type records struct {
	mu     sync.Mutex
	groups map[string][]byte
	broken map[string]error // by group; "" is Find itself
	reads  func(group string)
}

func (r *records) Find(_ context.Context, collection string, tags []string) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if collection != "groups" || !slices.Equal(tags, []string{"group", "active"}) {
		return nil, fmt.Errorf("found in %q by %q, which is not where groups are", collection, tags)
	}
	return slices.Sorted(maps.Keys(r.groups)), r.broken[""]
}

func (r *records) Read(_ context.Context, collection, key string) ([]byte, error) {
	if r.reads != nil {
		r.reads(key)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.broken[key]; err != nil {
		return nil, err
	}
	b, ok := r.groups[key]
	if !ok || collection != "groups" {
		return nil, fmt.Errorf("cannot read %s/%s: %w", collection, key, fs.ErrNotExist)
	}
	return b, nil
}

func (r *records) store(group string, record []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.groups == nil {
		r.groups = map[string][]byte{}
	}
	r.groups[group] = record
}

func (r *records) remove(group string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.groups, group)
}

func (r *records) breakdown(group string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken == nil {
		r.broken = map[string]error{}
	}
	r.broken[group] = err
}

func weights(w map[string]uint64) []byte {
	b := msgpack.AppendMap(nil, len(w))
	for _, name := range slices.Sorted(maps.Keys(w)) {
		b = msgpack.AppendUint(msgpack.AppendString(b, name), w[name])
	}
	return b
}

// open makes a locator that is closed with the test. A UUID need not be given.
func open(t testing.TB, o locator.Options) *locator.Locator {
	t.Helper()
	if o.UUID == "" {
		o.UUID = nodeUUID
	}
	l, err := locator.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func service(name string, endpoints ...string) locator.Service {
	s := locator.Service{Name: name, Version: 1}
	for _, ep := range endpoints {
		s.Endpoints = append(s.Endpoints, netip.MustParseAddrPort(ep))
	}
	return s
}

func expose(t testing.TB, l *locator.Locator, s locator.Service) *locator.Registration {
	t.Helper()
	r, err := l.Expose(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// where resolves a name to its endpoints, as text, or to the error.
func where(l *locator.Locator, name, seed string) string {
	s, err := l.Resolve(name, seed)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(s.Endpoints)
}

func TestResolve(t *testing.T) {
	l := open(t, locator.Options{})
	graph := []byte{0x81, 0, 0x93, 0xa1, 'x', 0xc0, 0x80}
	want := locator.Service{
		Name:      "echo",
		Endpoints: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:5000"), netip.MustParseAddrPort("[::1]:5001")},
		Version:   7,
		Graph:     graph,
	}
	expose(t, l, want)
	got, err := l.Resolve("echo", "")
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != want.Name || !slices.Equal(got.Endpoints, want.Endpoints) || got.Version != 7 || !bytes.Equal(got.Graph, graph) {
		t.Errorf("resolved to %+v, want %+v", got, want)
	}
	got.Endpoints[0] = netip.AddrPort{}
	if again := where(l, "echo", ""); again != "[127.0.0.1:5000 [::1]:5001]" {
		t.Errorf("after the caller changed its answer the service is at %s", again)
	}
	_, err = l.Resolve("ech", "")
	if !errors.Is(err, locator.ErrNotAvailable) || !strings.Contains(err.Error(), `"ech"`) {
		t.Errorf("resolve of a missing name: %v", err)
	}
}

func TestNameHasOneOwner(t *testing.T) {
	l := open(t, locator.Options{})
	first := expose(t, l, service("echo", "127.0.0.1:1"))
	if r, err := l.Expose(t.Context(), service("echo", "127.0.0.1:2")); !errors.Is(err, locator.ErrTaken) || r != nil {
		t.Fatalf("exposed twice: %v", err)
	}
	if r, err := l.Publish(service("echo", "127.0.0.1:3")); !errors.Is(err, locator.ErrTaken) || r != nil {
		t.Fatalf("published over a service of the node: %v", err)
	}
	first.Remove()
	if got := where(l, "echo", ""); !strings.Contains(got, "not available") {
		t.Fatalf("removed service is at %s", got)
	}
	second, err := l.Publish(service("echo", "127.0.0.1:4"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Expose(t.Context(), service("echo", "127.0.0.1:5")); !errors.Is(err, locator.ErrTaken) {
		t.Fatalf("exposed over a published service: %v", err)
	}
	first.Remove() // again: the name is no longer its own
	if got := where(l, "echo", ""); got != "[127.0.0.1:4]" {
		t.Errorf("after the old owner left again the service is at %s", got)
	}
	second.Remove()
	if got := where(l, "echo", ""); !strings.Contains(got, "not available") {
		t.Errorf("removed service is at %s", got)
	}
}

func TestRefusedServices(t *testing.T) {
	l := open(t, locator.Options{})
	crowd := make([]string, 65)
	for i := range crowd {
		crowd[i] = fmt.Sprintf("127.0.0.1:%d", i+1)
	}
	graph := locator.Service{Name: "x", Endpoints: service("", "127.0.0.1:1").Endpoints, Graph: []byte{0x81, 0, 0x93, 0xa1, 'x', 0xc0, 0x80}}
	negative := service("x", "127.0.0.1:1")
	negative.Version = -1
	for _, c := range []struct {
		name string
		s    locator.Service
		want error
	}{
		{"no name", service("", "127.0.0.1:1"), locator.ErrInvalid},
		{"long name", service(strings.Repeat("x", 256), "127.0.0.1:1"), locator.ErrInvalid},
		{"many endpoints", service("x", crowd...), locator.ErrInvalid},
		{"zero endpoint", locator.Service{Name: "x", Version: 1, Endpoints: make([]netip.AddrPort, 1)}, locator.ErrInvalid},
		{"negative version", negative, locator.ErrInvalid},
		{"graph without version", graph, locator.ErrNoVersion},
	} {
		if r, err := l.Expose(t.Context(), c.s); !errors.Is(err, c.want) || r != nil {
			t.Errorf("%s: Expose: %v, want %v", c.name, err, c.want)
		}
		if r, err := l.Publish(c.s); !errors.Is(err, c.want) || r != nil {
			t.Errorf("%s: Publish: %v, want %v", c.name, err, c.want)
		}
	}
	big := service("x", "127.0.0.1:1")
	big.Graph = make([]byte, 64<<10+1)
	if _, err := l.Publish(big); !errors.Is(err, locator.ErrInvalid) {
		t.Errorf("big graph: Publish: %v", err)
	}
	if got := where(l, "x", ""); !strings.Contains(got, "not available") {
		t.Errorf("a refused service is at %s", got)
	}
}

func TestPublishedServicesAreLimited(t *testing.T) {
	l := open(t, locator.Options{})
	var last *locator.Registration
	for i := range 4096 {
		r, err := l.Publish(service(fmt.Sprint("s", i), "127.0.0.1:1"))
		if err != nil {
			t.Fatal(err)
		}
		last = r
	}
	if _, err := l.Publish(service("more", "127.0.0.1:1")); !errors.Is(err, locator.ErrFull) {
		t.Errorf("published one too many: %v", err)
	}
	expose(t, l, service("own", "127.0.0.1:1")) // the node's own are not counted
	last.Remove()
	if _, err := l.Publish(service("more", "127.0.0.1:1")); err != nil {
		t.Errorf("there is room again, but: %v", err)
	}
}

func TestOpenNeedsIdentity(t *testing.T) {
	if _, err := locator.Open(t.Context(), locator.Options{}); err == nil {
		t.Error("opened without a uuid")
	}
	if _, err := locator.Open(t.Context(), locator.Options{UUID: "u", Extra: map[string]any{"x": make(chan int)}}); err == nil {
		t.Error("opened with an extra that no peer can read")
	}
}

func TestClosedLocator(t *testing.T) {
	l := open(t, locator.Options{})
	expose(t, l, service("echo", "127.0.0.1:1"))
	l.Close()
	l.Close()
	if _, err := l.Expose(t.Context(), service("late", "127.0.0.1:1")); !errors.Is(err, locator.ErrClosed) {
		t.Errorf("exposed on a closed locator: %v", err)
	}
	if got := where(l, "echo", ""); got != "[127.0.0.1:1]" {
		t.Errorf("a closed locator has the service at %s", got)
	}
}

// logger logs into a buffer.
func logger(b *logtest.Buffer) *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }
