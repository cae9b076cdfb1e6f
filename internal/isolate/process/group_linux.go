package process

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/cgroups/v3/cgroup2"
	"golang.org/x/sys/unix"

	"github.com/cocaine/cocaine-go/internal/isolate"
)

// group is the cgroup of one worker. A nil group is that of a runtime without
// cgroups: its methods do nothing.
type group struct {
	tree    *tree
	path    string
	manager *cgroup2.Manager
	dir     int // descriptor of the directory, for clone
}

// newGroup creates a worker's cgroup with its limits.
func (t *tree) newGroup(app, id string, l isolate.Limits) (*group, error) {
	name := t.nameFor(app, id)
	manager, err := t.manager.NewChild(name, nil)
	if err != nil {
		return nil, fmt.Errorf("cannot create cgroup: %w", err)
	}
	g := &group{tree: t, path: filepath.Join(t.path, name), manager: manager, dir: -1}
	if err := manager.Update(t.resources(l)); err != nil {
		g.remove()
		return nil, fmt.Errorf("cannot limit cgroup: %w", err)
	}
	g.dir, err = unix.Open(g.path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		g.remove()
		return nil, fmt.Errorf("cannot open cgroup: %w", err)
	}
	return g, nil
}

// cpuPeriod is the time over which the kernel accounts processors, in
// microseconds; its own default.
const cpuPeriod = 100_000

// resources translates limits, as far as this tree can enforce them.
func (t *tree) resources(l isolate.Limits) *cgroup2.Resources {
	r := &cgroup2.Resources{}
	if t.has("memory") {
		// When memory runs out, half a worker is of no use to anybody.
		r.Memory = &cgroup2.Memory{OOMGroup: new(true)}
		if l.Memory > 0 {
			r.Memory.Max = &l.Memory
			if t.swap { // a limit that only moves the worker to the disk is none
				r.Memory.Swap = new(int64(0))
			}
		}
	}
	if t.has("cpu") && l.CPU > 0 {
		r.CPU = &cgroup2.CPU{Max: cgroup2.NewCPUMax(new(int64(math.Ceil(l.CPU*cpuPeriod))), new(uint64(cpuPeriod)))}
	}
	if t.has("pids") && l.PIDs > 0 {
		r.Pids = &cgroup2.Pids{Max: l.PIDs}
	}
	return r
}

// enterByClone makes the next process start inside the cgroup. It reports false
// if there is none, or if that is impossible here.
func (g *group) enterByClone(attr *syscall.SysProcAttr) bool {
	if g == nil || g.tree.noClone.Load() {
		return false
	}
	attr.UseCgroupFD, attr.CgroupFD = true, g.dir
	return true
}

// add moves a process into the cgroup.
func (g *group) add(pid int) error { return g.manager.AddProc(uint64(pid)) }

// kill ends every process in the cgroup, those being forked at this moment
// included, which no loop over pids can promise.
func (g *group) kill() error {
	if g == nil {
		return nil
	}
	// Not Manager.Kill: where the kernel lacks cgroup.kill it waits for the
	// processes it killed, and ours are our supervisors' to wait for.
	err := os.WriteFile(filepath.Join(g.path, "cgroup.kill"), []byte("1"), 0)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot kill cgroup: %w", err)
	}
	return nil
}

// ranOutOfMemory reports whether the kernel killed a process of the cgroup to
// get memory back. The count starts from zero with the cgroup.
func (g *group) ranOutOfMemory() bool {
	if g == nil {
		return false
	}
	metrics, err := g.manager.StatFiltered(cgroup2.StatMemoryEvents)
	return err == nil && metrics.GetMemoryEvents().GetOomKill() > 0
}

// How long the removal of a cgroup waits for the processes that were killed in it.
const (
	removeTries = 12
	removePause = time.Millisecond // doubled each time: four seconds in all
)

// remove removes the cgroup, once everything in it is dead. What cannot be
// killed (a process that hangs in the kernel) is left to the next runtime.
func (g *group) remove() {
	if g == nil {
		return
	}
	if g.dir >= 0 {
		unix.Close(g.dir)
		g.dir = -1
	}
	removeGroup(g.path)
}

// removeGroup kills and removes a cgroup with those below it.
func removeGroup(path string) error {
	pause := removePause
	for try := 1; ; try++ {
		err := removeOnce(path)
		if err == nil || try == removeTries {
			return err
		}
		os.WriteFile(filepath.Join(path, "cgroup.kill"), []byte("1"), 0)
		time.Sleep(pause)
		pause *= 2
	}
}

// removeOnce removes a tree of cgroups, leaves first. Their files cannot be
// removed and go with them.
func removeOnce(path string) error {
	entries, err := os.ReadDir(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeOnce(filepath.Join(path, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := unix.Rmdir(path); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

// nameFor makes the name of a worker's cgroup: readable, and never taken.
func (t *tree) nameFor(app, id string) string {
	plain := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}
	name := strings.Map(plain, app) + "." + strings.Map(plain, id)
	return fmt.Sprintf("%.200s.%d", name, t.names.Add(1))
}
