package hist

import (
	"math"
	"testing"
	"time"
)

func TestQuantileIsWithinTwoPercent(t *testing.T) {
	var h H
	const n = 100_000
	for i := 1; i <= n; i++ {
		h.Record(time.Duration(i) * time.Microsecond)
	}
	for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		want := math.Max(1, q*n) * float64(time.Microsecond)
		if got := float64(h.Quantile(q)); math.Abs(got-want)/want > 0.02 {
			t.Errorf("quantile %v is %v, want %v", q, time.Duration(got), time.Duration(want))
		}
	}
}

func TestBucketsCoverEverythingOnce(t *testing.T) {
	var next uint64
	for i := range powers * sub {
		low, high := bounds(i)
		if low != next || high < low {
			t.Fatalf("bucket %d is %d..%d, want it to start at %d", i, low, high, next)
		}
		if bucket(low) != i || bucket(high) != i {
			t.Fatalf("bucket %d: its bounds %d and %d fall into %d and %d", i, low, high, bucket(low), bucket(high))
		}
		next = high + 1
	}
}

func TestExtremes(t *testing.T) {
	var h H
	if h.Quantile(0.5) != 0 {
		t.Error("the median of nothing is not zero")
	}
	h.Record(-time.Second)
	h.Record(1000 * time.Hour)
	if h.Count() != 2 || h.Quantile(0) != 0 || h.Quantile(1) < 8*time.Minute {
		t.Errorf("%d records from %v to %v", h.Count(), h.Quantile(0), h.Quantile(1))
	}
}

func TestAdd(t *testing.T) {
	var a, b H
	a.Record(10)
	b.Record(20)
	b.Record(30)
	a.Add(&b)
	if a.Count() != 3 || a.Quantile(0.5) != 20 {
		t.Errorf("%d records, median %d", a.Count(), a.Quantile(0.5))
	}
}

func TestRecordDoesNotAllocate(t *testing.T) {
	var h H
	if n := testing.AllocsPerRun(100, func() { h.Record(12345) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
