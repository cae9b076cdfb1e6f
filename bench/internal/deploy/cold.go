//go:build linux

package deploy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/cocaine/cocaine-go/bench/internal/control"
	"github.com/cocaine/cocaine-go/bench/internal/frame"
)

// uuid is what the bare parent calls its worker.
const uuid = "00000000-0000-4000-8000-000000000000"

// ColdStart times the first call of an app that has no worker: from sending it
// until the close of its answer, on a connection that exists. The app is started
// before and paused after; neither is timed.
func (r *Runtime) ColdStart(ctx context.Context, payload []byte) (took time.Duration, err error) {
	addr, err := r.StartApp(ctx, App)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.PauseApp(ctx)) }()
	bounded, cancel := control.WithTimeout(ctx)
	defer cancel()
	s, err := control.Dial(bounded, addr)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	begin := time.Now()
	if err := echo(bounded, s, payload); err != nil {
		return 0, err
	}
	return time.Since(begin), nil
}

// Prime makes one call, so that a worker runs before anything is measured.
func Prime(ctx context.Context, addr string) error {
	ctx, cancel := control.WithTimeout(ctx)
	defer cancel()
	s, err := control.Dial(ctx, addr)
	if err != nil {
		return err
	}
	defer s.Close()
	return echo(ctx, s, []byte("hello"))
}

func echo(ctx context.Context, s *control.Session, payload []byte) error {
	if _, err := s.Call(ctx, frame.Close, control.EchoRequest(Event, payload)...); err != nil {
		return fmt.Errorf("cannot call %s: %w", App, err)
	}
	return nil
}

// BareStart times the least that could be done for the same call: fork, exec,
// accept the worker, read its handshake, send the three frames, read the answer.
func BareStart(ctx context.Context, worker string, payload []byte) (time.Duration, error) {
	dir, err := os.MkdirTemp("", "cocaine-bench-*")
	if err != nil {
		return 0, fmt.Errorf("cannot make a socket directory: %w", err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "worker.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return 0, fmt.Errorf("cannot listen for the worker: %w", err)
	}
	defer l.Close()
	if err := l.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return 0, err
	}
	var request []byte
	for _, tail := range control.EchoRequest(Event, payload) {
		request = frame.AppendTail(request, frame.ControlChannel+1, tail)
	}
	begin := time.Now()
	cmd := exec.CommandContext(ctx, worker,
		"--app", App, "--endpoint", path, "--locator", "127.0.0.1:1", "--protocol", "1", "--uuid", uuid)
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("cannot start the worker: %w", err)
	}
	err = firstAnswer(l, request)
	took := time.Since(begin)
	if err != nil {
		_ = cmd.Process.Kill() // it may wait for a connection for ever
	}
	// How it ends tells nothing: it may be hung up on in the middle of its heartbeat.
	if ended, ok := errors.AsType[*exec.ExitError](cmd.Wait()); ok && !ended.Exited() && err == nil {
		err = fmt.Errorf("cannot measure the worker: %w", ended)
	}
	return took, err
}

// firstAnswer drives one call through a fresh worker and hangs up.
func firstAnswer(l *net.UnixListener, request []byte) error {
	c, err := l.Accept()
	if err != nil {
		return fmt.Errorf("cannot accept the worker: %w", err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	buf := make([]byte, 0, 64<<10)
	sent := false
	for {
		n, err := c.Read(buf[len(buf):cap(buf)])
		if err != nil {
			return fmt.Errorf("cannot read from the worker: %w", err)
		}
		buf = buf[:len(buf)+n]
		for {
			f, size, err := frame.Next(buf)
			if errors.Is(err, frame.ErrShort) {
				break
			}
			if err != nil {
				return fmt.Errorf("cannot read from the worker: %w", err)
			}
			buf = buf[size:]
			if f.Channel != frame.ControlChannel && f.Type == frame.Close {
				return nil
			}
			if !sent { // the first frame is the handshake
				sent = true
				if _, err := c.Write(request); err != nil {
					return fmt.Errorf("cannot write to the worker: %w", err)
				}
			}
		}
	}
}
