//go:build linux

// Package proc runs the processes of a benchmark and reads what the kernel knows
// about them.
//
// A Proc is safe for concurrent use. Whoever starts one stops it.
package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	stopAfter = 5 * time.Second // between SIGTERM and SIGKILL
	tailLines = 12              // kept to explain a failure
)

// A Proc is one child process.
type Proc struct {
	Name   string
	cmd    *exec.Cmd
	output *lines
	done   chan struct{}
	err    error // of Wait, set before done is closed
}

// Start runs argv with env added to the environment. The child dies with its
// parent.
func Start(name string, env []string, argv ...string) (*Proc, error) {
	p := &Proc{Name: name, cmd: exec.Command(argv[0], argv[1:]...), output: newLines(), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout = p.output
	p.cmd.Stderr = p.output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.cmd.WaitDelay = time.Second // a grandchild may hold the pipe
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// PID is the process id.
func (p *Proc) PID() int { return p.cmd.Process.Pid }

// Expect waits for a line of output that has the prefix and returns what follows
// it. Each line is looked at once, so calls in turn find lines in turn.
func (p *Proc) Expect(ctx context.Context, prefix string) (rest string, err error) {
	err = p.Await(ctx, prefix, func(line string) (found bool) {
		rest, found = strings.CutPrefix(line, prefix)
		return found
	})
	return strings.TrimSpace(rest), err
}

// Await waits for a line of output that matches. what names the line in errors.
func (p *Proc) Await(ctx context.Context, what string, match func(line string) bool) error {
	ended := false
	for {
		line, changed, ok := p.output.next()
		switch {
		case ok && match(line):
			return nil
		case ok:
			continue
		case ended:
			return fmt.Errorf("%s ended before it was ready: %s", p.Name, p.Tail())
		}
		select {
		case <-changed:
		case <-p.done:
			ended = true // the output is complete now; what is left of it is still looked at
		case <-ctx.Done():
			return fmt.Errorf("%s did not say %q: %w%s", p.Name, what, ctx.Err(), p.tailAfter("; it said: "))
		}
	}
}

// Tail is the end of the output in one line.
func (p *Proc) Tail() string {
	if t := p.output.tail(); t != "" {
		return t
	}
	return "it said nothing"
}

func (p *Proc) tailAfter(intro string) string {
	if t := p.output.tail(); t != "" {
		return intro + t
	}
	return ""
}

// Stop asks the process to end, insists after five seconds, and waits.
func (p *Proc) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may be gone already
	timer := time.NewTimer(stopAfter)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// Output runs argv to its end and returns its standard output and the processor
// time it used. The error is the first line of its standard error.
func Output(ctx context.Context, name string, argv ...string) ([]byte, time.Duration, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err == nil {
		return stdout.Bytes(), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
	}
	if text := strings.TrimSpace(stderr.String()); text != "" {
		line, _, _ := strings.Cut(text, "\n")
		return nil, 0, errors.New(line)
	}
	return nil, 0, fmt.Errorf("cannot run %s: %w", name, err)
}

// lines collects output by lines for one reader and keeps the last few.
type lines struct {
	mu      sync.Mutex
	partial []byte
	unread  []string
	last    []string
	changed chan struct{}
}

func newLines() *lines { return &lines{changed: make(chan struct{})} }

// Write never fails.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.partial = append(l.partial, p...)
	for {
		line, rest, found := bytes.Cut(l.partial, []byte("\n"))
		if !found {
			break
		}
		l.unread = keepLast(append(l.unread, string(line)), 1000)
		l.last = keepLast(append(l.last, string(line)), tailLines)
		l.partial = rest
	}
	close(l.changed)
	l.changed = make(chan struct{})
	return len(p), nil
}

func keepLast(s []string, n int) []string {
	if len(s) > n {
		return s[len(s)-n:]
	}
	return s
}

// next takes the oldest unread line; without one it returns a channel that is
// closed by the next output.
func (l *lines) next() (line string, changed <-chan struct{}, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.unread) == 0 {
		return "", l.changed, false
	}
	line = l.unread[0]
	l.unread = l.unread[1:]
	return line, nil, true
}

func (l *lines) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.TrimSpace(strings.Join(l.last, " | "))
}
