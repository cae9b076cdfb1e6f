package isolatetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/isolate"
)

// Run runs the suite. Each test gets an isolate from open, which registers its
// cleanup with t.
func Run(t *testing.T, open func(t *testing.T) isolate.Isolate) {
	t.Setenv("COCAINE_SECRET", "of the runtime") // before any isolate is opened
	for _, test := range []struct {
		name string
		run  func(t *testing.T, iso isolate.Isolate)
	}{
		{"Exit", testExit},
		{"Output", testOutput},
		{"LongLines", testLongLines},
		{"NobodyListens", testNobodyListens},
		{"Surroundings", testSurroundings},
		{"SpawnError", testSpawnError},
		{"Terminate", testTerminate},
		{"KillTheStubborn", testKillTheStubborn},
		{"KillReachesChildren", testKillReachesChildren},
		{"ChildrenDieWithTheWorker", testChildrenDieWithTheWorker},
		{"EscapeeHoldsNothingUp", testEscapeeHoldsNothingUp},
		{"FloodIsHeldBack", testFloodIsHeldBack},
		{"BlockedOutputHoldsNothingUp", testBlockedOutputHoldsNothingUp},
		{"ContextEndsTheStartOnly", testContextEndsTheStartOnly},
		{"SignalsRaceWithTheEnd", testSignalsRaceWithTheEnd},
		{"ManyAtOnce", testManyAtOnce},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
	t.Run("Spool", func(t *testing.T) {
		spooling, ok := open(t).(isolate.SpoolingIsolate)
		if !ok {
			t.Skip("the isolate puts no code")
		}
		testSpool(t, spooling)
	})
}

// Worker describes a worker that is this test binary in one of its modes.
func Worker(t testing.TB, mode, arg string, env ...string) isolate.Spawn {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return isolate.Spawn{
		App: "hello", Worker: "0b5c9a3e-1111-4222-8333-444455556666", Dir: t.TempDir(), Path: executable,
		// The race detector's exit takes a second, unless told otherwise.
		Env: append([]string{modeVariable + "=" + mode, argVariable + "=" + arg, "GORACE=atexit_sleep_ms=0"}, env...),
	}
}

// Start spawns a worker, which is killed at the end of the test at the latest.
func Start(t testing.TB, iso isolate.Isolate, s isolate.Spawn) isolate.Process {
	t.Helper()
	p, err := iso.Spawn(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		Wait(t, p)
	})
	return p
}

// Wait waits for the end of a process.
func Wait(t testing.TB, p isolate.Process) isolate.Exit {
	t.Helper()
	select {
	case <-p.Done():
		return p.Exit()
	case <-time.After(patience):
		t.Fatalf("process %d does not end", p.PID())
		return isolate.Exit{}
	}
}

func testExit(t *testing.T, iso isolate.Isolate) {
	for _, tt := range []struct {
		mode, arg string
		want      string
		code      int
		signal    syscall.Signal
	}{
		{Exit, "0", "exit status 0", 0, 0},
		{Exit, "3", "exit status 3", 3, 0},
		{Exit, "255", "exit status 255", 255, 0},
		{Suicide, "9", "killed by SIGKILL", -1, syscall.SIGKILL},
		{Suicide, "15", "killed by SIGTERM", -1, syscall.SIGTERM},
	} {
		p := Start(t, iso, Worker(t, tt.mode, tt.arg))
		exit := Wait(t, p)
		if exit.Err != nil || exit.Code != tt.code || exit.Signal != tt.signal || exit.OOM || exit.Killed || exit.String() != tt.want {
			t.Errorf("%s %s: %+v (%v), want %s", tt.mode, tt.arg, exit, exit, tt.want)
		}
		if err := p.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("Signal after the end: %v", err)
		}
		if err := p.Kill(); err != nil {
			t.Errorf("Kill after the end: %v", err)
		}
		if again := p.Exit(); again != exit {
			t.Errorf("Exit changes from %+v to %+v", exit, again)
		}
	}
}

func testOutput(t *testing.T, iso isolate.Isolate) {
	const lines = 2000
	printed := NewPrinted(t)
	s := Worker(t, Print, fmt.Sprint(lines))
	s.Output = printed.Output
	Wait(t, Start(t, iso, s))
	printed.Seal()
	for name, got := range map[string][]string{"out": printed.Stdout(), "err": printed.Stderr()} {
		if len(got) != lines+1 || got[lines] != name+" end" {
			t.Fatalf("%s: %d lines, want %d and an unfinished one", name, len(got), lines)
		}
		for i, line := range got[:lines] {
			if want := fmt.Sprintf("%s %d", name, i); line != want {
				t.Fatalf("line %d is %q, want %q", i, line, want)
			}
		}
	}
}

