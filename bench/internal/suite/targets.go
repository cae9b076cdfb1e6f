//go:build linux

package suite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/cocaine/cocaine-go/bench/internal/control"
	"github.com/cocaine/cocaine-go/bench/internal/deploy"
	"github.com/cocaine/cocaine-go/bench/internal/frame"
	"github.com/cocaine/cocaine-go/bench/internal/proc"
	"github.com/cocaine/cocaine-go/bench/internal/result"
	"github.com/cocaine/cocaine-go/bench/internal/sdkecho"
)

// A target is a running server, with its worker where it has one of its own.
type target struct {
	name    string
	client  []string // flags that make the client speak to it
	debug   string   // address of /debug/vars
	server  *proc.Proc
	workers []*proc.Proc
	runtime *deploy.Runtime        // of cocaine, and of what shares it
	shared  bool                   // server and runtime are another target's
	cells   func(result.Cell) bool // where it is measured; nil: everywhere
	idle    int64                  // resident before the first request
}

func (t *target) stop() {
	for _, w := range t.workers {
		w.Stop()
	}
	if t.server != nil && !t.shared {
		t.server.Stop()
	}
}

// measures reports whether the target is measured at a cell.
func (t *target) measures(c result.Cell) bool { return t.cells == nil || t.cells(c) }

// An absentError says why there is nothing to measure, which is no failure.
type absentError string

func (e absentError) Error() string { return string(e) }

// build compiles what a run needs and cannot be part of the benchmark's binary.
func (s *Suite) build(ctx context.Context) error {
	s.worker = filepath.Join(s.dir, "echo-worker")
	s.sdkWorker = filepath.Join(s.dir, "sdk-worker")
	for out, pkg := range map[string]string{s.worker: "./cmd/echo-worker", s.sdkWorker: "./cmd/sdk-worker"} {
		if err := s.goBuild(ctx, filepath.Join(s.Root, "bench"), out, pkg); err != nil {
			return fmt.Errorf("cannot build the worker: %w", err)
		}
	}
	return nil
}

func (s *Suite) goBuild(ctx context.Context, dir, out, pkg string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", out, pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		return fmt.Errorf("%w: %s", err, strings.Join(lines[:min(len(lines), 3)], "; "))
	}
	return nil
}

// start starts a target by name.
func (s *Suite) start(ctx context.Context, name string) (*target, error) {
	starters := map[string]func(context.Context) (*target, error){
		result.Cocaine:     s.startCocaine,
		result.Forwarder:   s.startForwarder,
		result.NATS:        s.startNATS,
		result.GRPC:        s.startGRPC,
		result.NATSRequest: s.startNATSRequest,
		result.SDK:         func(ctx context.Context) (*target, error) { return s.startSDK(ctx, result.SDK, sdkecho.Value) },
		result.SDKEach:     func(ctx context.Context) (*target, error) { return s.startSDK(ctx, result.SDKEach, sdkecho.Each) },
		result.SDKStream:   func(ctx context.Context) (*target, error) { return s.startSDK(ctx, result.SDKStream, sdkecho.Stream) },
	}
	f, ok := starters[name]
	if !ok {
		return nil, fmt.Errorf("no such target; there are %s", strings.Join(result.Targets(), ", "))
	}
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	return f(ctx)
}

// findCocaine returns the binary of the runtime, building it if need be.
func (s *Suite) findCocaine(ctx context.Context) (string, error) {
	if s.Cocaine != "" {
		return s.Cocaine, nil
	}
	if _, err := os.Stat(filepath.Join(s.Root, "cmd", "cocaine")); err != nil {
		return "", absentError("no cmd/cocaine in " + s.Root + " to build, and no -cocaine given")
	}
	binary := filepath.Join(s.dir, "cocaine")
	if err := s.goBuild(ctx, s.Root, binary, "./cmd/cocaine"); err != nil {
		return "", fmt.Errorf("cannot build the runtime: %w", err)
	}
	return binary, nil
}

func (s *Suite) startCocaine(ctx context.Context) (*target, error) {
	t := &target{name: result.Cocaine}
	if s.Attach != "" {
		t.runtime = deploy.Attach(s.Attach)
	} else {
		binary, err := s.findCocaine(ctx)
		if err != nil {
			return nil, err
		}
		s.binary = binary
		t.runtime, _, err = deploy.Start(ctx, binary, filepath.Join(s.dir, "state"))
		if err != nil {
			return nil, err
		}
		t.server = t.runtime.Proc()
		t.debug = t.runtime.Debug
		t.idle = settled(t.server)
	}
	if err := t.runtime.Upload(ctx, deploy.App, s.worker, s.Isolate); err != nil {
		t.stop()
		return nil, err
	}
	addr, err := t.runtime.StartApp(ctx, deploy.App)
	if err == nil {
		err = deploy.Prime(ctx, addr)
	}
	if err != nil {
		t.stop()
		return nil, err
	}
	t.client = []string{"-protocol", "cocaine", "-address", addr}
	return t, nil
}

