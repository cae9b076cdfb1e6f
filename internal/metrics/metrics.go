// Package metrics is the service `metrics`: the numbers of the runtime and its apps, by
// dotted names, and a small language that says which of them (docs/PROTOCOL.md,
// metrics).
//
// The package measures nothing: a Source tells what the metrics are at the moment. It
// is asked by the goroutine of each call, and has to be safe for concurrent use.
package metrics

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/cocaine/cocaine-go/internal/timing"
)

// Kind is what the query language calls the type of a metric.
type Kind string

// The kinds. A gauge is what is now, a counter only grows, a meter counts events and
// how fast they come, a timer is a meter of events that take time.
const (
	Gauge   Kind = "gauge"
	Counter Kind = "counter"
	Meter   Kind = "meter"
	Timer   Kind = "timer"
)

// Metric is one of them at a moment.
type Metric struct {
	Name string
	Kind Kind
	Tags map[string]string
	// Values are what it consists of: that of a gauge or a counter has no name, those
	// of meters and timers have, such as "m01rate". They are numbers, texts or bools.
	Values map[string]any
	// More is set for what the original does not tell, which is told to who asks for more.
	More bool
}

// More makes a metric one of those that the original does not tell.
func More(m Metric) Metric {
	m.More = true
	return m
}

// NewGauge makes a gauge.
func NewGauge(name string, value any) Metric { return simple(name, Gauge, value) }

// NewCounter makes a counter.
func NewCounter(name string, value any) Metric { return simple(name, Counter, value) }

func simple(name string, k Kind, value any) Metric {
	return Metric{Name: name, Kind: k, Values: map[string]any{"": value}}
}

// NewMeter makes a meter of a number of events and their rates per second in the last
// 1, 5 and 15 minutes.
func NewMeter(name string, count any, rates [3]float64) Metric {
	return Metric{Name: name, Kind: Meter, Values: map[string]any{
		"count": count, "m01rate": rates[0], "m05rate": rates[1], "m15rate": rates[2]}}
}

// NewTimer makes a timer of a number of events, their rates, and of how long they took:
// what that tells is in milliseconds.
func NewTimer(name string, count any, rates [3]float64, took *timing.Histogram) Metric {
	m := NewMeter(name, count, rates)
	m.Kind = Timer
	for q, share := range map[string]float64{"p50": .5, "p75": .75, "p90": .9, "p95": .95, "p98": .98, "p99": .99} {
		m.Values[q] = took.Quantile(share)
	}
	m.Values["mean"], m.Values["stddev"] = took.Mean()
	return m
}

// Source tells the metrics that there are.
type Source func(ctx context.Context) ([]Metric, error)

// value is one number with its full name.
type value struct {
	name  string
	value any
}

// flatten gives the values of the metrics that a query selects, by name.
func flatten(all []Metric, q *Query, more bool) (out []value, err error) {
	for i := range all {
		m := &all[i]
		if m.More && !more {
			continue
		}
		if wanted, err := q.Selects(m); err != nil {
			return nil, err
		} else if !wanted {
			continue
		}
		for name, v := range m.Values {
			if name == "" {
				out = append(out, value{m.Name, v})
			} else {
				out = append(out, value{m.Name + "." + name, v})
			}
		}
	}
	slices.SortFunc(out, func(a, b value) int { return cmp.Compare(a.name, b.name) })
	return out, nil
}

// plain gives a flat map.
func plain(values []value) map[string]any {
	m := make(map[string]any, len(values))
	for _, v := range values {
		m[v.name] = v.value
	}
	return m
}

// maxLevels is how deep a tree may be, so that it can be sent. What is left of a longer
// name stays in one piece.
const maxLevels = 16

// tree splits names at their dots, of which several count as one. Where a name is that
// of a branch, too, the one that comes later in the order of names wins.
func tree(values []value) map[string]any {
	root := make(map[string]any)
	for _, v := range values {
		parts := slices.DeleteFunc(strings.Split(v.name, "."), func(p string) bool { return p == "" })
		if len(parts) == 0 {
			continue
		}
		if len(parts) > maxLevels {
			parts = append(parts[:maxLevels-1:maxLevels-1], strings.Join(parts[maxLevels-1:], "."))
		}
		at := root
		for _, p := range parts[:len(parts)-1] {
			next, ok := at[p].(map[string]any)
			if !ok {
				next = make(map[string]any)
				at[p] = next
			}
			at = next
		}
		at[parts[len(parts)-1]] = v.value
	}
	return root
}
