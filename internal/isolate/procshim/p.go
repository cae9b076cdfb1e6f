package procshim

import (
	"bufio"
	"context"
	"log/slog"
	"os"
	"os/exec"
	"syscall"

	"github.com/cocaine/cocaine-go/internal/isolate"
)

type Options struct{ Log *slog.Logger }
type Isolate struct{}

func New(Options) (*Isolate, error) { return &Isolate{}, nil }
func (*Isolate) Close() error       { return nil }

type proc struct {
	c    *exec.Cmd
	done chan struct{}
	exit isolate.Exit
}

func (p *proc) PID() int              { return p.c.Process.Pid }
func (p *proc) Done() <-chan struct{} { return p.done }
func (p *proc) Exit() isolate.Exit    { return p.exit }
func (p *proc) Signal(s os.Signal) error {
	return syscall.Kill(-p.c.Process.Pid, s.(syscall.Signal))
}
func (p *proc) Kill() error { return syscall.Kill(-p.c.Process.Pid, syscall.SIGKILL) }
func (*Isolate) Spawn(ctx context.Context, s isolate.Spawn) (isolate.Process, error) {
	c := exec.Command(s.Path, s.Args...)
	c.Dir = s.Dir
	c.Env = append(os.Environ(), s.Env...)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r, w, _ := os.Pipe()
	c.Stdout, c.Stderr = w, w
	if err := c.Start(); err != nil {
		return nil, err
	}
	w.Close()
	p := &proc{c: c, done: make(chan struct{})}
	go func() {
		sc := bufio.NewScanner(r)
		for sc.Scan() {
			s.Output(sc.Bytes(), false)
		}
	}()
	go func() {
		c.Wait()
		ws := c.ProcessState.Sys().(syscall.WaitStatus)
		p.exit = isolate.Exit{Code: ws.ExitStatus()}
		if ws.Signaled() {
			p.exit.Signal = ws.Signal()
		}
		close(p.done)
	}()
	return p, nil
}
