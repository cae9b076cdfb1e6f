package cli_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// Each script under testdata/script is a story of somebody who uses the command
// line. Beside testscript's own commands it has:
//
//	serve [ARG...]              start a runtime of its own and wait until it is ready;
//	                            the rest of the script talks to it
//	spawn NAME PROGRAM ARG...   start a program; its output is in NAME.out and NAME.err
//	terminal NAME COLUMNS PROGRAM ARG...  spawn on a terminal; all it shows is in NAME.out
//	interrupt NAME              press Ctrl-C on its terminal
//	fits FILE COLUMNS           what was drawn on a terminal did not wrap
//	tell NAME LINE              write a line to a spawned program's input, which else stays open
//	await FILE REGEXP           wait until a file has a line that matches
//	signal NAME SIGNAL          send a signal to a spawned program
//	ended NAME [STATUS]         wait for the end of a spawned program, and check it
//	exits STATUS PROGRAM ARG... run a program that ends with this status
//	eventually REGEXP PROGRAM ARG...  run a program until its output matches
//	capture VAR FILE REGEXP     set a variable to what the first group matches
//	kill9 PID                   send SIGKILL
//	nothing-left                no process of the script is alive, no temporary file is left
//
// "stdout" and "stderr" stand for the output of the last command, as in testscript.
func TestScripts(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireUniqueNames:  true,
		RequireExplicitExec: false,
		Setup:               func(e *testscript.Env) error { return setUp(e, root) },
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "root": // whom permissions do not stop
				return os.Geteuid() == 0, nil
			case "nohup": // whoever started the tests wants them to outlive the terminal
				return signal.Ignored(syscall.SIGHUP), nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve":        cmdServe,
			"spawn":        cmdSpawn,
			"terminal":     cmdTerminal,
			"fits":         cmdFits,
			"interrupt":    cmdInterrupt,
			"tell":         cmdTell,
			"await":        cmdAwait,
			"signal":       cmdSignal,
			"ended":        cmdEnded,
			"exits":        cmdExits,
			"eventually":   cmdEventually,
			"capture":      cmdCapture,
			"kill9":        cmdKill9,
			"nothing-left": cmdNothingLeft,
			"shape":        cmdShape,
		},
	})
}

// patience is how long a script waits for something to happen.
const patience = 60 * time.Second

// scriptVariable marks the processes of a script: what they start inherits it.
const scriptVariable = "SCRIPT_OF_COCAINE"

// setUp gives a script a home and short paths: those of sockets are limited.
func setUp(e *testscript.Env, root string) error {
	short, err := os.MkdirTemp("/tmp", "c")
	if err != nil {
		return err
	}
	s := &script{programs: make(map[string]*program)}
	e.Values[scriptKey{}] = s
	e.Defer(func() {
		s.end()
		os.RemoveAll(short)
	})
	for _, dir := range []string{"tmp", "home"} {
		if err := os.Mkdir(filepath.Join(short, dir), 0o755); err != nil {
			return err
		}
	}
	// The race detector has every process linger for a second at its end.
	e.Vars = append(e.Vars, "GORACE=atexit_sleep_ms=0", "HOME="+short+"/home", "TMPDIR="+short+"/tmp", "STATE="+short+"/s", "ROOT="+root,
		"COCAINE_LOCATOR=127.0.0.1:1", scriptVariable+"="+short)
	out, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE", "GOPATH", "GOFLAGS", "GOPROXY").Output()
	if err != nil {
		return fmt.Errorf("go env: %w", err)
	}
	for i, value := range strings.Split(strings.TrimSuffix(string(out), "\n"), "\n") {
		e.Vars = append(e.Vars, []string{"GOCACHE", "GOMODCACHE", "GOPATH", "GOFLAGS", "GOPROXY"}[i]+"="+value)
	}
	return nil
}

type scriptKey struct{}

// script is what a running script has started.
type script struct {
	mu       sync.Mutex
	programs map[string]*program
}

func scriptOf(ts *testscript.TestScript) *script { return ts.Value(scriptKey{}).(*script) }

// end kills what still runs.
func (s *script) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.programs {
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

func (s *script) program(ts *testscript.TestScript, name string) *program {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.programs[name]
	if p == nil {
		ts.Fatalf("no program %q was spawned", name)
	}
	return p
}

// program is one that runs in the background.
type program struct {
	cmd   *exec.Cmd
	input io.WriteCloser
	done  chan struct{} // closed when it has ended
}

func cmdSpawn(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: spawn NAME PROGRAM ARG...")
	}
	spawn(ts, args[0], args[1:])
}

