//go:build linux

package process_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/internal/isolate"
	"github.com/cocaine/cocaine-go/internal/isolate/isolatetest"
	"github.com/cocaine/cocaine-go/internal/isolate/process"
)

func TestMain(m *testing.M) {
	isolatetest.Main()
	runtimeMain()
	goleak.VerifyTestMain(m)
}

// open returns an isolate that is closed at the end of the test.
func open(t testing.TB, o process.Options) *process.Isolate {
	t.Helper()
	o.Spool.Dir = t.TempDir()
	iso, err := process.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := iso.Close(); err != nil {
			t.Error(err)
		}
	})
	return iso
}

func TestConformance(t *testing.T) {
	isolatetest.Run(t, func(t *testing.T) isolate.Isolate { return open(t, process.Options{Cgroup: process.CgroupOff}) })
}
