//go:build linux

package process_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cocaine/cocaine-go/internal/isolate"
	"github.com/cocaine/cocaine-go/internal/isolate/isolatetest"
	"github.com/cocaine/cocaine-go/internal/isolate/process"
	"github.com/cocaine/cocaine-go/internal/logtest"
	"github.com/cocaine/cocaine-go/internal/manifest"
)

func contextOfRuntime() context.Context { return context.Background() }

func off() process.Options { return process.Options{Cgroup: process.CgroupOff} }

// printed runs a worker to its end and returns what it printed to stdout.
func printed(t *testing.T, iso isolate.Isolate, s isolate.Spawn) []string {
	t.Helper()
	out := isolatetest.NewPrinted(t)
	s.Output = out.Output
	if exit := isolatetest.Wait(t, isolatetest.Start(t, iso, s)); exit.Code != 0 {
		t.Fatalf("%v, stdout %q, stderr %q", exit, out.Stdout(), out.Stderr())
	}
	return out.Stdout()
}

// factsOf returns what a worker sees of its surroundings.
func factsOf(t *testing.T, iso isolate.Isolate, s isolate.Spawn) isolatetest.Facts {
	t.Helper()
	var facts isolatetest.Facts
	if err := json.Unmarshal([]byte(strings.Join(printed(t, iso, s), "")), &facts); err != nil {
		t.Fatal(err)
	}
	return facts
}

// The kernel kills a worker when the thread that started it ends, and Go ends the
// thread of a goroutine that ends locked to it.
func TestWorkersOutliveTheCallersThread(t *testing.T) {
	iso := open(t, off())
	life := isolatetest.NewLifeline(t)
	var spawns sync.WaitGroup
	for range 5 {
		s := isolatetest.Worker(t, isolatetest.Sleep, "", life.Env())
		spawns.Go(func() {
			runtime.LockOSThread() // and never unlocked
			if _, err := iso.Spawn(t.Context(), s); err != nil {
				t.Error(err)
			}
		})
	}
	spawns.Wait()
	for range 5 {
		worker := life.Next()
		select {
		case <-worker.Gone:
			t.Fatal("a worker died with the thread that asked for it")
		case <-time.After(20 * time.Millisecond): // a wrong one is dead before it can report
		}
	}
}

func TestWorkerLeadsItsGroup(t *testing.T) {
	facts := factsOf(t, open(t, off()), isolatetest.Worker(t, isolatetest.Report, ""))
	if facts.Group != facts.PID {
		t.Errorf("worker %d is in group %d", facts.PID, facts.Group)
	}
}

