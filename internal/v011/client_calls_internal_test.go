package v011

import (
	"math/rand/v2"
	"testing"
)

// The calls of a connection are found until they end, whatever the order of their
// ends.
func TestCalls(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var c calls
	want := make(map[uint64]uint64)
	var last uint64
	for range 60000 {
		if most := []int{3, 40, 3 * maxCalls}[min(last/10000, 2)]; len(want) < most && rng.IntN(3) > 0 {
			last++
			want[last] = rng.Uint64()
			c.put(answer{channel: last, session: want[last]})
			continue
		}
		for channel, session := range want { // any
			if a, ok := c.get(channel); !ok || a.session != session {
				t.Fatalf("channel %d is %v, %v", channel, a, ok)
			}
			c.drop(channel)
			delete(want, channel)
			if _, ok := c.get(channel); ok {
				t.Fatalf("channel %d is open after its end", channel)
			}
			break
		}
		if c.n != len(want) {
			t.Fatalf("%d calls, want %d", c.n, len(want))
		}
	}
	if _, ok := c.get(0); ok {
		t.Error("channel 0 is open")
	}
	for channel := range want {
		c.drop(channel)
	}
	if c.n != 0 || len(c.slots) > keptCalls || len(c.rest) != 0 {
		t.Errorf("%d calls, %d slots and %d others are left", c.n, len(c.slots), len(c.rest))
	}
}

// One call that never ends does not make the window grow.
func TestLongCall(t *testing.T) {
	var c calls
	for channel := range uint64(100000) {
		c.put(answer{channel: channel + 1})
		if channel > 0 {
			c.drop(channel + 1)
		}
	}
	if len(c.slots) > minCalls {
		t.Errorf("%d slots for one call", len(c.slots))
	}
}
