package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/engine"
	"github.com/cocaine/cocaine-go/internal/engine/enginetest"
	"github.com/cocaine/cocaine-go/internal/idl"
	osprocess "github.com/cocaine/cocaine-go/internal/isolate/process"
	"github.com/cocaine/cocaine-go/internal/manifest"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
)

// workerMode is set in the environment of a worker, to what it does.
const workerMode = "COCAINE_ENGINE_TEST_WORKER"

// runWorker is the main function of a worker.
func runWorker(mode string) (status int) {
	arg := func(name string) string { return os.Args[slices.Index(os.Args, name)+1] }
	fmt.Println("worker is", mode)
	switch mode {
	case "exit":
		fmt.Fprintln(os.Stderr, "cannot go on")
		return 3
	case "mute":
		select {}
	case "deaf":
		signal.Ignore(syscall.SIGTERM)
	}
	conn, err := net.Dial("unix", arg("--endpoint"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if mode == "parent" {
		leaveOrphan(conn.(*net.UnixConn))
	}
	var control rpc.Receiver
	if mode == "deaf" {
		control = deafControl{}
	}
	session, _ := enginetest.Serve(conn, arg("--uuid"), control) // a lost engine ends the session
	switch mode {
	case "parent":
		session.Drain(context.Background()) // the handshake has left
		return 4
	case "deaf":
		select {}
	}
	session.Wait()
	return 0
}

type deafControl struct{}

func (deafControl) Receive(*rpc.Batch, *rpc.Frame) bool { return false }
func (deafControl) Lost(*rpc.Batch, error)              {}

// leaveOrphan starts a process that holds the connection and that no signal to the
// group reaches.
func leaveOrphan(conn *net.UnixConn) {
	f, err := conn.File()
	if err != nil {
		panic(err)
	}
	cmd := exec.Command("sleep", "30")
	cmd.ExtraFiles = []*os.File{f}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	fmt.Println("orphan", cmd.Process.Pid)
}

// An app is an engine with real processes, a unix socket for them and a TCP port
// for clients.
type app struct {
	*engine.Engine
	t       *testing.T
	client  *rpctest.Peer
	crashes chan engine.Crash
	lines   chan string
	socket  string
}

func newApp(t *testing.T, mode string, profile map[string]any) *app {
	t.Helper()
	p, err := manifest.ParseProfile("p", profile)
	if err != nil {
		t.Fatal(err)
	}
	iso, err := osprocess.New(osprocess.Options{Cgroup: osprocess.CgroupOff})
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	a := &app{t: t, crashes: make(chan engine.Crash, 100), lines: make(chan string, 1000), socket: filepath.Join(dir, "s")}
	if err := os.WriteFile(a.socket, []byte("stale"), 0o600); err != nil { // a file in the way, as a runtime that was killed leaves
		t.Fatal(err)
	}
	a.Engine = engine.New(engine.Options{App: "app", Manifest: manifest.Manifest{Slave: self, Environment: map[string]string{workerMode: mode}},
		Profile: *p, Dir: dir, Endpoint: a.socket, Isolate: iso, KillGrace: 300 * time.Millisecond,
		Crashed: func(c engine.Crash) { a.crashes <- c },
		Output:  func(_ string, line []byte, _ bool) { a.lines <- string(line) }})
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	server := rpc.NewServer(rpc.ServerOptions{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(context.Background(), ln, engine.Service(a.Engine, rpc.MuxOptions{})) })
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a.client = rpctest.Play(t, conn)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = a.Stop(ctx)
		_ = server.Shutdown(ctx)
		serving.Wait()
		if err := iso.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(a.socket); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("socket is still there: %v", err)
		}
	})
	return a
}

func (a *app) crash() engine.Crash {
	a.t.Helper()
	select {
	case c := <-a.crashes:
		return c
	case <-time.After(rpctest.Patience):
		a.t.Fatal("no crash")
		return engine.Crash{}
	}
}

// pid is the process of the only worker.
func (a *app) pid() int {
	a.t.Helper()
	for _, w := range a.Info(engine.InfoMore)["pool"].(map[string]any)["slaves"].(map[string]any) {
		return w.(map[string]any)["pid"].(int)
	}
	a.t.Fatal("there is no worker")
	return 0
}

