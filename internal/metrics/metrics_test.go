package metrics_test

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/metrics"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
	"github.com/cocaine/cocaine-go/internal/timing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type (
	dict = map[string]any
	list = []any
)

// some are a metric of each kind.
func some() []metrics.Metric {
	var took timing.Histogram
	took.Add(time.Millisecond) // which is between .960 and 1.024
	tagged := metrics.NewCounter("app.requests.accepted", 7)
	tagged.Tags = map[string]string{"app": "hello"}
	return []metrics.Metric{tagged,
		metrics.NewGauge("app.queue..depth", 1.5),
		metrics.NewMeter("app.rate", 10, [3]float64{1, 2, 3}),
		metrics.NewTimer("app.timings", 4, [3]float64{4, 5, 6}, &took),
		metrics.NewGauge("app.rate.m01rate", "collides"),
	}
}

func play(t *testing.T, source metrics.Source) *rpctest.Peer {
	return rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: metrics.Service(source, rpc.MuxOptions{})}})
}

func TestFetch(t *testing.T) {
	p := play(t, func(context.Context) ([]metrics.Metric, error) { return some()[:4], nil })
	flat := dict{"app.requests.accepted": 7, "app.queue..depth": 1.5,
		"app.rate.count": 10, "app.rate.m01rate": 1.0, "app.rate.m05rate": 2.0, "app.rate.m15rate": 3.0,
		"app.timings.count": 4, "app.timings.m01rate": 4.0, "app.timings.m05rate": 5.0, "app.timings.m15rate": 6.0,
		"app.timings.p50": 1.024, "app.timings.p75": 1.024, "app.timings.p90": 1.024, "app.timings.p95": 1.024, "app.timings.p98": 1.024,
		"app.timings.p99": 1.024, "app.timings.mean": .992, "app.timings.stddev": 0.0}
	p.Send(1, idl.MetricsFetch)
	p.Want(1, idl.Value, flat)
	p.Send(2, idl.MetricsFetch, "plain")
	p.Want(2, idl.Value, flat)
	p.Send(3, idl.MetricsFetch, "", nil)
	p.Want(3, idl.Value, flat)
	p.Send(4, idl.MetricsFetch, "json", nil, "surplus")
	p.Want(4, idl.Value, dict{"app": dict{"requests": dict{"accepted": 7}, "queue": dict{"depth": 1.5},
		"rate": dict{"count": 10, "m01rate": 1.0, "m05rate": 2.0, "m15rate": 3.0},
		"timings": dict{"count": 4, "m01rate": 4.0, "m05rate": 5.0, "m15rate": 6.0,
			"p50": 1.024, "p75": 1.024, "p90": 1.024, "p95": 1.024, "p98": 1.024, "p99": 1.024, "mean": .992, "stddev": 0.0}}})
	p.Send(5, idl.MetricsFetch, "plain", dict{"eq": list{dict{"type": list{}}, dict{"const": list{"gauge"}}}})
	p.Want(5, idl.Value, dict{"app.queue..depth": 1.5})
	p.Send(6, idl.MetricsFetch, "json", dict{"eq": list{dict{"const": list{"a"}}, dict{"const": list{"b"}}}})
	p.Want(6, idl.Value, dict{})
}

// What the original does not tell is told to who asks for it, by an argument that the
// original takes no notice of.
func TestFetchMore(t *testing.T) {
	p := play(t, func(context.Context) ([]metrics.Metric, error) {
		return []metrics.Metric{metrics.NewGauge("a", 1), metrics.More(metrics.NewGauge("b", 2))}, nil
	})
	for i, args := range [][]any{{}, {"plain"}, {"plain", nil}, {"plain", nil, false}, {"plain", nil, "true"}, {"plain", nil, 1}} {
		p.Send(uint64(1+i), idl.MetricsFetch, args...)
		p.Want(uint64(1+i), idl.Value, dict{"a": 1})
	}
	p.Send(20, idl.MetricsFetch, "plain", nil, true)
	p.Want(20, idl.Value, dict{"a": 1, "b": 2})
	p.Send(21, idl.MetricsFetch, "json", dict{"eq": list{dict{"name": list{}}, dict{"const": list{"b"}}}}, true)
	p.Want(21, idl.Value, dict{"b": 2})
}

