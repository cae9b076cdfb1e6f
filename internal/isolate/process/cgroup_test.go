//go:build linux

package process_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cocaine/cocaine-go/internal/isolate"
	"github.com/cocaine/cocaine-go/internal/isolate/isolatetest"
	"github.com/cocaine/cocaine-go/internal/isolate/process"
)

// cgroupBase creates a cgroup for a test. Tests that need one are skipped where
// there is no tree or no right to change it; Makefile and CI run them as root.
func cgroupBase(t testing.TB) string {
	t.Helper()
	for _, mount := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if _, err := os.Stat(filepath.Join(mount, "cgroup.procs")); err != nil {
			continue
		}
		for _, c := range []string{"+cpu", "+memory", "+pids"} { // what the machine has
			os.WriteFile(filepath.Join(mount, "cgroup.subtree_control"), []byte(c), 0)
		}
		base, err := os.MkdirTemp(mount, "cocaine-test-")
		if err != nil {
			t.Skip("cannot create a cgroup: ", err)
		}
		t.Cleanup(func() {
			os.WriteFile(filepath.Join(base, "cgroup.kill"), []byte("1"), 0)
			eventually(t, "the test's cgroup can be removed", func() bool { return removeTree(base) == nil })
		})
		return base
	}
	t.Skip("there is no cgroup v2 tree at /sys/fs/cgroup")
	return ""
}

func removeTree(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(path, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := unix.Rmdir(path); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

// eventually polls what the kernel does in its own time and tells nobody about.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not so: %s", what)
		}
	}
}