func testLongLines(t *testing.T, iso isolate.Isolate) {
	for _, size := range []int{isolate.MaxLine - 1, isolate.MaxLine, isolate.MaxLine + 1, 3*isolate.MaxLine + 7} {
		printed := NewPrinted(t)
		s := Worker(t, Line, fmt.Sprint(size))
		s.Output = printed.Output
		Wait(t, Start(t, iso, s))
		var got, want []int
		for _, piece := range printed.Stdout() {
			got = append(got, len(piece))
		}
		for left := size; left > 0; left -= isolate.MaxLine {
			want = append(want, min(left, isolate.MaxLine))
		}
		// The newline of a line that fills its last piece may come by itself.
		if len(got) == len(want)+1 && got[len(got)-1] == 0 && size%isolate.MaxLine == 0 {
			got = got[:len(got)-1]
		}
		if !slices.Equal(got, want) {
			t.Errorf("a line of %d bytes comes in pieces of %v, want %v", size, got, want)
		}
	}
}

func testNobodyListens(t *testing.T, iso isolate.Isolate) {
	if exit := Wait(t, Start(t, iso, Worker(t, Print, "100000"))); exit.String() != "exit status 0" {
		t.Errorf("a worker whose output nobody wants ends with %v", exit)
	}
}

func testSurroundings(t *testing.T, iso isolate.Isolate) {
	printed := NewPrinted(t)
	s := Worker(t, Report, "", "SAME=first", "SAME=last", "COCAINE_APP_TOKEN_TYPE=TVM")
	s.Args = []string{"--app", "hello", "--uuid", s.Worker, "", "with space"}
	s.Output = printed.Output
	p := Start(t, iso, s)
	if exit := Wait(t, p); exit.Code != 0 {
		t.Fatalf("%v; %q", exit, printed.Stderr())
	}
	var got Facts
	if err := json.Unmarshal([]byte(strings.Join(printed.Stdout(), "")), &got); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Args[1:], s.Args) || !filepath.IsAbs(got.Args[0]) {
		t.Errorf("arguments %q, want %q after an absolute path", got.Args, s.Args)
	}
	dir, err := filepath.EvalSymlinks(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if got.Dir != dir && got.Dir != s.Dir {
		t.Errorf("starts in %s, want %s", got.Dir, s.Dir)
	}
	names := map[string]int{}
	for _, variable := range got.Environ {
		name, _, _ := strings.Cut(variable, "=")
		if names[name]++; names[name] > 1 {
			t.Errorf("environment has %s twice", name)
		}
	}
	for _, want := range []string{"SAME=last", "COCAINE_APP_TOKEN_TYPE=TVM"} {
		if !slices.Contains(got.Environ, want) {
			t.Errorf("environment lacks %s: %q", want, got.Environ)
		}
	}
	if names["COCAINE_SECRET"] > 0 {
		t.Error("the worker sees the runtime's secret")
	}
	if got.Stdin != "" {
		t.Errorf("stdin holds %q", got.Stdin)
	}
	for _, file := range got.Files {
		if number, _, _ := strings.Cut(file, " "); !slices.Contains([]string{"0", "1", "2"}, number) {
			t.Errorf("the worker inherits descriptor %s", file)
		}
	}
}

func testSpawnError(t *testing.T, iso isolate.Isolate) {
	s := Worker(t, Exit, "0")
	s.Path = filepath.Join(s.Dir, "missing")
	p, err := iso.Spawn(t.Context(), s)
	if p != nil || !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("got %v, %v, want no process", p, err)
	}
	spawnErr, ok := errors.AsType[*isolate.SpawnError](err)
	if !ok || spawnErr.App != "hello" || !strings.HasPrefix(err.Error(), "cannot start worker: ") || spawnErr.Hint() == "" {
		t.Errorf("got %#v", err)
	}
}