// TestTreeOfOddNames: names that are branches, too, and names of many parts.
func TestTreeOfOddNames(t *testing.T) {
	long := strings.Repeat("x.", 40) + "y"
	p := play(t, func(context.Context) ([]metrics.Metric, error) {
		return []metrics.Metric{metrics.NewGauge("a", 1), metrics.NewGauge("a.b", 2), metrics.NewGauge("...", 3), metrics.NewGauge(long, 4)}, nil
	})
	p.Send(1, idl.MetricsFetch, "json")
	v := p.Recv().Values()[0].(dict)
	if b, ok := v["a"].(dict); !ok || b["b"] != int64(2) || len(v) != 2 {
		t.Errorf("got %v", v)
	}
	depth := 0
	for at, ok := v["x"].(dict); ok; depth++ {
		for _, next := range at {
			at, ok = next.(dict)
		}
	}
	if depth != 15 {
		t.Errorf("the tree has %d levels", depth+1)
	}
}

func TestRefuses(t *testing.T) {
	broken := rpc.Errorf(idl.CategoryGeneric, idl.GenericIO, "out of order")
	p := play(t, func(context.Context) ([]metrics.Metric, error) { return nil, broken })
	channel := uint64(0)
	want := func(category, code int, args ...any) {
		t.Helper()
		channel++
		p.Send(channel, idl.MetricsFetch, args...)
		p.WantError(channel, category, code)
	}
	want(idl.CategoryDispatch, idl.DispatchBadArgs, nil)
	want(idl.CategoryDispatch, idl.DispatchBadArgs, 5)
	want(idl.CategoryGeneric, idl.GenericInvalid, "xml")
	want(idl.CategoryGeneric, idl.GenericInvalid, "plain", "name")
	want(idl.CategoryGeneric, idl.GenericInvalid, "plain", dict{"nothing": list{}})
	want(idl.CategoryDispatch, idl.DispatchUncaught, "plain", dict{"nothing": "text"})
	want(idl.CategoryGeneric, idl.GenericIO)
	p = play(t, func(context.Context) ([]metrics.Metric, error) { return some(), nil })
	channel = 0
	name, number := dict{"name": list{}}, dict{"const": list{5}}
	want(idl.CategoryDispatch, idl.DispatchUncaught, "plain", dict{"contains": list{name, number}})
	want(idl.CategoryDispatch, idl.DispatchUncaught, "plain", dict{"contains": list{number, name}})
	want(idl.CategoryDispatch, idl.DispatchUncaught, "json", dict{"eq": list{dict{"tag": list{number}}, name}})
}

func TestQueries(t *testing.T) {
	name, kind := dict{"name": list{}}, dict{"type": list{}}
	is := func(text any) dict { return dict{"const": list{text}} }
	all := []string{"app.queue..depth", "app.rate", "app.rate.m01rate", "app.requests.accepted", "app.timings"}
	for _, c := range []struct {
		query any
		want  []string
	}{
		{nil, all},
		{dict{"eq": list{name, is("app.rate")}}, []string{"app.rate"}},
		{dict{"contains": list{name, is("rate")}}, []string{"app.rate", "app.rate.m01rate"}},
		{dict{"contains": list{kind, is("er")}}, []string{"app.rate", "app.requests.accepted", "app.timings"}},
		{dict{"ge": list{name, is("zzz")}}, all},
		{dict{"ge": list{1, nil}}, all},
		{dict{"and": list{dict{"contains": list{name, is("rate")}}, dict{"eq": list{kind, is("meter")}}}}, []string{"app.rate"}},
		{dict{"or": list{dict{"eq": list{kind, is("timer")}}, dict{"eq": list{kind, is("meter")}}}}, []string{"app.rate", "app.timings"}},
		{dict{"eq": list{dict{"tag": list{is("app")}}, is("hello")}}, []string{"app.requests.accepted"}},
		{dict{"eq": list{dict{"tag": list{is("none")}}, is("")}}, all},
		{dict{"eq": list{is(int64(5)), is("5")}}, nil},
		{dict{"eq": list{is(int64(5)), is(int64(7))}}, all}, // whole numbers are hardly compared
		{dict{"eq": list{is(int64(0)), is(int64(0))}}, nil},
		{dict{"eq": list{is(int64(-5)), is(int64(-7))}}, all},
		{dict{"eq": list{is(int64(-5)), is(uint64(1 << 63))}}, nil},
		{dict{"eq": list{is(1.5), is(1.5)}}, all},
		{dict{"eq": list{is(nil), is(nil)}}, all},
		{dict{"eq": list{is(true), is(false)}}, nil},
		{dict{"eq": list{is(list{"a", dict{"b": 1.5}}), is(list{"a", dict{"b": 1.5}})}}, all},
		{dict{"eq": list{is(list{"a"}), is("a")}}, nil},
		{dict{"eq": list{is("a"), is(list{"a"})}}, nil},
		{dict{"eq": list{is(nil), is(dict{})}}, nil},
		{dict{"and": list{}}, all},
		{dict{"or": list{}}, nil},
		{dict{"eq": list{dict{"tag": list{is("name")}}, name}}, all},
		{dict{"eq": list{dict{"tag": list{is("type")}}, is("timer")}}, []string{"app.timings"}},
		{dict{"and": list{dict{"eq": list{name, is("none")}}, dict{"contains": list{name, is(5.5)}}}}, nil}, // it is not come to
	} {
		q, err := metrics.ParseQuery(c.query)
		if err != nil {
			t.Errorf("%v: %v", c.query, err)
			continue
		}
		got := map[string]bool{}
		for _, m := range some() {
			wanted, err := q.Selects(&m)
			if err != nil {
				t.Errorf("%v: %v", c.query, err)
			}
			if wanted {
				got[m.Name] = true
			}
		}
		if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, c.want) {
			t.Errorf("%v selects %v, want %v", c.query, names, c.want)
		}
	}
}

