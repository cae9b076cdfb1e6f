package result

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		of   []float64
		want float64
	}{
		{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5},
	} {
		if got := Median(c.of); got != c.want {
			t.Errorf("the median of %v is %v, want %v", c.of, got, c.want)
		}
	}
}

func TestSummarize(t *testing.T) {
	got := Summarize([]Sample{
		{RPS: 100, P50: 10, P99: 50, ServerCPU: 3, Foreign: 0.5},
		{RPS: 0}, // nothing was answered: no latency
		{RPS: 300, P50: 20, P99: 70, ServerCPU: 5, Foreign: 0.1},
	})
	want := Figures{RPS: 100, P50: 15, P99: 60, Slowest: 0, Fastest: 300, ServerCPU: 3, Foreign: 0.1, Rounds: 3}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// The ratio is that of rounds, not of medians: here each round says one half,
// though the medians say otherwise.
func TestCompareGoesByRounds(t *testing.T) {
	ours := []Sample{{RPS: 10, P50: 4}, {RPS: 100, P50: 40}, {RPS: 50, P50: 8}}
	theirs := []Sample{{RPS: 20, P50: 2}, {RPS: 200, P50: 20}, {RPS: 100, P50: 4}, {RPS: 1, P50: 1}}
	if rps, p50 := Compare(ours, theirs); rps != 0.5 || p50 != 2 {
		t.Errorf("got %v, %v", rps, p50)
	}
	if rps, p50 := Compare(ours, []Sample{{}}); rps != 0 || p50 != 0 {
		t.Errorf("against nothing: %v, %v", rps, p50)
	}
}

func TestWriteAndRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results", "latest.json")
	cell := Cell{Bytes: 128, Connections: 1, InFlight: 256}
	r := &Results{
		Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Rounds: 3,
		Echo:      []Echo{{Target: Forwarder, Cell: cell, Figures: Figures{RPS: 5, P50: 6, P99: 7}}},
		ColdStart: &ColdStart{Bare: 1.5},
	}
	if err := r.Write(path); err != nil {
		t.Fatal(err)
	}
	again, err := Read(path)
	if err != nil || !reflect.DeepEqual(r, again) {
		t.Errorf("got %+v, %v", again, err)
	}
	if f, ok := again.Find(Forwarder, cell); !ok || f.RPS != 5 {
		t.Errorf("found %+v, %v", f, ok)
	}
	if _, ok := again.Find(NATS, cell); ok {
		t.Error("found what is not there")
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none")); err == nil || !strings.HasPrefix(err.Error(), "cannot read results") {
		t.Errorf("a missing file: %v", err)
	}
}
