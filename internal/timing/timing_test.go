package timing_test

import (
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/internal/timing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

// Old values weigh less by their age, whatever their number, and however often somebody
// reads.
func TestOldValuesFade(t *testing.T) {
	for _, often := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var timer timing.Timer
			at := func(rate int, d, during time.Duration) {
				for range during / time.Second {
					for range rate {
						timer.Add(d)
					}
					time.Sleep(time.Second)
					if often {
						timer.Read()
					}
				}
			}
			below := func(d time.Duration, want float64) {
				t.Helper()
				if _, h := timer.Read(); math.Abs(h.Below(d)-want) > 1 {
					t.Errorf("%v%% are below %v, want %v%%", h.Below(d), d, want)
				}
			}
			at(100, time.Millisecond, 10*time.Minute)
			below(2*time.Millisecond, 100)
			at(100, time.Second, time.Minute) // so old ones have 1/e^0.9 of all
			below(2*time.Millisecond, 40.6)
			at(1, 10*time.Second, time.Minute) // a hundredth as often: it takes its time
			below(2*time.Second, 98.6)
			time.Sleep(24 * time.Hour)
			below(2*time.Second, 98.6) // nothing is new
			timer.Add(time.Minute)
			below(11*time.Second, 0)
			if count, _ := timer.Read(); count != 66061 {
				t.Errorf("the timer has counted %d", count)
			}
			at(10, time.Millisecond, 3*time.Hour)
			below(2*time.Millisecond, 100)
		})
	}
}

// Of two timers the one with later values counts more when they become one.
func TestMergedByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var early, late timing.Timer
		early.Add(time.Millisecond)
		time.Sleep(time.Minute)
		late.Add(time.Second)
		_, a := early.Read()
		_, b := late.Read()
		_, c := late.Read()
		b.Merge(&a)
		a.Merge(&c)
		for name, h := range map[string]*timing.Histogram{"early into late": &b, "late into early": &a} {
			if p := h.Below(2 * time.Millisecond); math.Abs(p-28.9) > .1 {
				t.Errorf("%s: the early one has %v%%", name, p)
			}
		}
	})
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
	mean, deviation := h.Mean()
	if count != 8000 || h.Below(2*time.Millisecond) != 0 || h.Below(4*time.Millisecond) != 100 || math.Abs(mean-3) > .2 || deviation > 1e-6 {
		t.Errorf("the timer has counted %d, of %v ms", count, mean)
	}
}

func BenchmarkTimerOfMany(b *testing.B) {
	var timer timing.Timer
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			timer.Add(3 * time.Millisecond)
		}
	})
}

func BenchmarkTimer(b *testing.B) {
	var timer timing.Timer
	b.ReportAllocs()
	for b.Loop() {
		timer.Add(3 * time.Millisecond)
	}
}
