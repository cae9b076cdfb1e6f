package cocaine_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/locator/ring"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/standin"
)

// TestLocatorMethods holds each method of the locator to its frames.
func TestLocatorMethods(t *testing.T) {
	for name, c := range map[string]struct {
		call   func(ctx context.Context, l cocaine.Locator) (any, error)
		id     uint64
		args   []any
		answer []any
		want   any
	}{
		"resolve": {func(ctx context.Context, l cocaine.Locator) (any, error) {
			r, err := l.Resolve(ctx, "app")
			return []any{r.Name, r.Endpoints, r.Version, len(r.Methods)}, err
		}, idl.LocatorResolve, []any{"app"}, []any{[]any{[]any{"10.0.0.1", 5}}, 7, map[string]any{}},
			[]any{"app", []string{"10.0.0.1:5"}, 7, 0}},
		"resolve with a seed": {func(ctx context.Context, l cocaine.Locator) (any, error) {
			r, err := l.ResolveSeed(ctx, "group", "user")
			return r.Name, err
		}, idl.LocatorResolve, []any{"group", "user"}, []any{[]any{}, 1, map[string]any{}}, "group"},
		"refresh": {func(ctx context.Context, l cocaine.Locator) (any, error) {
			return nil, l.Refresh(ctx, "a", "b")
		}, idl.LocatorRefresh, []any{[]any{"a", "b"}}, nil, nil},
		"cluster": {func(ctx context.Context, l cocaine.Locator) (any, error) { return l.Cluster(ctx) },
			idl.LocatorCluster, nil, []any{map[string]any{"u1": []any{"::1", 10053}, "u2": []any{"0.0.0.0", 0}}},
			map[string]string{"u1": "[::1]:10053", "u2": ""}},
		"uuid": {func(ctx context.Context, l cocaine.Locator) (any, error) { return l.UUID(ctx) },
			idl.LocatorUUID, nil, []any{"u1"}, "u1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := play(t, "locator", idl.Locator)
			got := background(func() (any, error) { return c.call(patient(t), s.client.Locator()) })
			s.Want(1, c.id, c.args...)
			s.Send(1, idl.Value, c.answer...)
			if r := await(t, got, "the answer"); r.Err != nil || !reflect.DeepEqual(r.Value, c.want) {
				t.Errorf("got %#v, %v\nwant %#v", r.Value, r.Err, c.want)
			}
		})
	}
}

func TestSynchronize(t *testing.T) {
	s := play(t, "locator", idl.Locator)
	got := background(func() (list []cocaine.Announcement, err error) {
		for a, failed := range s.client.Locator().Synchronize(patient(t), "me") {
			if failed != nil {
				return list, failed
			}
			list = append(list, a)
		}
		return list, nil
	})
	s.Want(1, idl.LocatorConnect, "me")
	s.Send(1, idl.Write, "node", map[string]any{
		"storage": []any{[]any{[]any{"10.0.0.1", 5}}, 1, map[string]any{}},
		"old":     []any{[]any{}, 0, map[string]any{}},
	})
	s.Send(1, idl.Write, "node", map[string]any{})
	s.Send(1, idl.Close)
	r := await(t, got, "the announcements")
	if r.Err != nil || len(r.Value) != 2 || r.Value[0].Node != "node" {
		t.Fatalf("got %+v, %v", r.Value, r.Err)
	}
	first := r.Value[0].Services
	if len(first) != 2 || len(first["old"].Endpoints) != 0 || first["storage"].Endpoints[0] != "10.0.0.1:5" || first["storage"].Name != "storage" {
		t.Errorf("got %+v", first)
	}
	if len(r.Value[1].Services) != 0 {
		t.Errorf("got %+v", r.Value[1])
	}
}

func TestSynchronizeRefusesNonsense(t *testing.T) {
	for name, args := range map[string][]any{
		"one value":       {"node"},
		"no map":          {"node", 5},
		"no list":         {"node", map[string]any{"a": 5}},
		"node is no text": {5, map[string]any{}},
	} {
		t.Run(name, func(t *testing.T) {
			s := play(t, "locator", idl.Locator)
			got := background(func() (n int, err error) {
				for _, err = range s.client.Locator().Synchronize(patient(t), "me") {
					n++
				}
				return n, err
			})
			s.Want(1, idl.LocatorConnect, "me")
			s.Send(1, idl.Write, args...)
			if r := await(t, got, "the failure"); r.Err == nil || r.Value != 1 {
				t.Errorf("got %d pairs, %v", r.Value, r.Err)
			}
		})
	}
}

