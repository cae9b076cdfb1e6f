//go:build !race

package v011_test

import (
	"runtime"
	"testing"
)

// A call costs no allocation if the client, the worker or both are of v0.11. (The race detector allocates, hence
// the build tag.)
func TestEchoAllocatesNothing(t *testing.T) {
	const calls = 20000
	for _, tt := range []struct {
		who      generations
		parallel int
	}{{oldClients, 1}, {oldClients, 64}, {oldWorkers, 64}, {oldOnly, 64}} {
		parallel := tt.parallel
		c := newClient(t, tt.who, make([]byte, 128))
		c.run(t, calls, parallel)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c.run(t, calls, parallel)
		runtime.ReadMemStats(&after)
		// The collector empties the pools of chunks now and then.
		if n := float64(after.Mallocs-before.Mallocs) / calls; n > 0.01 {
			t.Errorf("%+v: %.4f allocations for each of %d calls at a time", tt.who, n, parallel)
		}
	}
}
