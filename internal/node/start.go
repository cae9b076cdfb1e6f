package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/cocaine/cocaine-go/internal/archive"
	"github.com/cocaine/cocaine-go/internal/engine"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// tell is told each step of a start or a deployment.
type tell func(stage, text string)

func silent(string, string) {}

// start brings the app from its records to running. Records that are missing or
// bad leave no trace in the table, later failures a broken app. It is called in
// the app's turn, and interrupted by pause only.
func (a *App) start(t tell) error {
	return a.begin(t, func(error) {
		a.cancel()
		a.n.drop(a)
	})
}

// boot is start for an app of the runlist, which stays in the table whatever
// happens.
func (a *App) boot() error { return a.begin(silent, a.fail) }

func (a *App) begin(t tell, unreadable func(error)) error {
	rel, err := a.load(a.ctx, a.profile, t)
	if err == nil {
		if err = a.launch(rel, t); err != nil {
			unreadable = a.fail
		}
	}
	switch {
	case err == nil:
		return nil
	case a.ctx.Err() != nil: // whoever stops it takes it out of the table
		return rpc.Errorf(idl.CategoryNode, idl.NodeNotRunning, "start of app %q was interrupted", a.name)
	}
	unreadable(err)
	a.log.Error("cannot start app", "cause", err)
	return err
}

// launch spools a release, starts its engine and publishes the app. When it fails
// nothing is left.
func (a *App) launch(rel *release, t tell) (err error) {
	a.code.hold(rel.digest)
	var undo []func() error
	defer func() {
		if err == nil {
			return
		}
		for i := len(undo) - 1; i >= 0; i-- {
			err = errors.Join(err, undo[i]())
		}
		a.code.release(rel.digest)
	}()
	t("spool", "unpacking the code")
	if err := a.spool(a.ctx, rel); err != nil {
		return err
	}
	e, err := a.newEngine(rel)
	if err != nil {
		return err
	}
	if err := e.Start(); err != nil {
		return coded(err, idl.NodeSpoolFailed)
	}
	undo = append(undo, func() error { return e.Stop(canceled()) })
	a.adopt(rel, e)
	undo = append(undo, func() error { a.current.Store(nil); return nil })
	pub, err := a.n.o.Publisher.Open(a.ctx, a.name, engine.Service(a, a.service()))
	if err != nil {
		return coded(err, idl.NodePublishFailed)
	}
	a.front.open(pub)
	undo = append(undo, func() error { return a.front.close(canceled()) })
	if err := a.publish(); err != nil {
		return coded(err, idl.NodePublishFailed)
	}
	a.set(Running, nil)
	a.wg.Go(a.watch)
	a.code.collect()
	a.log.Info("app is running", "release", rel.number, "profile", rel.profileName)
	return nil
}

// service are the options of the Mux of the app's service.
func (a *App) service() rpc.MuxOptions {
	var o rpc.MuxOptions
	if a.n.o.Service != nil {
		o = a.n.o.Service(a.name)
	}
	o.Log = a.log
	return o
}

// token gives the token that workers are started with.
func (a *App) token(ctx context.Context) (typ, body string, err error) {
	if a.n.o.Token == nil {
		return "", "", nil
	}
	return a.n.o.Token(ctx, a.name)
}

// adopt makes an engine the one that serves, and returns the one that did.
func (a *App) adopt(rel *release, next *engine.Engine) (was *release, old *engine.Engine) {
	a.leases.Do(func(n int) {
		next.SetTarget(n)
		a.mu.Lock()
		defer a.mu.Unlock()
		if old = a.current.Swap(next); old != nil {
			a.leaving = append(a.leaving, old)
		}
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	was, a.release, a.profile = a.release, rel, rel.profileName
	return was, old
}

// coded gives an error without a code one of the node's.
func coded(err error, code int) error {
	if _, ok := errors.AsType[*rpc.Error](err); ok {
		return err
	}
	return fmt.Errorf("%w: %w", rpc.Errorf(idl.CategoryNode, code, "%v", err), err)
}

// spool unpacks the code.
func (a *App) spool(ctx context.Context, rel *release) error {
	if rel.code == nil {
		return rpc.Errorf(idl.CategoryGeneric, idl.GenericNotFound, "cannot spool app %q: it has no code in storage", a.name)
	}
	dir, err := a.n.o.Spooler.Spool(ctx, a.name, rel.digest, rel.archive())
	switch {
	case errors.Is(err, archive.ErrFormat):
		// The original's errors of archives are of a category without a number.
		return fmt.Errorf("%w: %w", rpc.Errorf(idl.CategoryUnknown, int(syscall.EILSEQ), "%v", err), err)
	case err != nil:
		return coded(err, idl.NodeSpoolFailed)
	}
	rel.dir, rel.code = dir, nil
	return nil
}

// newEngine makes the engine of a release.
func (a *App) newEngine(rel *release) (*engine.Engine, error) {
	endpoint, err := a.endpoint()
	if err != nil {
		return nil, err
	}
	a.engines++
	return engine.New(engine.Options{
		Token: a.token,
		App:   a.name, Release: strconv.Itoa(rel.number), Manifest: *rel.manifest,
		Profile: *rel.profile, ProfileName: rel.profileName, Dir: rel.dir,
		Endpoint: endpoint, Locator: a.n.o.Locator, Isolate: a.n.o.Isolates[rel.profile.Isolate.Type], Output: a.output(rel),
		Crashed: a.n.crashed, Changed: a.wake, Listen: a.n.o.Listen, Calls: &a.calls, Session: a.n.o.Session, Log: a.n.log,
	}), nil
}

// output takes the lines that workers of a release print.
func (a *App) output(rel *release) func(worker string, line []byte, stderr bool) {
	out, log := a.n.o.Output, rel.profile.LogOutput
	if out == nil && !log {
		return nil
	}
	return func(worker string, line []byte, stderr bool) {
		if log && a.log.Enabled(a.ctx, slog.LevelDebug) {
			a.log.Debug("output", "worker", worker, "line", string(line))
		}
		if out != nil {
			out(a.name, worker, line, stderr)
		}
	}
}

// maxSocketPath is what the kernel takes for the path of a unix socket.
const maxSocketPath = 107

// endpoint is the path of the socket for the workers of the next engine: the
// original's app.pid, with a number behind it for all but the first. No two
// engines that are alive share a path: the end of the earlier one would remove the
// socket of the later one.
func (a *App) endpoint() (string, error) {
	suffix := "." + strconv.Itoa(os.Getpid())
	if a.engines > 0 {
		suffix += "." + strconv.Itoa(a.engines+1)
	}
	path := filepath.Join(a.n.o.RuntimeDir, a.name+suffix)
	if len(path) > maxSocketPath {
		sum := sha256.Sum256([]byte(a.name))
		path = filepath.Join(a.n.o.RuntimeDir, hex.EncodeToString(sum[:8])+suffix)
	}
	if len(path) > maxSocketPath {
		return "", fmt.Errorf("cannot start app %q: socket path %q is longer than %d bytes", a.name, path, maxSocketPath)
	}
	return path, nil
}