func spawn(ts *testscript.TestScript, name string, argv []string) {
	path := argv[0]
	if !strings.Contains(path, "/") {
		var err error
		path, err = exec.LookPath(path)
		ts.Check(err)
	}
	cmd := exec.Command(path, argv[1:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = environ(ts)
	out, err := os.Create(filepath.Join(ts.Getenv("WORK"), name+".out"))
	ts.Check(err)
	defer out.Close()
	stderr, err := os.Create(filepath.Join(ts.Getenv("WORK"), name+".err"))
	ts.Check(err)
	defer stderr.Close()
	cmd.Stdout, cmd.Stderr = out, stderr
	input, err := cmd.StdinPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	p := &program{cmd: cmd, input: input, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // the state tells
		close(p.done)
	}()
	scriptOf(ts).add(ts, name, p)
}

// add keeps a program for the commands that follow.
func (s *script) add(ts *testscript.TestScript, name string, p *program) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.programs[name]; old != nil {
		select {
		case <-old.done:
		default:
			ts.Fatalf("program %q is running already", name)
		}
	}
	s.programs[name] = p
}

// environ are the script's variables.
func environ(ts *testscript.TestScript) []string {
	var env []string
	for _, name := range variables {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return append(env, "PWD="+ts.MkAbs("."))
}

// variables that spawned programs get: testscript does not list those it has.
var variables = []string{"PATH", "HOME", "TMPDIR", "GOCACHE", "GOMODCACHE", "GOPATH", "GOFLAGS", "GOPROXY", "COCAINE_LOCATOR",
	"COCAINE_CONFIG", "COCAINE_NETWORK_PORT", "COCAINE_NODE_GRACE", "COCAINE_LOGGING_SEVERITY", "COCAINE_LIMITS_FRAME",
	"COCAINE_CLUSTER_TYPE", "COCAINE_CLUSTER_NODES", "COCAINE_CLUSTER_INTERVAL",
	"XDG_CONFIG_HOME", "GORACE", scriptVariable}

var readyLine = regexp.MustCompile(`(?:msg=ready locator=|ready: locator |"msg":"ready","locator":")(127\.0\.0\.1:[0-9]+)`)

func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: serve [ARG...]")
	}
	argv := append([]string{"cocaine", "server", "--dir", ts.Getenv("STATE"), "--locator-port", "0"}, args...)
	spawn(ts, "server", argv)
	p := scriptOf(ts).program(ts, "server")
	m := await(ts, "server.err", readyLine, p)
	ts.Setenv("COCAINE_LOCATOR", m[1])
}

func cmdTell(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: tell NAME LINE")
	}
	_, err := io.WriteString(scriptOf(ts).program(ts, args[0]).input, args[1]+"\n")
	ts.Check(err)
}

func cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE REGEXP")
	}
	await(ts, args[0], compile(ts, args[1]), nil)
}

// await polls a file: what writes it is another process, which has no other way to
// tell.
func await(ts *testscript.TestScript, file string, re *regexp.Regexp, writer *program) []string {
	path := filepath.Join(ts.Getenv("WORK"), file)
	for deadline := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		text, err := os.ReadFile(path)
		ts.Check(err)
		if m := re.FindStringSubmatch(string(text)); m != nil {
			return m
		}
		if writer != nil {
			select {
			case <-writer.done:
				ts.Fatalf("the program ended: %v\n%s", writer.cmd.ProcessState, text)
			default:
			}
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s does not come to match %q:\n%s", file, re, text)
		}
	}
}

func compile(ts *testscript.TestScript, pattern string) *regexp.Regexp {
	re, err := regexp.Compile(`(?m)` + pattern)
	ts.Check(err)
	return re
}

func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: signal NAME SIGNAL")
	}
	sig := unix.SignalNum("SIG" + args[1])
	if sig == 0 {
		ts.Fatalf("no signal %q", args[1])
	}
	ts.Check(scriptOf(ts).program(ts, args[0]).cmd.Process.Signal(sig))
}

func cmdEnded(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: ended NAME [STATUS]")
	}
	p := scriptOf(ts).program(ts, args[0])
	select {
	case <-p.done:
	case <-time.After(patience):
		ts.Fatalf("%s does not end:\n%s", args[0], output(ts, args[0]))
	}
	want := "0"
	if len(args) == 2 {
		want = args[1]
	}
	have := strconv.Itoa(p.cmd.ProcessState.ExitCode())
	if s, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		have = unix.SignalName(s.Signal())
	}
	if have != want {
		ts.Fatalf("%s ended with status %s, want %s:\n%s", args[0], have, want, output(ts, args[0]))
	}
}

func output(ts *testscript.TestScript, name string) []byte {
	text, err := os.ReadFile(filepath.Join(ts.Getenv("WORK"), name+".err"))
	ts.Check(err)
	return text
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS PROGRAM ARG...")
	}
	have := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		e, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		have = e.ExitCode()
	}
	if want, err := strconv.Atoi(args[0]); err != nil || have != want {
		ts.Fatalf("exit status %d, want %s", have, args[0])
	}
}

func cmdEventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: eventually REGEXP PROGRAM ARG...")
	}
	re := compile(ts, args[0])
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		cmd := exec.Command(args[1], args[2:]...)
		cmd.Env = environ(ts)
		out, err := cmd.Output()
		if re.Match(out) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%v does not come to print %q: %v\n%s", args[1:], re, err, out)
		}
	}
}

func cmdCapture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: capture VAR FILE REGEXP")
	}
	m := compile(ts, args[2]).FindStringSubmatch(ts.ReadFile(args[1]))
	if len(m) != 2 {
		ts.Fatalf("%s does not match %q", args[1], args[2])
	}
	ts.Setenv(args[0], m[1])
}

func cmdKill9(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: kill9 PID")
	}
	pid, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(syscall.Kill(pid, syscall.SIGKILL))
}

// cmdNothingLeft waits: a process that was told to end takes its time, and its
// parent may not have reaped it.
func cmdNothingLeft(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: nothing-left")
	}
	mark := []byte(scriptVariable + "=" + ts.Getenv(scriptVariable))
	var left []string
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		left = processesWith(mark)
		if len(left) == 0 {
			break
		}
		if time.Now().After(deadline) {
			ts.Fatalf("processes are left: %q", left)
		}
	}
	entries, err := os.ReadDir(ts.Getenv("TMPDIR"))
	ts.Check(err)
	if len(entries) > 0 {
		ts.Fatalf("temporary files are left: %v", entries)
	}
}

// processesWith gives the command lines of the processes that have a variable in
// their environment.
func processesWith(mark []byte) []string {
	var found []string
	environs, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return nil
	}
	for _, path := range environs {
		env, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(append([]byte{0}, env...), append([]byte{0}, mark...)) {
			continue
		}
		line, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
	}
	return found
}