func TestRouting(t *testing.T) {
	s := play(t, "locator", idl.Locator)
	tables := make(chan cocaine.RoutingTable, 10)
	go func() {
		defer close(tables)
		for table, err := range s.client.Locator().Routing(patient(t), "router") {
			if err != nil {
				t.Error(err)
			}
			tables <- table
			if len(table) > 0 {
				return
			}
		}
	}()
	s.Want(1, idl.LocatorRouting, "router")
	s.Send(1, idl.Write, map[string]any{})
	s.Send(1, idl.Write, map[string]any{"g": []any{[]any{5, "a"}, []any{uint32(1 << 31), "b"}}})
	if got := await(t, tables, "a table"); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	want := cocaine.RoutingTable{"g": {{5, "a"}, {1 << 31, "b"}}}
	if got := await(t, tables, "a table"); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	s.Want(1, idl.LocatorDiscard) // the loop was left
	await(t, tables, "the end")
}

// Whoever picks by the table picks what the locator would.
func TestRoutingTableShares(t *testing.T) {
	const quarter = 1 << 30
	table := cocaine.RoutingTable{
		"app":  {{quarter - 1, "a"}, {2*quarter - 1, "b"}, {4*quarter - 1, "a"}},
		"wrap": {{quarter - 1, "a"}, {2*quarter - 1, "b"}}, // what lies above is a's
		"one":  {{5, "a"}},
		"none": nil,
	}
	for group, want := range map[string]map[string]float64{
		"app": {"a": 0.75, "b": 0.25}, "wrap": {"a": 0.75, "b": 0.25}, "one": {"a": 1}, "none": nil, "nosuch": nil,
	} {
		if have := table.Shares(group); !maps.Equal(have, want) {
			t.Errorf("shares of %s: %v, want %v", group, have, want)
		}
	}
}

func TestRoutingTablePick(t *testing.T) {
	g, err := ring.New(map[string]uint32{"app_v1": 1, "app_v2": 3, "app_v3": 2})
	if err != nil {
		t.Fatal(err)
	}
	table := cocaine.RoutingTable{"app": nil, "edge": nil}
	for point, name := range g.All() {
		table["app"] = append(table["app"], cocaine.RoutingPoint{Point: point, Service: name})
	}
	seeds := []string{"user1", "user2", "42", "hello", ""}
	for i := range 500 {
		seeds = append(seeds, strings.Repeat("x", i))
	}
	for _, seed := range seeds {
		if got, want := table.Pick("app", seed), g.Lookup([]byte(seed)); got != want {
			t.Errorf("seed %q picks %q, want %q", seed, got, want)
		}
	}
	// A seed right on a point belongs to the next one, one above all to the first.
	at := ring.Hash([]byte("seed"))
	table["edge"] = []cocaine.RoutingPoint{{at, "at"}, {at + 1, "after"}}
	if got := table.Pick("edge", "seed"); got != "after" {
		t.Errorf("on a point: %q", got)
	}
	table["edge"] = []cocaine.RoutingPoint{{at - 1, "first"}, {at, "last"}}
	if got := table.Pick("edge", "seed"); got != "first" {
		t.Errorf("past the last point: %q", got)
	}
	if got := table.Pick("nosuch", "seed"); got != "nosuch" {
		t.Errorf("no such group: %q", got)
	}
}

func TestPublish(t *testing.T) {
	s := play(t, "locator", idl.Locator)
	l := s.client.Locator()
	got := background(func() (*cocaine.Publication, error) {
		return l.Publish(patient(t), cocaine.Resolution{Name: "db", Endpoints: []string{"10.0.0.7:5432", "[::1]:1"}})
	})
	s.Want(1, idl.LocatorPublish, "db", []any{[]any{"10.0.0.7", 5432}, []any{"::1", 1}})
	s.Send(1, idl.Value)
	r := await(t, got, "the publication")
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	if r.Value.Name() != "db" {
		t.Errorf("the service is called %q", r.Value.Name())
	}
	for range 2 {
		if err := r.Value.Close(); err != nil {
			t.Error(err)
		}
	}
	s.Want(1, idl.LocatorDiscard)
}

