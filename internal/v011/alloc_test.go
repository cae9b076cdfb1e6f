//go:build !race

package v011_test

import (
	"runtime"
	"testing"
)

// A call of a v0.11 client costs no allocation. (The race detector allocates, hence
// the build tag.)
func TestEchoAllocatesNothing(t *testing.T) {
	const calls = 20000
	for _, parallel := range []int{1, 64} {
		c := oldClient(startApp(t, true), make([]byte, 128))
		c.run(t, calls, parallel)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c.run(t, calls, parallel)
		runtime.ReadMemStats(&after)
		// The collector empties the pools of chunks now and then.
		if n := float64(after.Mallocs-before.Mallocs) / calls; n > 0.01 {
			t.Errorf("%.4f allocations for each of %d calls at a time", n, parallel)
		}
	}
}
