package node

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cocaine/cocaine-go/internal/engine"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// ready waits until the app has the workers it needs to be found and to answer.
func (a *App) ready(ctx context.Context, t tell) error {
	ctx, cancel := a.until(ctx)
	defer cancel()
	e, rel := a.current.Load(), a.loaded()
	if err := warm(ctx, e, rel, 0, t); err != nil {
		return err
	}
	t("ready", fmt.Sprintf("release %d is ready", rel.number))
	return nil
}

func (a *App) loaded() *release {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.release
}

// warm makes an engine ready for a number of requests at once.
func warm(ctx context.Context, e *engine.Engine, rel *release, requests int, t tell) error {
	c := rel.profile.Concurrency
	n := min(max(1, rel.profile.PublishOn, (requests+c-1)/c), rel.profile.PoolLimit)
	if n == 1 {
		t("start", "starting a worker")
	} else {
		t("start", fmt.Sprintf("starting %d workers", n))
	}
	return e.Warm(ctx, n)
}

// replace brings a new release up beside the running one, with as many workers as
// the present load takes. When it fails nothing has changed.
func (a *App) replace(ctx context.Context, profile string, t tell) error {
	if s := a.State(); s != Running {
		return rpc.Errorf(idl.CategoryNode, idl.NodeAlreadyStarted, "cannot deploy app %q: it is %s", a.name, s)
	}
	ctx, cancel := a.until(ctx)
	defer cancel()
	rel, err := a.load(ctx, profile, t)
	if err != nil {
		return a.interrupted(err)
	}
	a.code.hold(rel.digest)
	next, err := a.prepare(ctx, rel, t)
	if err != nil {
		a.code.release(rel.digest)
		return a.interrupted(err)
	}
	a.swap(rel, next)
	t("ready", fmt.Sprintf("release %d is ready", rel.number))
	return nil
}

// interrupted puts the real cause in place of an error that comes from being
// stopped.
func (a *App) interrupted(err error) error {
	if a.ctx.Err() != nil {
		return a.stopping()
	}
	return err
}

// prepare starts the engine of a release that is to take over.
func (a *App) prepare(ctx context.Context, rel *release, t tell) (*engine.Engine, error) {
	t("spool", "unpacking the code")
	if err := a.spool(ctx, rel); err != nil {
		return nil, err
	}
	next, err := a.newEngine(rel)
	if err != nil {
		return nil, err
	}
	if err := next.Start(); err != nil {
		return nil, coded(err, idl.NodeSpoolFailed)
	}
	a.leases.Do(next.SetTarget)
	if err := warm(ctx, next, rel, a.current.Load().Pending(), t); err != nil {
		return nil, errors.Join(err, next.Stop(canceled()))
	}
	return next, nil
}

// left forgets an engine that has finished.
func (a *App) left(old *engine.Engine) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.leaving = slices.DeleteFunc(a.leaving, func(e *engine.Engine) bool { return e == old })
}

// swap sends requests to the new engine and lets the old one drain.
func (a *App) swap(rel *release, next *engine.Engine) {
	was, old := a.adopt(rel, next)
	a.set(Running, nil)
	a.wake()
	a.code.collect()
	a.log.Info("release took over", "release", rel.number, "was", was.number)
	a.wg.Go(func() {
		ctx, cancel := context.WithTimeout(a.draining, was.profile.SealTimeout)
		defer cancel()
		if err := old.Stop(ctx); err != nil {
			a.log.Warn("old release did not finish in time", "release", was.number, "cause", err)
		}
		a.left(old)
		a.code.release(was.digest)
	})
}
