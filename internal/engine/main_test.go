package engine_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain makes the test's own program the workers of TestRealProcesses.
func TestMain(m *testing.M) {
	if mode := os.Getenv(workerMode); mode != "" {
		os.Exit(runWorker(mode))
	}
	goleak.VerifyTestMain(m)
}
