package process

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/containerd/cgroups/v3"
	"github.com/containerd/cgroups/v3/cgroup2"
	"golang.org/x/sys/unix"
)

// tree is the part of the cgroup tree that the isolate manages:
//
//	<base>/                        given to the runtime
//	<base>/cocaine-runtime/        the runtime itself, if it was in base: a cgroup
//	                               with children under control may hold no process
//	<base>/cocaine-workers.<n>/    this isolate's, locked while it lives
//	<base>/cocaine-workers.<n>/<app>.<worker>.<n>/
//
// A directory of that name that nobody has locked belongs to a runtime that
// died. What is left in it is killed.
type tree struct {
	path        string
	manager     *cgroup2.Manager
	controllers []string // that hold for workers
	swap        bool     // memory.swap.max exists
	lock        *os.File
	names       atomic.Int64
	noClone     atomic.Bool // clone into a cgroup is forbidden here
}

const (
	runtimeGroup  = "cocaine-runtime"
	workersPrefix = "cocaine-workers."
)

// wanted are the controllers that limits need.
var wanted = [...]string{"cpu", "memory", "pids"}

var errNotDelegated = errors.New("the runtime's cgroup is not delegated to it")

// openTree sets up the tree; the error says why there is none.
func openTree(where string) (*tree, error) {
	if where == CgroupOff {
		return nil, errors.New("cgroups are switched off")
	}
	t, err := setUpTree(where)
	if err != nil {
		return nil, fmt.Errorf("cannot use cgroups: %w", err)
	}
	return t, nil
}

func setUpTree(where string) (*tree, error) {
	own, err := ownGroup()
	if err != nil {
		return nil, err
	}
	base := where
	if where == CgroupAuto {
		if base, err = delegated(own); err != nil {
			return nil, err
		}
	} else if err := createBase(base); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(base, "cgroup.kill")); err != nil && !isRootGroup(base) {
		return nil, fmt.Errorf("the kernel is too old: %w", err)
	}
	if err := clearBase(base, own); err != nil {
		return nil, err
	}
	sweep(base)
	return newTree(base)
}

// createBase makes the directory that the operator named.
func createBase(base string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(base), &fs); err != nil {
		return &os.PathError{Op: "statfs", Path: filepath.Dir(base), Err: err}
	}
	if fs.Type != unix.CGROUP2_SUPER_MAGIC {
		return fmt.Errorf("%s is not in a cgroup v2 tree", base)
	}
	if err := os.Mkdir(base, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// newTree makes this isolate's directory and brings the controllers down to it.
func newTree(base string) (*tree, error) {
	path, err := os.MkdirTemp(base, workersPrefix)
	if err != nil {
		return nil, err
	}
	t := &tree{path: path}
	if t.lock, err = lockGroup(path); err == nil {
		err = os.Chmod(path, 0o755)
	}
	if err == nil {
		t.manager, err = cgroup2.Load("/"+filepath.Base(path), cgroup2.WithMountpoint(base))
	}
	if err != nil {
		return nil, errors.Join(err, t.close())
	}
	for _, c := range wanted {
		// One by one: the kernel takes all or none, and some may be missing.
		if enable(base, c) == nil && enable(path, c) == nil {
			t.controllers = append(t.controllers, c)
		}
	}
	if _, err := os.Stat(filepath.Join(path, "memory.swap.max")); err == nil {
		t.swap = true
	}
	return t, nil
}

// enable lets the children of a cgroup be limited by a controller.
func enable(path, controller string) error {
	return os.WriteFile(filepath.Join(path, "cgroup.subtree_control"), []byte("+"+controller), 0)
}

func (t *tree) has(controller string) bool { return slices.Contains(t.controllers, controller) }

// close removes the isolate's directory.
func (t *tree) close() error {
	err := removeGroup(t.path)
	if t.lock != nil {
		err = errors.Join(err, t.lock.Close())
	}
	return err
}

// sweep ends what runtimes that died have left.
func sweep(base string) {
	old, err := filepath.Glob(filepath.Join(base, workersPrefix+"*"))
	if err != nil {
		return
	}
	for _, path := range old {
		lock, err := lockGroup(path)
		if err != nil {
			continue // its runtime lives
		}
		removeGroup(path)
		lock.Close()
	}
}

// lockGroup takes a lock on a cgroup's directory, which ends with its holder.
func lockGroup(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// clearBase moves the runtime out of base. Other processes there are not ours to
// move.
func clearBase(base, own string) error {
	if base != own || isRootGroup(base) {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(base, "cgroup.procs"))
	if err != nil {
		return err
	}
	if pids := strings.Fields(string(text)); len(pids) > 1 {
		return fmt.Errorf("other processes share the cgroup %s with the runtime", base)
	}
	leaf := filepath.Join(base, runtimeGroup)
	if err := os.Mkdir(leaf, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return os.WriteFile(filepath.Join(leaf, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0)
}

// ownGroup is the directory of the cgroup that the runtime is in.
func ownGroup() (string, error) {
	mount, root, err := mountpoint()
	if err != nil {
		return "", err
	}
	_, path, err := cgroups.ParseCgroupFileUnified("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	inside, err := filepath.Rel(root, path) // a bind mount shows a part of the tree
	if err != nil || !filepath.IsLocal(inside) {
		return "", fmt.Errorf("the runtime's cgroup %s is not below %s", path, mount)
	}
	return filepath.Join(mount, inside), nil
}

// mountpoint finds where cgroup v2 is mounted, and which directory of the tree
// the mount shows.
func mountpoint() (mount, root string, err error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// id parent major:minor root mount options [tags] - type source super
		before, after, ok := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		if ok && strings.HasPrefix(after, "cgroup2 ") && len(fields) > 4 {
			return fields[4], fields[3], nil
		}
	}
	if err := lines.Err(); err != nil {
		return "", "", err
	}
	return "", "", errors.New("cgroup v2 is not mounted")
}

// delegated returns the cgroup that the runtime may manage: its own or, when a
// service manager has put it into a leaf, the one above.
func delegated(own string) (string, error) {
	for _, candidate := range []string{own, filepath.Dir(own)} {
		if !isDelegated(candidate) {
			continue
		}
		for _, file := range []string{".", "cgroup.procs", "cgroup.subtree_control"} {
			path := filepath.Join(candidate, file)
			if err := unix.Access(path, unix.W_OK); err != nil {
				return "", &os.PathError{Op: "write", Path: path, Err: err}
			}
		}
		return candidate, nil
	}
	return "", fmt.Errorf("%w (with systemd: Delegate=yes)", errNotDelegated)
}

// isDelegated looks for the signs that somebody gave a cgroup away: systemd's
// mark, being the top of a namespace (the true root has no type), being owned by
// the runtime's user who is not root.
func isDelegated(path string) bool {
	info, err := os.Stat(path)
	if err != nil || isRootGroup(path) {
		return false
	}
	for _, mark := range []string{"trusted.delegate", "user.delegate"} {
		var value [1]byte
		if n, err := unix.Getxattr(path, mark, value[:]); err == nil && n == 1 && value[0] == '1' {
			return true
		}
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Uid != 0 && int(stat.Uid) == os.Geteuid() {
		return true
	}
	mount, _, err := mountpoint()
	return err == nil && path == mount
}

// isRootGroup reports the root of the whole tree, which is nobody's to manage.
func isRootGroup(path string) bool {
	if _, err := os.Stat(filepath.Join(path, "cgroup.procs")); err != nil {
		return false
	}
	_, err := os.Stat(filepath.Join(path, "cgroup.type"))
	return errors.Is(err, os.ErrNotExist)
}
