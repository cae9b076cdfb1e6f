package node

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// front is the app's service as clients see it. Its lock is held while the name is
// registered, which may take its time: nothing else may need it.
type front struct {
	shown atomic.Bool // the name resolves

	mu     sync.Mutex
	pub    Publication // nil before open and after hide
	closes Publication // what close closes
}

func (f *front) open(p Publication) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pub, f.closes = p, p
}

// want shows or hides the name; nothing happens if it is so already, or for good.
func (f *front) want(ctx context.Context, show, hide bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch shown := f.shown.Load(); {
	case f.pub == nil:
	case show && !shown:
		if err := f.pub.Show(ctx); err != nil {
			return err
		}
		f.shown.Store(true)
	case hide && shown:
		f.pub.Hide()
		f.shown.Store(false)
	}
	return nil
}

// hide hides the name for good.
func (f *front) hide() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pub != nil {
		f.pub.Hide()
	}
	f.pub = nil
	f.shown.Store(false)
}

// close ends the service.
func (f *front) close(ctx context.Context) error {
	f.hide()
	if f.closes == nil {
		return nil
	}
	return f.closes.Close(ctx)
}

// publish shows or hides the name according to the active workers (publish-on,
// unpublish-under).
func (a *App) publish() error {
	e := a.current.Load()
	if e == nil {
		return nil
	}
	a.mu.Lock()
	p := a.release.profile
	a.mu.Unlock()
	n := e.Active()
	return a.front.want(a.ctx, n >= p.PublishOn, n < p.UnpublishUnder)
}

// wake tells the watcher that the number of active workers may have changed. It
// is called under the engine's lock.
func (a *App) wake() {
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// publishRetry is when a publication that failed is tried again.
const publishRetry = 5 * time.Second

// watch publishes and hides the app as its workers come and go.
func (a *App) watch() {
	var retry <-chan time.Time
	for {
		select {
		case <-a.changed:
		case <-retry:
		case <-a.ctx.Done():
			return
		}
		retry = nil
		if err := a.publish(); err != nil && a.ctx.Err() == nil {
			a.log.Error("cannot publish app", "cause", err, "retry", publishRetry)
			retry = time.After(publishRetry)
		}
	}
}
