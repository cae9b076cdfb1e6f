package v011

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// The calls of a connection are found until they end, whatever the order of their
// ends.
func TestWindow(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var c window[answer]
	want := make(map[uint64]uint64)
	var last uint64
	for range 60000 {
		if most := []int{3, 40, 3 * maxSlots}[min(last/10000, 2)]; len(want) < most && rng.IntN(3) > 0 {
			last++
			want[last] = rng.Uint64()
			c.put(last, answer{session: want[last]})
			continue
		}
		for channel, session := range want { // any
			if a, ok := c.get(channel); !ok || a.session != session {
				t.Fatalf("channel %d is %v, %v", channel, a, ok)
			}
			if a, ok := c.take(channel); !ok || a.session != session {
				t.Fatalf("channel %d is %v, %v", channel, a, ok)
			}
			delete(want, channel)
			if _, ok := c.get(channel); ok {
				t.Fatalf("channel %d is open after its end", channel)
			}
			if _, ok := c.take(channel); ok {
				t.Fatalf("channel %d ends twice", channel)
			}
			break
		}
		if c.len() != len(want) {
			t.Fatalf("%d calls, want %d", c.len(), len(want))
		}
	}
	for _, channel := range []uint64{0, held, last + 1} {
		if _, ok := c.take(channel); ok {
			t.Errorf("channel %d is open", channel)
		}
	}
	if len(c.current()) <= keptSlots {
		t.Errorf("a window of %d for %d calls", len(c.current()), len(want))
	}
	for channel := range want {
		c.take(channel)
	}
	if c.len() != 0 || len(c.rest) != 0 {
		t.Errorf("%d calls and %d others are left", c.len(), len(c.rest))
	}
	for range maxSlots {
		last++
		c.put(last, answer{})
		c.take(last)
	}
	if len(c.current()) > keptSlots {
		t.Errorf("a window of %d for one call", len(c.current()))
	}
}

// One call that never ends does not make the window grow.
func TestLongCall(t *testing.T) {
	var c window[answer]
	c.put(1, answer{session: 5})
	for channel := uint64(2); channel < 100000; channel++ {
		c.put(channel, answer{})
		c.take(channel)
	}
	if len(c.current()) > minSlots {
		t.Errorf("%d slots for one call", len(c.current()))
	}
	if a, ok := c.take(1); !ok || a.session != 5 {
		t.Errorf("the long call is %v, %v", a, ok)
	}
}

// Calls end on other goroutines than the one that makes them, while the window grows
// and shrinks. Each is found, and ends once.
func TestWindowTogether(t *testing.T) {
	var c window[answer]
	var enders sync.WaitGroup
	made := make(chan uint64, 3*keptSlots)
	for range 4 {
		enders.Go(func() {
			var mine []uint64
			end := func(most int) {
				for ; len(mine) > most; mine = mine[1:] {
					if a, ok := c.get(mine[0]); !ok || a.session != 2*mine[0] {
						t.Errorf("channel %d is %v, %v", mine[0], a, ok)
					}
					if _, ok := c.take(mine[0]); !ok {
						t.Errorf("channel %d has no end", mine[0])
					}
					if _, ok := c.take(mine[0]); ok {
						t.Errorf("channel %d ends twice", mine[0])
					}
				}
			}
			for channel := range made {
				mine = append(mine, channel)
				if channel%977 == 0 {
					slices.Reverse(mine)
				}
				end([]int{0, 30, keptSlots}[channel/5000%3])
			}
			end(0)
		})
	}
	for channel := range uint64(60000) {
		c.put(channel+1, answer{session: 2 * (channel + 1)})
		made <- channel + 1
	}
	close(made)
	enders.Wait()
	if c.len() != 0 || len(c.rest) != 0 {
		t.Errorf("%d calls and %d others are left", c.len(), len(c.rest))
	}
}

// Two who look for one call at the same time both find it.
func TestWindowTwoLook(t *testing.T) {
	var w window[sides]
	w.put(1, toWorker|fromWorker)
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			for range 200_000 {
				if _, ok := w.get(1); !ok {
					t.Error("the call was not found")
					return
				}
			}
		})
	}
	both.Wait()
}
