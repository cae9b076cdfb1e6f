package node

import (
	"context"
	"time"
)

// closing is how long connections of clients may take to carry away the last
// answers when the app has stopped.
const closing = time.Second

// pause stops the app, and has it forgotten by the runlist if forget is set. Only
// the first call works, others wait for it; the end of any caller's ctx ends the
// draining. An app that cannot be forgotten is stopped all the same.
func (a *App) pause(ctx context.Context, forget bool) error {
	a.cancel() // interrupts a start or a replacement
	defer context.AfterFunc(ctx, a.cutShort)()
	<-a.turn // whoever has it was just interrupted
	defer a.give()
	if a.stopped {
		return nil
	}
	if a.State() != Broken {
		a.set(Stopping, nil)
	}
	var err error
	if forget {
		err = a.n.forget(ctx, a.name)
	}
	a.stop(ctx)
	return err
}

// stop ends everything of the app: requests that run are finished until ctx ends
// or the profile's seal-timeout is over, whatever release they are on. It is
// called in the app's turn.
func (a *App) stop(ctx context.Context) {
	a.cancel()
	a.stopped = true
	defer a.n.drop(a)
	a.front.hide()
	if e := a.current.Load(); e != nil {
		a.set(Stopping, nil)
		limit, cancel := context.WithTimeout(ctx, a.loaded().profile.SealTimeout)
		defer cancel()
		defer context.AfterFunc(limit, a.cutShort)()
		defer context.AfterFunc(a.draining, cancel)()
		if err := e.Stop(limit); err != nil {
			a.log.Warn("app did not finish in time", "cause", err)
		}
	}
	a.wg.Wait()
	a.cutShort()
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	_ = a.front.close(flush) // clients that keep their connections busy are cut off
	a.log.Info("app is stopped")
}