// startSDK deploys the worker that uses the framework, in the runtime of the target
// cocaine, so that the two differ in nothing else. Without that target it has a
// runtime of its own.
func (s *Suite) startSDK(ctx context.Context, name, event string) (*target, error) {
	var err error
	t := &target{name: name, shared: true}
	owner := s.sharedRuntime()
	if owner == nil {
		if owner, err = s.startCocaine(ctx); err != nil {
			return nil, err
		}
		t.shared = false
	}
	t.server, t.runtime = owner.server, owner.runtime
	if err = t.runtime.Upload(ctx, deploy.SDKApp, s.sdkWorker, s.Isolate); err == nil {
		_, err = t.runtime.StartApp(ctx, deploy.SDKApp)
	}
	if e := (*frame.Error)(nil); errors.As(err, &e) && (s.find(result.SDK) != nil || s.find(result.SDKEach) != nil) {
		err = nil // the other way to call it has started it
	}
	if err != nil {
		t.stop()
		return nil, err
	}
	t.client = []string{"-protocol", "sdk", "-method", event, "-address", t.runtime.Locator}
	t.cells = onOneConnection
	return t, nil
}

// sharedRuntime is the target whose runtime others may use, nil if there is none.
func (s *Suite) sharedRuntime() *target {
	for _, t := range s.targets {
		if t.runtime != nil {
			return t
		}
	}
	return nil
}

func (s *Suite) startForwarder(ctx context.Context) (*target, error) {
	t := &target{name: result.Forwarder}
	socket := filepath.Join(s.dir, "forwarder.sock")
	debug, err := deploy.FreeAddress()
	if err != nil {
		return nil, err
	}
	t.debug = debug
	t.server, err = proc.Start("the forwarder", []string{"COCAINE_DEBUG_ADDR=" + debug}, s.Self, "forwarder", "-unix", socket)
	if err != nil {
		return nil, err
	}
	addr, err := t.server.Expect(ctx, "listening ")
	if err == nil {
		err = t.addWorker("the worker of the forwarder", s.worker,
			"--app", deploy.App, "--endpoint", socket, "--locator", "127.0.0.1:1", "--protocol", "1", "--uuid", "bench")
	}
	if err == nil {
		_, err = t.server.Expect(ctx, "ready")
	}
	if err != nil {
		t.stop()
		return nil, err
	}
	t.idle = settled(t.server)
	t.client = []string{"-protocol", "cocaine", "-address", addr}
	return t, nil
}

func (s *Suite) startNATS(ctx context.Context) (*target, error) {
	t, url, err := s.startServer(ctx, result.NATS, "nats-server")
	if err != nil {
		return nil, err
	}
	err = t.addWorker("the NATS responder", s.Self, "nats-worker", "-address", url)
	if err == nil {
		_, err = t.workers[0].Expect(ctx, "ready")
	}
	if err != nil {
		t.stop()
		return nil, err
	}
	t.client = []string{"-protocol", "nats", "-address", url}
	return t, nil
}

// startNATSRequest is the target NATS with another client, and servers of its own.
func (s *Suite) startNATSRequest(ctx context.Context) (*target, error) {
	t, err := s.startNATS(ctx)
	if err != nil {
		return nil, err
	}
	t.name = result.NATSRequest
	t.client[1] = result.NATSRequest
	t.cells = onOneConnection
	return t, nil
}

// onOneConnection is for clients that are libraries: how a server does with several
// is what their rivals are for.
func onOneConnection(c result.Cell) bool { return c.Connections == 1 }

func (s *Suite) startGRPC(ctx context.Context) (*target, error) {
	t, addr, err := s.startServer(ctx, result.GRPC, "grpc-server")
	if err != nil {
		return nil, err
	}
	t.client = []string{"-protocol", "grpc", "-address", addr}
	return t, nil
}

// startServer starts a process of the benchmark that says "ready ADDRESS".
func (s *Suite) startServer(ctx context.Context, name, command string) (*target, string, error) {
	t := &target{name: name}
	var err error
	if t.server, err = proc.Start(command, nil, s.Self, command); err != nil {
		return nil, "", err
	}
	addr, err := t.server.Expect(ctx, "ready ")
	if err != nil {
		t.stop()
		return nil, "", err
	}
	t.idle = settled(t.server)
	return t, addr, nil
}

func (t *target) addWorker(name string, argv ...string) error {
	w, err := proc.Start(name, nil, argv...)
	if err != nil {
		return err
	}
	t.workers = append(t.workers, w)
	return nil
}

// settled is the resident memory of a process that has had a second to rest
// since it said it was ready; 0 when it cannot be read.
func settled(p *proc.Proc) int64 {
	time.Sleep(time.Second)
	bytes, err := proc.Resident(p.PID())
	if err != nil {
		return 0
	}
	return bytes
}

// address resolves a service of the runtime, for the plain methods.
func (t *target) address(ctx context.Context, service string) (string, error) {
	if service == "locator" {
		return t.runtime.Locator, nil
	}
	ctx, cancel := control.WithTimeout(ctx)
	defer cancel()
	return control.Resolve(ctx, t.runtime.Locator, service)
}
