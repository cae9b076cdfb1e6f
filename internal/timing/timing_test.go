package timing_test

import (
	"math"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/internal/timing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fading is how many values halve the weight of those before.
const fading = 1 << 20

func TestHistogramOfNothing(t *testing.T) {
	var h timing.Histogram
	mean, deviation := h.Mean()
	if h.Quantile(.5) != 0 || h.Below(time.Second) != 0 || mean != 0 || deviation != 0 {
		t.Error("an empty histogram has values")
	}
}

// What a histogram tells of one duration is true to an eighth, or to a microsecond.
func TestHistogramOfOne(t *testing.T) {
	for us := time.Duration(0); us < 1<<40; us += 1 + us/3 {
		var h timing.Histogram
		h.Add(us * time.Microsecond)
		ms := float64(us) / 1000
		if q := h.Quantile(.99); q < ms || q > ms*1.13+.0011 {
			t.Errorf("of %d us, 99%% take at most %v ms", us, q)
		}
		if mean, deviation := h.Mean(); math.Abs(mean-ms) > ms*.07+.001 || deviation != 0 {
			t.Errorf("the mean of %d us is %v ms, the deviation %v ms", us, mean, deviation)
		}
		if h.Below(us*time.Microsecond) != 100 || us > 8 && h.Below(us*7/8*time.Microsecond) != 0 {
			t.Errorf("%d us are not below themselves, or below less", us)
		}
	}
	for _, d := range []time.Duration{-time.Second, math.MinInt64, math.MaxInt64} {
		var h timing.Histogram
		h.Add(d)
		if h.Quantile(1) <= 0 {
			t.Errorf("%v is not counted", d)
		}
	}
}

func TestQuantiles(t *testing.T) {
	var h timing.Histogram
	for ms := range 1000 {
		h.Add(time.Duration(ms+1) * time.Millisecond)
	}
	for share, ms := range map[float64]float64{0: 1, .5: 500, .75: 750, .9: 900, .95: 950, .99: 990, 1: 1000} {
		if q := h.Quantile(share); q < ms || q > ms*1.13 {
			t.Errorf("%v of the values do not exceed %v ms", share, q)
		}
	}
	mean, deviation := h.Mean()
	if math.Abs(mean-500.5) > 5 || math.Abs(deviation-288.7) > 5 {
		t.Errorf("mean %v, deviation %v", mean, deviation)
	}
	if p := h.Below(250 * time.Millisecond); math.Abs(p-25) > 3 {
		t.Errorf("%v%% are below a quarter", p)
	}
	var sum timing.Histogram
	sum.Merge(&h)
	sum.Merge(&h)
	if twice, _ := sum.Mean(); math.Abs(twice-mean) > 1e-9 || sum.Quantile(.5) != h.Quantile(.5) {
		t.Errorf("two of the same have another mean: %v", twice)
	}
}

func TestOldValuesFade(t *testing.T) {
	var h timing.Histogram
	var timer timing.Timer
	add := func(n int, d time.Duration) {
		for range n {
			h.Add(d)
			timer.Add(d)
		}
	}
	add(fading, time.Millisecond)
	if p := h.Below(2 * time.Millisecond); p != 100 {
		t.Errorf("%v%% are below 2 ms", p)
	}
	add(fading, time.Second) // half of the values, and more of the weight
	count, read := timer.Read()
	if count != 2*fading {
		t.Errorf("the timer has counted %d", count)
	}
	for name, h := range map[string]*timing.Histogram{"histogram": &h, "timer": &read} {
		if q := h.Quantile(.45); q < 1000 {
			t.Errorf("old values do not fade in a %s: 45%% take at most %v ms", name, q)
		}
	}
}

// Many tell a timer at once, and none is lost.
func TestTimerOfMany(t *testing.T) {
	var timer timing.Timer
	if count, h := timer.Read(); count != 0 || h.Quantile(.5) != 0 {
		t.Error("a timer has values before the first")
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				timer.Add(3 * time.Millisecond)
				timer.Read()
			}
		})
	}
	wg.Wait()
	count, h := timer.Read()
	var want timing.Histogram
	for range 8000 {
		want.Add(3 * time.Millisecond)
	}
	if count != 8000 || h != want {
		t.Errorf("the timer has counted %d, and 99%% took at most %v ms", count, h.Quantile(.99))
	}
}

func BenchmarkTimer(b *testing.B) {
	var timer timing.Timer
	b.ReportAllocs()
	for b.Loop() {
		timer.Add(3 * time.Millisecond)
	}
}
