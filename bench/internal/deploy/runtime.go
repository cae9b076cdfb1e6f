//go:build linux

// Package deploy starts a runtime, puts the echo app into it and times what
// happens once: the start of the runtime and the start of a worker.
//
// Everything goes over the wire as any client would do it, so a runtime that is
// already running, the original one included, can be measured as well.
package deploy

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cocaine/cocaine-go/bench/internal/control"
	"github.com/cocaine/cocaine-go/bench/internal/frame"
	"github.com/cocaine/cocaine-go/bench/internal/proc"
)

// A Runtime is a running `cocaine server`, or somebody else's runtime that was
// attached to.
type Runtime struct {
	Locator string // address
	Debug   string // address of /debug/vars; empty when attached
	proc    *proc.Proc
}

// Start runs binary with its state in dir and waits until it says that it is
// ready. Took is the time from exec to that line.
func Start(ctx context.Context, binary, dir string) (r *Runtime, took time.Duration, err error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, 0, err
	}
	r = &Runtime{Locator: address(ports[0]), Debug: address(ports[1])}
	begin := time.Now()
	r.proc, err = proc.Start("cocaine server", []string{"COCAINE_DEBUG_ADDR=" + r.Debug},
		binary, "server", "--dir", dir, "--listen", "127.0.0.1", "--locator-port", strconv.Itoa(ports[0]))
	if err != nil {
		return nil, 0, err
	}
	ctx, cancel := control.WithTimeout(ctx)
	defer cancel()
	ready := func(line string) bool {
		return strings.HasPrefix(line, "ready") || strings.Contains(line, " msg=ready ")
	}
	if err := r.proc.Await(ctx, "ready", ready); err != nil {
		r.Stop()
		return nil, 0, err
	}
	return r, time.Since(begin), nil
}

// Attach uses a runtime that runs already.
func Attach(locator string) *Runtime { return &Runtime{Locator: locator} }

// Proc is the server's process; nil when attached.
func (r *Runtime) Proc() *proc.Proc { return r.proc }

// Stop ends a runtime that Start started.
func (r *Runtime) Stop() {
	if r.proc != nil {
		r.proc.Stop()
	}
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// freePorts asks the kernel for ports that nobody uses. Somebody may take one
// before it is used; a benchmark can live with that.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("cannot find a free port: %w", err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// FreeAddress is a loopback address that nobody listens on.
func FreeAddress() (string, error) {
	ports, err := freePorts(1)
	if err != nil {
		return "", err
	}
	return address(ports[0]), nil
}

// TimeStarts starts and stops the runtime n times on an empty state and n times
// on what the last one left.
func TimeStarts(ctx context.Context, binary string, n int) (empty, again []time.Duration, err error) {
	for range n {
		dir, err := os.MkdirTemp("", "cocaine-bench-*")
		if err != nil {
			return nil, nil, fmt.Errorf("cannot make a state directory: %w", err)
		}
		defer os.RemoveAll(dir)
		for _, times := range []*[]time.Duration{&empty, &again} {
			r, took, err := Start(ctx, binary, dir)
			if err != nil {
				return nil, nil, err
			}
			r.Stop()
			*times = append(*times, took)
		}
	}
	return empty, again, nil
}

// call resolves a service, calls one method of it and hangs up.
func (r *Runtime) call(ctx context.Context, service string, request []byte) error {
	ctx, cancel := control.WithTimeout(ctx)
	defer cancel()
	addr, err := control.Resolve(ctx, r.Locator, service)
	if err != nil {
		return err
	}
	s, err := control.Dial(ctx, addr)
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = s.Call(ctx, frame.Value, request)
	return err
}