func nested(depth int) any {
	query := any(dict{"eq": list{dict{"name": list{}}, dict{"name": list{}}}})
	for range depth - 2 {
		query = dict{"and": list{query}}
	}
	return query
}

func TestBadQueries(t *testing.T) {
	name := dict{"name": list{}}
	for _, c := range []struct {
		query any
		want  string
	}{
		{"name", "want a map"}, {list{}, "want a map"}, {dict{}, "want a map"}, {dict{"eq": list{}, "or": list{}}, "want a map"},
		{dict{"eq": nil}, `arguments of "eq" are <nil>`}, {dict{"eq": list{name}}, `operator "eq" has 1 arguments, want 2`},
		{dict{"ne": list{name, name}}, `unknown filter "ne"`}, {dict{"name": list{}}, `unknown filter "name"`},
		{dict{"or": list{"x"}}, "want a map"}, {dict{"eq": list{name, "x"}}, "want a map"},
		{dict{"eq": list{"x", name}}, "want a map"}, {dict{"eq": list{name, dict{"name": list{"x"}}}}, "want 0"}, {dict{"eq": list{name, dict{"type": list{"x"}}}}, "want 0"},
		{dict{"eq": list{name, dict{"const": list{}}}}, "want 1"},
		{dict{"eq": list{name, dict{"tag": list{}}}}, "want 1"}, {dict{"eq": list{name, dict{"tag": list{"x"}}}}, "want a map"},
		{dict{"eq": list{name, dict{"eq": list{}}}}, `unknown operator "eq"`}, {nested(13), "nested deeper than 12"},
	} {
		if q, err := metrics.ParseQuery(c.query); q != nil || !errors.Is(err, metrics.ErrQuery) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.query, err, c.want)
		}
	}
	if _, err := metrics.ParseQuery(nested(12)); err != nil {
		t.Errorf("the deepest query: %v", err)
	}
	if _, err := metrics.DecodeQuery(make([]byte, metrics.MaxBytes+1)); !errors.Is(err, metrics.ErrQuery) {
		t.Errorf("a large query: %v", err)
	}
}

// FuzzQuery: what decodes judges any metric.
func FuzzQuery(f *testing.F) {
	for _, q := range []any{nil, nested(4), dict{"contains": list{dict{"tag": list{dict{"const": list{"app"}}}}, dict{"const": list{1.5}}}}} {
		b, err := msgpack.AppendValue(nil, q)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := metrics.DecodeQuery(b)
		if err != nil && !errors.Is(err, metrics.ErrQuery) {
			t.Error(err)
		}
		if err != nil {
			return
		}
		for _, m := range some() {
			if _, err := q.Selects(&m); err != nil && rpc.AsError(err).Category != idl.CategoryDispatch {
				t.Error(err)
			}
		}
	})
}

func TestGrowth(t *testing.T) {
	var g metrics.Growth
	at := time.Unix(1000, 0)
	if have := g.Rates(50, at); have != [3]float64{} {
		t.Errorf("the first rates are %v", have)
	}
	near := func(have [3]float64, want ...float64) {
		t.Helper()
		for i := range want {
			if math.Abs(have[i]-want[i]) > 0.005 {
				t.Errorf("the rates are %v, want %v", have, want)
				return
			}
		}
	}
	// Ten a second for a minute: 1-1/e of it is known by then, and less to the slower.
	near(g.Rates(650, at.Add(time.Minute)), 6.321, 1.813, 0.645)
	near(g.Rates(700, at.Add(time.Minute)), 6.321, 1.813, 0.645) // at the same time
	for i := range 120 {
		g.Rates(650+uint64(i+1)*600, at.Add(time.Duration(i+2)*time.Minute))
	}
	near(g.Rates(650+120*600, at.Add(121*time.Minute)), 10, 10, 9.997)
	near(g.Rates(0, at.Add(24*time.Hour)), 0, 0, 0) // counted anew, long after
}
