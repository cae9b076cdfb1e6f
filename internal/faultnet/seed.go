package faultnet

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// SeedVariable is the environment variable that repeats a failed run.
const SeedVariable = "COCAINE_FAULT_SEED"

// Seed returns the seed for a test's faults: that of the environment when it is
// set, otherwise a fresh one. It is printed when the test fails.
func Seed(t testing.TB) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv(SeedVariable); text != "" {
		given, err := strconv.ParseUint(text, 0, 64)
		if err != nil {
			t.Fatalf("cannot read %s: %v", SeedVariable, err)
		}
		seed = given
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("to repeat: %s=%d go test -run '^%s$'", SeedVariable, seed, t.Name())
		}
	})
	return seed
}

// Sub derives the seed of the i-th thing (connection, round) from a test's seed.
func Sub(seed uint64, i int) uint64 {
	return rand.New(rand.NewPCG(seed, uint64(i)+1)).Uint64()
}