// below lists the cgroups in a cgroup.
func below(t testing.TB, path string) []string {
	t.Helper()
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestConformanceInCgroups(t *testing.T) {
	base := cgroupBase(t)
	isolatetest.Run(t, func(t *testing.T) isolate.Isolate { return open(t, process.Options{Cgroup: base}) })
	if left := below(t, base); len(left) != 0 {
		t.Errorf("closed isolates left %v", left)
	}
}

func TestWorkerLivesInItsOwnCgroup(t *testing.T) {
	for name, forbid := range map[string]bool{"by clone": false, "moved": true} {
		t.Run(name, func(t *testing.T) {
			iso := open(t, process.Options{Cgroup: cgroupBase(t)})
			if forbid {
				iso.ForbidClone()
			}
			s := isolatetest.Worker(t, isolatetest.Sleep, "")
			s.App, s.Worker = "he/llo", "0b5c"
			p := isolatetest.Start(t, iso, s)
			procs, err := os.ReadFile(filepath.Join(iso.Group(), "he_llo.0b5c.1", "cgroup.procs"))
			if want := fmt.Sprintf("%d\n", p.PID()); string(procs) != want {
				t.Errorf("the cgroup holds %q, %v, want %q", procs, err, want)
			}
			p.Kill()
			eventually(t, "its cgroup is gone", func() bool { return len(below(t, iso.Group())) == 0 })
		})
	}
}

// A worker that is created in its cgroup sees no other, however early it looks.
func TestWorkerIsBornInItsCgroup(t *testing.T) {
	facts := factsOf(t, open(t, process.Options{Cgroup: cgroupBase(t)}), isolatetest.Worker(t, isolatetest.Report, ""))
	if !strings.Contains(facts.Cgroup, "/hello.0b5c9a3e-1111-4222-8333-444455556666.1\n") {
		t.Errorf("the worker is in %q", facts.Cgroup)
	}
}

// A failed start leaves no cgroup.
func TestFailedStartLeavesNoCgroup(t *testing.T) {
	iso := open(t, process.Options{Cgroup: cgroupBase(t)})
	if _, err := iso.Spawn(t.Context(), isolate.Spawn{App: "a", Worker: "w", Dir: "/", Path: "/missing"}); err == nil {
		t.Fatal("a missing program was started")
	}
	if left := below(t, iso.Group()); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

// What a worker detached from its group dies with it: by the end of the worker
// and by Kill.
func TestEscapeesDieInCgroups(t *testing.T) {
	iso := open(t, process.Options{Cgroup: cgroupBase(t)})
	life := isolatetest.NewLifeline(t)
	isolatetest.Wait(t, isolatetest.Start(t, iso, isolatetest.Worker(t, isolatetest.Escapee, "", life.Env())))
	for range 2 {
		life.AwaitEnd(life.Next())
	}
}

// A runtime that was killed leaves cgroups, and whatever a worker detached. The
// next one in the same place ends them, and leaves those of a living one alone.
func TestLeftoversOfARuntime(t *testing.T) {
	base := cgroupBase(t)
	neighbour := open(t, process.Options{Cgroup: base})
	life := isolatetest.NewLifeline(t)
	isolatetest.Start(t, neighbour, isolatetest.Worker(t, isolatetest.Sleep, "", life.Env()))
	alive := life.Next()

	killed := startRuntime(t, life, base, isolatetest.Detached, 1, nil)
	worker, escapee := life.Next(), life.Next()
	killed.Process.Kill()
	killed.Wait()
	life.AwaitEnd(worker)
	select {
	case <-escapee.Gone:
		t.Error("the escapee died with the runtime: the test proves nothing")
	default:
	}

	open(t, process.Options{Cgroup: base})
	life.AwaitEnd(escapee)
	if left := below(t, base); len(left) != 2 {
		t.Errorf("left %v, want those of two living isolates", left)
	}
	select {
	case <-alive.Gone:
		t.Error("the worker of a living runtime was killed")
	default:
	}
}

// The runtime finds out by itself that its cgroup is its own to manage.
func TestDelegatedCgroupIsFound(t *testing.T) {
	tests := []struct {
		name    string
		mark    bool // on the base
		leaf    bool // the runtime starts in a cgroup below
		company bool // with another process
		want    string
	}{
		{"not delegated", false, false, false, "the runtime's cgroup is not delegated to it"},
		{"delegated", true, false, false, "Why:<nil>"},
		{"leaf of a delegated one", true, true, false, "Why:<nil>"},
		{"shared", true, false, true, "other processes share the cgroup"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			base := cgroupBase(t)
			start := base
			if tt.mark {
				if err := unix.Setxattr(base, "user.delegate", []byte("1"), 0); err != nil {
					t.Skip("cannot mark a cgroup: ", err)
				}
			}
			if tt.leaf {
				start = filepath.Join(base, "main")
				if err := os.Mkdir(start, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if tt.company {
				sleeper := exec.Command("sleep", "1000")
				enter(t, start, sleeper)
				if err := sleeper.Start(); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					sleeper.Process.Kill()
					sleeper.Wait()
				})
			}
			life := isolatetest.NewLifeline(t)
			r := startRuntime(t, life, process.CgroupAuto, isolatetest.Sleep, 1, func(cmd *exec.Cmd) { enter(t, start, cmd) })
			if !strings.Contains(r.enforces, tt.want) {
				t.Fatalf("enforces %s, want %q", r.enforces, tt.want)
			}
			if tt.want != "Why:<nil>" {
				return
			}
			workers, err := filepath.Glob(filepath.Join(base, "cocaine-workers.*", "hello.w.1", "cgroup.procs"))
			if err != nil || len(workers) != 1 {
				t.Errorf("cgroups of workers: %v, %v", workers, err)
			}
			if got := slices.Contains(below(t, base), "cocaine-runtime"); got == tt.leaf {
				t.Errorf("the runtime moved itself: %v", got)
			}
			r.stdin.Close() // ends it in good order
			if err := r.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// enter makes a command start in a cgroup.
func enter(t *testing.T, path string, cmd *exec.Cmd) {
	t.Helper()
	dir, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
}

func TestNamedCgroupMustBeOne(t *testing.T) {
	for _, path := range []string{filepath.Join(t.TempDir(), "x"), "/missing/x"} {
		iso, err := process.New(process.Options{Cgroup: path})
		if err == nil {
			iso.Close()
			t.Errorf("%s is taken for a cgroup", path)
		} else if !strings.HasPrefix(err.Error(), "cannot set up process isolation: cannot use cgroups: ") {
			t.Errorf("got %v", err)
		}
	}
}

// limited opens an isolate whose tree has a controller.
func limited(t *testing.T, holds func(process.Enforcement) bool) *process.Isolate {
	t.Helper()
	iso := open(t, process.Options{Cgroup: cgroupBase(t)})
	if !holds(iso.Enforces()) {
		t.Skipf("the machine's cgroup v2 tree lacks the controller: %+v", iso.Enforces())
	}
	return iso
}

func TestMemoryLimit(t *testing.T) {
	iso := limited(t, func(e process.Enforcement) bool { return e.Memory })
	s := isolatetest.Worker(t, isolatetest.Hungry, fmt.Sprint(512<<20))
	s.Settings = map[string]any{"limits": map[string]any{"memory": "128M"}}
	exit := isolatetest.Wait(t, isolatetest.Start(t, iso, s))
	if !exit.OOM || exit.String() != "out of memory" || exit.Signal != syscall.SIGKILL {
		t.Errorf("%+v", exit)
	}
	// With enough, it lives; and being killed is not running out of memory.
	out := isolatetest.NewPrinted(t)
	s = isolatetest.Worker(t, isolatetest.Hungry, fmt.Sprint(64<<20))
	s.Settings, s.Output = map[string]any{"limits": map[string]any{"memory": "512M"}}, out.Output
	p := isolatetest.Start(t, iso, s)
	out.Await("full")
	p.Kill()
	if exit := isolatetest.Wait(t, p); exit.OOM || exit.String() != "killed by SIGKILL" {
		t.Errorf("%+v", exit)
	}
}

func TestPIDsLimit(t *testing.T) {
	iso := limited(t, func(e process.Enforcement) bool { return e.PIDs })
	out := isolatetest.NewPrinted(t)
	s := isolatetest.Worker(t, isolatetest.Forker, "")
	s.Settings, s.Output = map[string]any{"limits": map[string]any{"pids": 60}}, out.Output
	p := isolatetest.Start(t, iso, s)
	out.Await("ready")
	if n, err := strconv.Atoi(out.Stdout()[0]); err != nil || n < 1 || n >= 60 {
		t.Errorf("the worker started %q processes with a limit of 60", out.Stdout())
	}
	p.Kill()
}

func TestCPULimit(t *testing.T) {
	iso := limited(t, func(e process.Enforcement) bool { return e.CPU })
	s := isolatetest.Worker(t, isolatetest.Sleep, "")
	s.Settings = map[string]any{"limits": map[string]any{"cpu": 0.25}}
	p := isolatetest.Start(t, iso, s)
	text, err := os.ReadFile(filepath.Join(iso.Group(), below(t, iso.Group())[0], "cpu.max"))
	if err != nil || string(text) != "25000 100000\n" {
		t.Errorf("cpu.max is %q, %v", text, err)
	}
	p.Kill()
}