func TestRealProcesses(t *testing.T) {
	t.Run("echo, kill, echo", func(t *testing.T) { // node-engine 12.3 case 7
		a := newApp(t, "echo", nil)
		a.client.Send(1, idl.AppEnqueue, "e")
		a.client.Send(1, idl.Write, "hello")
		a.client.Send(1, idl.Close)
		a.client.Want(1, idl.Write, "hello")
		a.client.Want(1, idl.Close)
		for ch := uint64(2); ch < 5; ch++ {
			a.client.Send(ch, idl.AppEnqueue, "e")
			a.client.Send(ch, idl.Write, "x")
			a.client.Want(ch, idl.Write, "x")
		}
		if err := syscall.Kill(a.pid(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		killed := time.Now()
		for range 3 {
			f := a.client.Recv()
			if e, err := rpc.DecodeError(f.Args); err != nil || e.Message != "slave has been discarded" {
				t.Errorf("client got %v", f)
			}
		}
		if c := a.crash(); c.Code != codeConnLost || c.Exit != "killed by SIGKILL" || c.Inflight != 3 || fmt.Sprint(c.Lines) != "[worker is echo]" {
			t.Errorf("crash is %+v", c)
		}
		a.client.Send(5, idl.AppEnqueue, "e")
		a.client.Send(5, idl.Close)
		a.client.Want(5, idl.Close)
		if took := time.Since(killed); took < time.Second {
			t.Errorf("next worker came after %v, want a second at least", took)
		}
	})
	t.Run("exit", func(t *testing.T) {
		a := newApp(t, "exit", nil)
		a.SetTarget(1)
		if c := a.crash(); c.Code != codeUnready || c.Exit != "exit status 3" || !slices.Contains(c.Lines, "cannot go on") {
			t.Errorf("crash is %+v", c)
		}
	})
	t.Run("mute", func(t *testing.T) {
		a := newApp(t, "mute", map[string]any{"handshake-timeout": 0.3})
		a.SetTarget(1)
		if c := a.crash(); c.Code != codeShakeLate || c.Exit != "killed by SIGTERM" {
			t.Errorf("crash is %+v", c)
		}
	})
	t.Run("deaf", func(t *testing.T) {
		a := newApp(t, "deaf", map[string]any{"terminate-timeout": 0.2})
		if err := a.Warm(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		pid := a.pid()
		if err := a.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process is still there: %v", err)
		}
	})
	t.Run("orphan holds the socket", func(t *testing.T) {
		a := newApp(t, "parent", nil)
		a.client.Send(1, idl.AppEnqueue, "e")
		if c := a.crash(); c.Exit != "exit status 4" {
			t.Errorf("crash is %+v", c)
		}
		for line := range a.lines {
			var pid int
			if n, _ := fmt.Sscanf(line, "orphan %d", &pid); n == 1 {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Error(err)
				}
				break
			}
		}
	})
	t.Run("no such program", func(t *testing.T) {
		iso, err := osprocess.New(osprocess.Options{Cgroup: osprocess.CgroupOff})
		if err != nil {
			t.Fatal(err)
		}
		defer iso.Close()
		e := engine.New(engine.Options{App: "app", Manifest: manifest.Manifest{Slave: "/no/such/program"}, Profile: *manifest.DefaultProfile(),
			Dir: t.TempDir(), Endpoint: filepath.Join(t.TempDir(), "s"), Isolate: iso})
		if err := e.Start(); err != nil {
			t.Fatal(err)
		}
		var re *rpc.Error
		if err := e.Warm(t.Context(), 1); !errors.As(err, &re) || re.Code != idl.NodeNoResources || !strings.Contains(re.Message, "/no/such/program") {
			t.Errorf("error is %v", err)
		}
		if err := e.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("strangers on the socket", func(t *testing.T) {
		a := newApp(t, "echo", nil)
		for _, say := range []string{"GET / HTTP/1.0\r\n\r\n", "\xc1", "\x93\x01\x00\x91\xa1x\x93\x01\x00\x90"} {
			conn, err := net.Dial("unix", a.socket)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(conn, say)
			if b, err := io.ReadAll(conn); err != nil || len(b) > 0 {
				t.Errorf("%q was answered %q, %v", say, b, err)
			}
			conn.Close()
		}
		a.client.Send(1, idl.AppEnqueue, "e")
		a.client.Send(1, idl.Close)
		a.client.Want(1, idl.Close)
	})
}
