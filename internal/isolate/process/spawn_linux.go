package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/cocaine/cocaine-go/internal/isolate"
)

// Spawn implements isolate.Isolate. It waits while Options.Concurrency workers
// are starting. If ctx ends during the start itself, which cannot be interrupted
// (an exec from a network drive may hang), the worker is killed when it comes;
// until it is dead its output may be delivered.
func (iso *Isolate) Spawn(ctx context.Context, s isolate.Spawn) (isolate.Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("cannot start worker of app %q: %w", s.App, err)
	}
	select {
	case iso.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("cannot start worker of app %q: %w", s.App, ctx.Err())
	}
	if err := iso.enter(); err != nil {
		<-iso.slots
		return nil, fmt.Errorf("cannot start worker of app %q: %w", s.App, err)
	}
	type outcome struct {
		w   *worker
		err error
	}
	result, gone := make(chan outcome), make(chan struct{})
	go func() {
		defer iso.running.Done()
		w, err := iso.start(s)
		<-iso.slots
		select {
		case result <- outcome{w, err}:
		case <-gone:
			if err == nil {
				w.Kill()
			}
		}
	}()
	select {
	case r := <-result:
		if r.err != nil {
			return nil, r.err
		}
		return r.w, nil
	case <-ctx.Done():
		close(gone)
		return nil, fmt.Errorf("cannot start worker of app %q: %w", s.App, ctx.Err())
	}
}

// start makes a worker run, or leaves nothing behind.
func (iso *Isolate) start(s isolate.Spawn) (*worker, error) {
	settings, err := isolate.ParseSettings(s.Settings)
	if err != nil {
		return nil, fmt.Errorf("cannot start worker of app %q: %w", s.App, err)
	}
	limits := settings.Limits.Or(s.Limits)
	iso.warn(s, limits)
	p, err := iso.program(s)
	if err != nil {
		return nil, err
	}
	var g *group
	if iso.tree != nil {
		if g, err = iso.tree.newGroup(s.App, s.Worker, limits); err != nil {
			return nil, fmt.Errorf("cannot start worker of app %q: %w", s.App, err)
		}
	}
	w, err := iso.launch(p, g, s.Output)
	if err != nil {
		g.remove()
		return nil, explain(p, s, err)
	}
	if err := w.limit(limits); err != nil {
		// It runs already, but not as it must.
		w.Kill()
		<-w.done
		return nil, &isolate.SpawnError{App: s.App, Slave: p.slave, Reason: err.Error(), Err: err,
			Remedy: "raise the runtime's own limit, or lower that of the profile"}
	}
	return w, nil
}

// program is what a worker executes, resolved.
type program struct {
	path  string // absolute
	slave string // as the manifest names it, for messages
	dir   string
	argv  []string
	env   []string
}

func (iso *Isolate) program(s isolate.Spawn) (*program, error) {
	p := &program{dir: s.Dir, slave: s.Path}
	if s.Dir != "" {
		dir, err := filepath.Abs(s.Dir)
		if err != nil {
			return nil, err
		}
		p.dir = dir
		if rel, err := filepath.Rel(dir, s.Path); err == nil && filepath.IsLocal(rel) {
			p.slave = rel
		}
	}
	var where []string
	if p.dir != "" {
		where = append(where, "PWD="+p.dir) // the runtime's own would be wrong
	}
	p.env = isolate.Environ(iso.o.Environ, append(where, s.Env...)...)
	path, err := find(s.Path, p.dir, p.env)
	if err != nil {
		return nil, &isolate.SpawnError{App: s.App, Slave: p.slave, Err: err,
			Reason: fmt.Sprintf("%q is neither in %s nor in PATH", s.Path, p.dir),
			Remedy: "put the program into the archive, or correct the manifest's slave"}
	}
	p.path = path
	p.argv = append([]string{path}, s.Args...)
	return p, nil
}

// find returns the absolute path of an executable: as given, in dir, or, for a
// bare name, in the PATH that the worker will have.
func find(name, dir string, env []string) (string, error) {
	if filepath.IsAbs(name) {
		return name, nil
	}
	inside := filepath.Join(dir, name)
	if filepath.Base(name) != name {
		return filepath.Abs(inside)
	}
	if info, err := os.Stat(inside); err == nil && !info.IsDir() {
		return filepath.Abs(inside)
	}
	path, _ := isolate.Lookup(env, "PATH")
	for _, folder := range filepath.SplitList(path) {
		candidate := filepath.Join(folder, name)
		if info, err := os.Stat(candidate); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 && filepath.IsAbs(candidate) {
			return candidate, nil
		}
	}
	return "", syscall.ENOENT
}

// launch creates the process with its pipes and its goroutines.
func (iso *Isolate) launch(p *program, g *group, output func([]byte, bool)) (*worker, error) {
	out, err := newOutput(output)
	if err != nil {
		return nil, err
	}
	stdout, stderr := out.childEnds(int(iso.null.Fd()))
	w, err := iso.execute(p, g, []uintptr{iso.null.Fd(), uintptr(stdout), uintptr(stderr)})
	out.closeChildEnds()
	if err != nil {
		out.abandon()
		return nil, err
	}
	w.out = out
	out.start()
	if !iso.adopt(w) {
		w.Kill()
	}
	iso.running.Add(1)
	go func() {
		defer iso.running.Done()
		defer iso.forget(w)
		w.supervise(iso.o.WaitDelay)
	}()
	return w, nil
}

// How often and for how long a busy executable is tried again.
const (
	busyTries = 7
	busyPause = time.Millisecond // doubled each time: 127 ms in all
)

// execute forks and executes, on the isolate's thread.
func (iso *Isolate) execute(p *program, g *group, files []uintptr) (*worker, error) {
	pause := busyPause
	for try := 1; ; try++ {
		w, err := iso.executeOnce(p, g, files)
		if !errors.Is(err, syscall.ETXTBSY) || try == busyTries {
			return w, err
		}
		time.Sleep(pause)
		pause *= 2
	}
}

func (iso *Isolate) executeOnce(p *program, g *group, files []uintptr) (*worker, error) {
	pidfd := -1
	attr := &syscall.ProcAttr{
		Dir: p.dir, Env: p.env, Files: files,
		Sys: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, PidFD: &pidfd},
	}
	inside := g.enterByClone(attr.Sys)
	var pid int
	var err error
	iso.thread.do(func() {
		pid, err = syscall.ForkExec(p.path, p.argv, attr)
		if inside && errors.Is(err, syscall.ENOSYS) {
			// Some sandboxes forbid clone3. The worker is moved after its start,
			// and what it forks before that escapes the cgroup's limits.
			g.tree.noClone.Store(true)
			attr.Sys.UseCgroupFD, inside = false, false
			pid, err = syscall.ForkExec(p.path, p.argv, attr)
		}
	})
	if err != nil {
		return nil, err
	}
	if g != nil && !inside {
		if err := g.add(pid); err != nil {
			iso.o.Log.Warn("worker runs outside its cgroup", "pid", pid, "cause", err)
		}
	}
	return newWorker(pid, pidfd, g), nil
}
