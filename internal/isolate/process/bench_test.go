//go:build linux

package process_test

import (
	"os"
	"testing"

	"github.com/cocaine/cocaine-go/internal/isolate"
	"github.com/cocaine/cocaine-go/internal/isolate/process"
)

// What starting a worker costs over fork and exec alone. Each round starts
// /bin/true and waits for its end.

func BenchmarkBareForkExec(b *testing.B) {
	for b.Loop() {
		p, err := os.StartProcess("/bin/true", []string{"/bin/true"}, &os.ProcAttr{Env: os.Environ()})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.Wait(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSpawn(b *testing.B) {
	benchmarkSpawn(b, process.Options{Cgroup: process.CgroupOff})
}

func BenchmarkSpawnInCgroup(b *testing.B) {
	benchmarkSpawn(b, process.Options{Cgroup: cgroupBase(b)})
}

func benchmarkSpawn(b *testing.B, o process.Options) {
	iso := open(b, o)
	s := isolate.Spawn{App: "bench", Worker: "w", Dir: "/", Path: "/bin/true", Output: func([]byte, bool) {}}
	b.ReportAllocs()
	for b.Loop() {
		p, err := iso.Spawn(b.Context(), s)
		if err != nil {
			b.Fatal(err)
		}
		<-p.Done()
	}
}