func testTerminate(t *testing.T, iso isolate.Isolate) {
	printed := NewPrinted(t)
	s := Worker(t, Polite, "")
	s.Output = printed.Output
	p := Start(t, iso, s)
	printed.Await("ready")
	if exit := p.Exit(); !errors.Is(exit.Err, isolate.ErrRunning) {
		t.Errorf("Exit of a running worker: %+v", exit)
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	exit := Wait(t, p)
	if exit.String() != "exit status 0" || exit.Killed || !slices.Contains(printed.Stdout(), "bye") {
		t.Errorf("%v, printed %q", exit, printed.Stdout())
	}
}

func testKillTheStubborn(t *testing.T, iso isolate.Isolate) {
	printed := NewPrinted(t)
	s := Worker(t, Stubborn, "")
	s.Output = printed.Output
	p := Start(t, iso, s)
	printed.Await("ready")
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if exit := Wait(t, p); exit.Signal != syscall.SIGKILL || !exit.Killed {
		t.Errorf("%+v, want a kill", exit)
	}
}

func testKillReachesChildren(t *testing.T, iso isolate.Isolate) {
	life := NewLifeline(t)
	p := Start(t, iso, Worker(t, Parent, "3", life.Env()))
	family := []*Life{life.Next(), life.Next(), life.Next(), life.Next()}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	Wait(t, p)
	for _, member := range family {
		life.AwaitEnd(member)
	}
}

func testChildrenDieWithTheWorker(t *testing.T, iso isolate.Isolate) {
	life := NewLifeline(t)
	printed := NewPrinted(t)
	s := Worker(t, Heir, "", life.Env())
	s.Output = printed.Output
	exit := Wait(t, Start(t, iso, s))
	if exit.String() != "exit status 0" {
		t.Errorf("the worker's own end: %v", exit)
	}
	printed.Seal()
	for range 2 { // the worker and its child
		life.AwaitEnd(life.Next())
	}
}

func testEscapeeHoldsNothingUp(t *testing.T, iso isolate.Isolate) {
	life := NewLifeline(t)
	printed := NewPrinted(t)
	s := Worker(t, Escapee, "", life.Env())
	s.Output = printed.Output
	p := Start(t, iso, s)
	if exit := Wait(t, p); exit.String() != "exit status 0" {
		t.Errorf("%v", exit)
	}
	printed.Seal()
	life.Break()
}

func testFloodIsHeldBack(t *testing.T, iso isolate.Isolate) {
	var lines atomic.Int64
	pause, resume := make(chan struct{}), make(chan struct{})
	s := Worker(t, Flood, "")
	s.Output = func(line []byte, stderr bool) {
		if lines.Add(1) == 1000 {
			close(pause)
			<-resume
		}
	}
	p := Start(t, iso, s)
	<-pause
	before := heap()
	// The worker prints on and on, into a pipe that is full: nothing arrives.
	for range 5 {
		runtime.GC()
	}
	if got := lines.Load(); got != 1000 {
		t.Errorf("%d lines came while Output was blocked", got-1000)
	}
	close(resume)
	deadline := time.Now().Add(patience)
	for lines.Load() < 100_000 {
		if time.Now().After(deadline) {
			t.Fatalf("only %d lines came", lines.Load())
		}
		runtime.Gosched()
	}
	if grown := heap() - before; grown > 4<<20 {
		t.Errorf("100000 lines of output left %d bytes in memory", grown)
	}
	p.Kill()
	Wait(t, p)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func testBlockedOutputHoldsNothingUp(t *testing.T, iso isolate.Isolate) {
	called, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s := Worker(t, Flood, "")
	s.Output = func([]byte, bool) {
		once.Do(func() { close(called) })
		<-release
	}
	p := Start(t, iso, s)
	t.Cleanup(func() { close(release) }) // before the isolate is closed
	<-called
	p.Kill()
	if exit := Wait(t, p); exit.Signal != syscall.SIGKILL {
		t.Errorf("%v", exit)
	}
}

func testContextEndsTheStartOnly(t *testing.T, iso isolate.Isolate) {
	ctx, cancel := context.WithCancel(t.Context())
	p, err := iso.Spawn(ctx, Worker(t, Polite, ""))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case <-p.Done():
		t.Errorf("the worker ended with the context of its start: %v", p.Exit())
	case <-time.After(50 * time.Millisecond): // a wrong one ends within the millisecond
	}
	p.Kill()
	Wait(t, p)
	if p, err := iso.Spawn(ctx, Worker(t, Sleep, "")); !errors.Is(err, context.Canceled) {
		t.Errorf("Spawn with an ended context: %v, %v", p, err)
	}
}

func testSignalsRaceWithTheEnd(t *testing.T, iso isolate.Isolate) {
	for range 20 {
		p := Start(t, iso, Worker(t, Exit, "7"))
		var hammers sync.WaitGroup
		for range 4 {
			hammers.Go(func() {
				for {
					err := p.Signal(syscall.SIGCONT)
					if errors.Is(err, os.ErrProcessDone) {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
					runtime.Gosched()
				}
			})
		}
		if exit := Wait(t, p); exit.String() != "exit status 7" {
			t.Errorf("%v", exit)
		}
		hammers.Wait()
	}
}

func testManyAtOnce(t *testing.T, iso isolate.Isolate) {
	var all sync.WaitGroup
	for i := range 24 {
		s := Worker(t, Exit, fmt.Sprint(i+1))
		s.Worker = fmt.Sprintf("worker-%d", i)
		all.Go(func() {
			p, err := iso.Spawn(t.Context(), s)
			if err != nil {
				t.Error(err)
				return
			}
			<-p.Done()
			if exit := p.Exit(); exit.Code != i+1 {
				t.Errorf("worker %d: %v", i, exit)
			}
		})
	}
	all.Wait()
}