// What was resolved is published with all that was told of it.
func TestPublishResolved(t *testing.T) {
	s := play(t, "locator", idl.Locator)
	l := s.client.Locator()
	resolved := background(func() (*cocaine.Resolution, error) { return l.Resolve(patient(t), "storage") })
	s.Want(1, idl.LocatorResolve, "storage")
	answer := idl.Storage.AppendGraph([]byte{0x94, 1, 0, 0x93, 0x91, 0x92, 0xa3, ':', ':', '1', 9, 1})
	s.Write(append(answer, 0x90))
	r := await(t, resolved, "the resolution")
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	other := *r.Value
	other.Name = "vault"
	got := background(func() (*cocaine.Publication, error) { return l.Publish(patient(t), other) })
	f := s.Recv()
	want := idl.Storage.AppendGraph([]byte("\x93\xa5vault\x91\x92\xa3::1\x09\x92\x01"))
	if f.Channel != 2 || f.Type != idl.LocatorPublish || string(f.Args) != string(want) {
		t.Errorf("got frame %v", f)
	}
	s.Send(2, idl.Error, []any{idl.CategoryLocator, idl.LocatorAlreadyPublished}, "taken")
	p := await(t, got, "the refusal")
	if p.Err == nil || p.Value != nil || p.Err.Error() != `cannot publish service "vault": taken [10, 4]` {
		t.Errorf("got %v, %v", p.Value, p.Err)
	}
}

func TestPublishNeedsNumericEndpoints(t *testing.T) {
	s := play(t, "locator", idl.Locator)
	for _, endpoint := range []string{"localhost:1", "10.0.0.1", "10.0.0.1:x", ""} {
		_, err := s.client.Locator().Publish(patient(t), cocaine.Resolution{Name: "db", Endpoints: []string{endpoint}})
		if err == nil || !strings.HasPrefix(err.Error(), `cannot publish service "db": endpoint "`) {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
	s.wantBytes(t, "")
}

// publisher is a locator that notes who publishes, and who stops to. The first
// refusals of them are refused.
func publisher(t *testing.T, refusals int) (l *standin.Service, published, withdrawn chan string) {
	published, withdrawn = make(chan string, 10), make(chan string, 10)
	m := rpc.NewMux(idl.Locator, rpc.MuxOptions{})
	m.Stream("publish", func(ctx context.Context, c *rpc.Call, s *rpc.Stream) error {
		args := c.Reader()
		name := args.String()
		if refusals--; refusals >= 0 {
			return rpc.Errorf(idl.CategoryLocator, idl.LocatorAlreadyPublished, "it is published")
		}
		published <- name
		if err := s.Send(ctx, idl.Value, nil); err != nil {
			return err
		}
		if m, err := s.Recv(ctx); err == nil && m.Type == idl.LocatorDiscard {
			withdrawn <- name
		}
		return nil
	})
	return standin.Listen(t, m), published, withdrawn
}

// A publication moves on to another locator, and is told to it until it takes it.
func TestPublicationIsKept(t *testing.T) {
	first, published, withdrawn := publisher(t, 0)
	second, publishedAgain, withdrawnThere := publisher(t, 3)
	client, err := cocaine.New(cocaine.Options{Locators: []string{first.Addr(), second.Addr()}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithCancel(patient(t))
	p, err := client.Locator().Publish(ctx, cocaine.Resolution{Name: "db", Endpoints: []string{"10.0.0.7:5432"}})
	if err != nil {
		t.Fatal(err)
	}
	cancel() // means nothing to it any more
	await(t, published, "the publication")
	first.Stop()
	await(t, publishedAgain, "the publication at another locator")
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	await(t, withdrawnThere, "the withdrawal")
	if len(withdrawn) > 0 || len(published) > 0 || len(publishedAgain) > 0 {
		t.Error("it was published or withdrawn once more")
	}
}

// Close ends the attempts to publish again.
func TestPublicationIsGivenUp(t *testing.T) {
	l, published, _ := publisher(t, 0)
	client, err := cocaine.New(cocaine.Options{Locators: []string{l.Addr()}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	p, err := client.Locator().Publish(patient(t), cocaine.Resolution{Name: "db"})
	if err != nil {
		t.Fatal(err)
	}
	await(t, published, "the publication")
	l.Stop()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestPublicationEndsWithTheClient(t *testing.T) {
	l, published, _ := publisher(t, 0)
	client, err := cocaine.New(cocaine.Options{Locators: []string{l.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := client.Locator().Publish(patient(t), cocaine.Resolution{Name: "db"})
	if err != nil {
		t.Fatal(err)
	}
	await(t, published, "the publication")
	client.Close()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := client.Locator().Publish(patient(t), cocaine.Resolution{Name: "db"}); !errors.Is(err, cocaine.ErrClosed) {
		t.Errorf("published by a closed client: %v", err)
	}
}