// A worker that changed its group is signalled all the same.
func TestSignalFollowsTheWorker(t *testing.T) {
	iso := open(t, off())
	leader := isolatetest.Start(t, iso, isolatetest.Worker(t, isolatetest.Sleep, ""))
	out := isolatetest.NewPrinted(t)
	s := isolatetest.Worker(t, isolatetest.Mover, strconv.Itoa(leader.PID()))
	s.Output = out.Output
	p := isolatetest.Start(t, iso, s)
	out.Await("ready")
	if pgid, err := unix.Getpgid(p.PID()); pgid != leader.PID() {
		t.Fatalf("the worker is in group %d, %v; stdout %q", pgid, err, out.Stdout())
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if exit := isolatetest.Wait(t, p); exit.String() != "exit status 0" {
		t.Errorf("%v", exit)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	iso := open(t, off())
	descriptors := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	run := func() {
		out := isolatetest.NewPrinted(t)
		s := isolatetest.Worker(t, isolatetest.Print, "3")
		s.Output = out.Output
		p := isolatetest.Start(t, iso, s)
		isolatetest.Wait(t, p)
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", p.PID())); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("process %d is not gone: %v", p.PID(), err)
		}
		s.Path = "/missing"
		if _, err := iso.Spawn(t.Context(), s); err == nil {
			t.Error("a missing program was started")
		}
	}
	run()
	before := descriptors()
	for range 20 {
		run()
	}
	if after := descriptors(); after > before {
		t.Errorf("%d descriptors, were %d", after, before)
	}
}

// Waiting for workers is the poller's business: no thread for each.
func TestWaitingCostsNoThread(t *testing.T) {
	iso := open(t, off())
	threads := func() int {
		entries, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := threads()
	for range 40 {
		isolatetest.Start(t, iso, isolate.Spawn{App: "a", Worker: "w", Dir: "/", Path: "/bin/sleep", Args: []string{"1000"}, Output: func([]byte, bool) {}})
	}
	if after := threads(); after > before+20 {
		t.Errorf("%d threads for 40 workers, were %d", after, before)
	}
}

func TestInheritedDescriptorsStayWithTheRuntime(t *testing.T) {
	// As if whoever started the runtime had left it open.
	fd, err := unix.Open(t.TempDir(), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	facts := factsOf(t, open(t, off()), isolatetest.Worker(t, isolatetest.Report, ""))
	if len(facts.Files) != 3 {
		t.Errorf("the worker's descriptors: %q", facts.Files)
	}
}

func TestPrograms(t *testing.T) {
	iso := open(t, process.Options{Cgroup: process.CgroupOff, Environ: []string{"PATH=/nowhere:" + filepath.Dir(shell(t)), "PWD=/wrong"}})
	dir := t.TempDir()
	script := func(name, says string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\necho "+says+" $PWD\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script("run", "own")
	script("bin/run", "below")
	script("sh", "shadow")
	for path, want := range map[string]string{
		"run": "own " + dir, "./run": "own " + dir, "bin/run": "below " + dir,
		filepath.Join(dir, "run"): "own " + dir,
		"sh":                      "shadow " + dir, // the app's own comes first
	} {
		got := printed(t, iso, isolate.Spawn{App: "a", Worker: "w", Dir: dir, Path: path})
		if !slices.Equal(got, []string{want}) {
			t.Errorf("%s printed %q, want %q", path, got, want)
		}
	}
	os.Remove(filepath.Join(dir, "sh"))
	got := printed(t, iso, isolate.Spawn{App: "a", Worker: "w", Dir: dir, Path: "sh", Args: []string{"-c", "echo $0"}})
	if !slices.Equal(got, []string{shell(t)}) {
		t.Errorf("from PATH: %q", got)
	}
}

func shell(t *testing.T) string {
	t.Helper()
	for _, path := range []string{"/bin/sh", "/usr/bin/sh"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Fatal("there is no shell: neither /bin/sh nor /usr/bin/sh")
	return ""
}

func TestFailedStartsAreExplained(t *testing.T) {
	iso := open(t, process.Options{Cgroup: process.CgroupOff, Environ: []string{"PATH=/nowhere"}})
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	otherMachine := bytes.Clone(self)
	otherMachine[18] = map[byte]byte{62: 183, 183: 62}[self[18]] // EM_X86_64, EM_AARCH64
	otherName := map[byte]string{62: "aarch64", 183: "x86_64"}[self[18]]
	dir := t.TempDir()
	write := func(name string, mode os.FileMode, body []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), body, mode); err != nil {
			t.Fatal(err)
		}
	}
	write("plain", 0o644, self[:100])
	write("text", 0o755, []byte("echo hello\n"))
	write("empty", 0o755, nil)
	write("windows", 0o755, []byte("MZ\x90\x00"))
	write("macos", 0o755, []byte("\xcf\xfa\xed\xfe"))
	write("other", 0o755, otherMachine)
	write("damaged", 0o755, self[:10])
	write("interpreter", 0o755, []byte("#!/opt/python9 -u\n"))
	write("crlf", 0o755, []byte("#!/bin/sh\r\necho\r\n"))
	write("loader", 0o755, missingLoader(t))
	write("big", 0o755, []byte("#!/bin/sh\n"))
	os.Mkdir(filepath.Join(dir, "folder"), 0o755)
	os.Symlink("nothing", filepath.Join(dir, "dangling"))
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o755); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		path, dir string
		env       string
		reason    string // %s is the directory
		cause     error
	}{
		{"missing", dir, "", `"missing" is neither in %s nor in PATH`, syscall.ENOENT},
		{"./missing", dir, "", "%s/missing: no such file", syscall.ENOENT},
		{dir + "/missing", dir, "", "%s/missing: no such file", syscall.ENOENT},
		{dir + "/plain/x", dir, "", "%s/plain/x: no such file", syscall.ENOTDIR},
		{"./dangling", dir, "", "%s/dangling: is a link to nothing", syscall.ENOENT},
		{"./folder", dir, "", "%s/folder: is a directory", syscall.EACCES},
		{"./fifo", dir, "", "%s/fifo: is no regular file", syscall.EACCES},
		{"./plain", dir, "", "%s/plain: not executable", syscall.EACCES},
		{"./text", dir, "", "%s/text: neither a program nor a script with a first line like #!/bin/sh", syscall.ENOEXEC},
		{"./empty", dir, "", "%s/empty: is empty", syscall.ENOEXEC},
		{"./windows", dir, "", "%s/windows: is a Windows program", syscall.ENOEXEC},
		{"./macos", dir, "", "%s/macos: is a macOS program", syscall.ENOEXEC},
		{"./other", dir, "", "%s/other: is built for " + otherName + ", this machine is " + runtime.GOARCH, syscall.ENOEXEC},
		{"./damaged", dir, "", "%s/damaged: is a damaged program", syscall.ENOEXEC},
		{"./interpreter", dir, "", "%s/interpreter: its interpreter /opt/python9 is missing", syscall.ENOENT},
		{"./crlf", dir, "", "%s/crlf: its first line ends in a carriage return", syscall.ENOENT},
		{"./loader", dir, "", "%s/loader: its loader /lib64/ld-missing-x86-64.so is missing", syscall.ENOENT},
		{dir + "/big", dir + "/gone", "", "%s/gone: no such directory", syscall.ENOENT},
		{"./big", dir, "X=" + strings.Repeat("x", 1<<20), "%s/big: arguments and environment are too long", syscall.E2BIG},
		{"./big", dir, "X=\x00", "%s/big: arguments or environment hold a NUL byte", syscall.EINVAL},
	}
	for _, tt := range tests {
		if tt.path == "./loader" && runtime.GOARCH != "amd64" {
			continue
		}
		p, err := iso.Spawn(t.Context(), isolate.Spawn{App: "hello", Worker: "w", Dir: tt.dir, Path: tt.path, Env: []string{tt.env}})
		if err == nil {
			p.Kill()
		}
		spawnErr, ok := errors.AsType[*isolate.SpawnError](err)
		if !ok {
			t.Errorf("%s: got %v", tt.path, err)
			continue
		}
		if want := strings.ReplaceAll(tt.reason, "%s", dir); spawnErr.Reason != want || spawnErr.Hint() == "" || !errors.Is(err, tt.cause) {
			t.Errorf("%s:\ngot  %s (hint %q, cause %v)\nwant %s", tt.path, spawnErr.Reason, spawnErr.Hint(), spawnErr.Err, want)
		}
	}
	_, err = iso.Spawn(t.Context(), isolate.Spawn{App: "hello", Worker: "w", Dir: dir, Path: filepath.Join(dir, "y")})
	if want := `cannot start worker: ` + dir + `/y: no such file (slave "y" of app "hello")`; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// missingLoader is a small program whose dynamic loader does not exist.
func missingLoader(t *testing.T) []byte {
	t.Helper()
	program, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Replace(program, []byte("/lib64/ld-linux-x86-64.so.2"), []byte("/lib64/ld-missing-x86-64.so.2")[:27], 1)
}

func TestBusyExecutable(t *testing.T) {
	iso := open(t, off())
	path := filepath.Join(t.TempDir(), "busy")
	program, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, program, 0o755); err != nil {
		t.Fatal(err)
	}
	s := isolate.Spawn{App: "a", Worker: "w", Dir: filepath.Dir(path), Path: path}
	write := func() *os.File {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := write()
	_, err = iso.Spawn(t.Context(), s)
	if spawnErr, ok := errors.AsType[*isolate.SpawnError](err); !ok || !errors.Is(err, syscall.ETXTBSY) || spawnErr.Reason != path+": is open for writing" {
		t.Errorf("while it is open for writing: %v", err)
	}
	f.Close()
	// Closed during the start: some of these meet it open first.
	for range 30 {
		f := write()
		started := make(chan error)
		go func() {
			p, err := iso.Spawn(t.Context(), s)
			if err == nil {
				<-p.Done()
			}
			started <- err
		}()
		for iso.Starting() == 0 {
			runtime.Gosched()
		}
		f.Close()
		if err := <-started; err != nil {
			t.Fatal(err)
		}
	}
}

func TestConcurrencyIsLimited(t *testing.T) {
	o := off()
	o.Concurrency = 2
	iso := open(t, o)
	release := iso.HoldThread()
	started := make(chan error)
	for range 3 {
		s := isolatetest.Worker(t, isolatetest.Exit, "0")
		go func() {
			_, err := iso.Spawn(t.Context(), s)
			started <- err
		}()
	}
	// Two are starting, the third waits for one of them and can be called off.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := iso.Spawn(ctx, isolatetest.Worker(t, isolatetest.Exit, "0")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	release()
	for range 3 {
		if err := <-started; err != nil {
			t.Error(err)
		}
	}
}

// A start that its caller gave up may succeed later. Nobody knows its worker then.
func TestAbandonedStart(t *testing.T) {
	iso := open(t, off())
	release := iso.HoldThread()
	ctx, cancel := context.WithCancel(t.Context())
	given := make(chan error)
	s := isolatetest.Worker(t, isolatetest.Sleep, "")
	go func() {
		_, err := iso.Spawn(ctx, s)
		given <- err
	}()
	for iso.Starting() == 0 {
		runtime.Gosched()
	}
	cancel()
	if err := <-given; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	release()
	idle := make(chan struct{})
	go func() {
		iso.Idle()
		close(idle)
	}()
	select {
	case <-idle:
	case <-time.After(20 * time.Second):
		t.Error("the worker lives on")
		iso.Close()
	}
}

func TestCloseKillsWorkers(t *testing.T) {
	iso := open(t, off())
	life := isolatetest.NewLifeline(t)
	p := isolatetest.Start(t, iso, isolatetest.Worker(t, isolatetest.Stubborn, "", life.Env()))
	worker := life.Next()
	if err := iso.Close(); err != nil {
		t.Fatal(err)
	}
	life.AwaitEnd(worker)
	select {
	case <-p.Done():
	default:
		t.Error("Close returned before the worker was done")
	}
	if exit := p.Exit(); exit.Signal != syscall.SIGKILL || !exit.Killed {
		t.Errorf("%+v", exit)
	}
	if _, err := iso.Spawn(t.Context(), isolatetest.Worker(t, isolatetest.Exit, "0")); !errors.Is(err, process.ErrClosed) {
		t.Errorf("Spawn after Close: %v", err)
	}
}

func TestUsageIsKnown(t *testing.T) {
	exit := isolatetest.Wait(t, isolatetest.Start(t, open(t, off()), isolatetest.Worker(t, isolatetest.Print, "1000")))
	if exit.User+exit.System <= 0 || exit.MaxRSS < 1<<20 {
		t.Errorf("%+v", exit)
	}
}

func TestRlimits(t *testing.T) {
	iso := open(t, off())
	s := isolatetest.Worker(t, isolatetest.Opener, "")
	s.Settings = map[string]any{"limits": map[string]any{"nofile": 64}}
	out := printed(t, iso, s)
	if n, err := strconv.Atoi(strings.Join(out, "")); err != nil || n < 32 || n > 61 {
		t.Errorf("the worker could open %q files with a limit of 64", out)
	}

	s = isolatetest.Worker(t, isolatetest.Hungry, fmt.Sprint(8<<30))
	s.Settings = map[string]any{"limits": map[string]any{"address-space": "1G"}}
	if exit := isolatetest.Wait(t, isolatetest.Start(t, iso, s)); exit.Code == 0 {
		t.Errorf("8G of 1G could be had: %v", exit)
	}

	s = isolatetest.Worker(t, isolatetest.Sleep, "")
	s.Settings = map[string]any{"limits": map[string]any{"nofile": int64(1) << 32}}
	_, err := iso.Spawn(t.Context(), s)
	if spawnErr, ok := errors.AsType[*isolate.SpawnError](err); !ok || spawnErr.Hint() == "" || !strings.Contains(err.Error(), "cannot limit open files to 4294967296") {
		t.Errorf("a limit beyond the kernel's: %v", err)
	}

	s.Settings = map[string]any{"limits": map[string]any{"memory": "much"}}
	if _, err := iso.Spawn(t.Context(), s); err == nil || !strings.Contains(err.Error(), "isolate.args.limits.memory: must be a number of bytes") {
		t.Errorf("nonsense: %v", err)
	}
}

func TestMissingLimitsAreToldOnce(t *testing.T) {
	var log logtest.Buffer
	o := off()
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	iso := open(t, o)
	if e := iso.Enforces(); e.Memory || e.CPU || e.PIDs || !e.Files || e.Why == nil {
		t.Errorf("%+v", e)
	}
	for range 2 {
		s := isolatetest.Worker(t, isolatetest.Exit, "0")
		s.Limits = manifest.Limits{Memory: 1 << 30, CPU: 1}
		isolatetest.Wait(t, isolatetest.Start(t, iso, s))
	}
	if got := log.String(); strings.Count(got, "limits are not enforced") != 1 || !strings.Contains(got, "[memory cpu]") {
		t.Errorf("log: %s", got)
	}
}
