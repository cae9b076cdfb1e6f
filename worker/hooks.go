package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// OnStart adds a function that Run calls before the worker reports to the runtime.
// No request comes before it has returned, so it is the place to open what the
// handlers need. Functions run one after another, in the order they were added.
//
// The runtime waits for the startup-timeout of the profile (its handshake-timeout,
// 5 s unless changed) and then ends the process. ctx ends when the worker is told
// to stop. An error is the end of Run, and of the process with status 1.
func (w *Worker) OnStart(f func(ctx context.Context) error) { w.hook(&w.onStart, f) }

// OnStop adds a function that Run calls when the last request is done, before it
// tells the runtime so, and also when the runtime was lost. It is not called for a
// worker whose OnStart failed. Functions run one after another, the last added
// first.
//
// ctx ends when the time to stop is up: what requests have left of Options.Drain,
// a second at least. An error is returned by Run, after the worker has stopped.
func (w *Worker) OnStop(f func(ctx context.Context) error) { w.hook(&w.onStop, f) }

func (w *Worker) hook(to *[]func(context.Context) error, f func(context.Context) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.running:
		panic("cannot add hook: the worker runs")
	case f == nil:
		panic("cannot add hook: the function is nil")
	}
	*to = append(*to, f)
}

// prepare calls the functions of OnStart.
func (w *Worker) prepare(ctx context.Context) error {
	for _, f := range w.onStart {
		if err := f(ctx); err != nil {
			return fmt.Errorf("cannot start worker: %w", err)
		}
	}
	return nil
}

// tidy calls the functions of OnStop. ctx gives its values, not its end.
func (w *Worker) tidy(ctx context.Context, limit time.Duration) error {
	if len(w.onStop) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(limit, lastWords))
	defer cancel()
	var errs []error
	for _, f := range slices.Backward(w.onStop) {
		if err := f(ctx); err != nil {
			errs = append(errs, fmt.Errorf("cannot stop worker cleanly: %w", err))
		}
	}
	return errors.Join(errs...)
}
