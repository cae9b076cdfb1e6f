//go:build linux

package process_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"github.com/cocaine/cocaine-go/internal/isolate"
	"github.com/cocaine/cocaine-go/internal/isolate/isolatetest"
	"github.com/cocaine/cocaine-go/internal/isolate/process"
)

// Variables that make the test binary a runtime, which starts workers and waits
// to be killed.
const (
	runtimeVariable = "PROCESSTEST_RUNTIME" // value of Options.Cgroup
	modeOfWorkers   = "PROCESSTEST_MODE"
	countOfWorkers  = "PROCESSTEST_COUNT"
)

func runtimeMain() {
	where, ok := os.LookupEnv(runtimeVariable)
	if !ok {
		return
	}
	die := func(err error) {
		fmt.Println(err)
		os.Exit(1)
	}
	iso, err := process.New(process.Options{Cgroup: where})
	if err != nil {
		die(err)
	}
	fmt.Printf("%+v\n", iso.Enforces())
	executable, err := os.Executable()
	if err != nil {
		die(err)
	}
	count, _ := strconv.Atoi(os.Getenv(countOfWorkers))
	for range count {
		_, err := iso.Spawn(contextOfRuntime(), isolate.Spawn{
			App: "hello", Worker: "w", Dir: os.TempDir(), Path: executable,
			Env: []string{"ISOLATETEST_MODE=" + os.Getenv(modeOfWorkers)},
		})
		if err != nil {
			die(err)
		}
	}
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n') // killed meanwhile, or told to end
	if err := iso.Close(); err != nil {
		die(err)
	}
	os.Exit(0)
}

// runtimeProcess is a runtime in a process of its own.
type runtimeProcess struct {
	*exec.Cmd
	enforces string
	stdin    interface{ Close() error }
}

// startRuntime starts a runtime with workers that hold the lifeline. prepare, if
// not nil, may change how it is started.
func startRuntime(t *testing.T, life *isolatetest.Lifeline, cgroup, mode string, count int, prepare func(*exec.Cmd)) *runtimeProcess {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), runtimeVariable+"="+cgroup, modeOfWorkers+"="+mode, countOfWorkers+"="+strconv.Itoa(count), life.Env())
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if prepare != nil {
		prepare(cmd)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	r := bufio.NewReader(stdout)
	enforces, _ := r.ReadString('\n')
	if line, _ := r.ReadString('\n'); line != "ready\n" {
		t.Fatalf("the runtime says %q %q", enforces, line)
	}
	return &runtimeProcess{Cmd: cmd, enforces: enforces, stdin: stdin}
}

// However the runtime ends, its workers end with it: kill -9 leaves it no time
// to do anything about them.
func TestWorkersDieWithTheRuntime(t *testing.T) {
	life := isolatetest.NewLifeline(t)
	r := startRuntime(t, life, process.CgroupOff, isolatetest.Sleep, 3, nil)
	workers := []*isolatetest.Life{life.Next(), life.Next(), life.Next()}
	r.Process.Kill()
	r.Wait()
	for _, w := range workers {
		life.AwaitEnd(w)
	}
}
