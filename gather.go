package cocaine

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Gather runs the functions at once and returns their values in the order of the
// functions. The first error ends the context of the others and is returned, when
// all have returned: none outlives Gather, and nor does their context. Without
// functions there is nothing to wait for.
//
// A future takes part by its Wait. That gives up when another fails; the future
// itself runs on.
//
//	pages, err := cocaine.Gather(ctx, front, cached.Wait)
//
// A call that answers many times takes part as the slice that Collect makes of it.
func Gather[T any](ctx context.Context, fs ...func(context.Context) (T, error)) ([]T, error) {
	g := newGroup(ctx)
	values := make([]T, len(fs))
	for i, f := range fs {
		join(g, f, &values[i])
	}
	if err := g.wait(); err != nil {
		return nil, err
	}
	return values, nil
}

// Gather2 is Gather for two functions with values of different types.
func Gather2[A, B any](
	ctx context.Context,
	a func(context.Context) (A, error),
	b func(context.Context) (B, error),
) (va A, vb B, err error) {
	var got struct {
		a A
		b B
	}
	g := newGroup(ctx)
	join(g, a, &got.a)
	join(g, b, &got.b)
	if err := g.wait(); err != nil {
		return va, vb, err
	}
	return got.a, got.b, nil
}

// Gather3 is Gather for three functions with values of different types.
func Gather3[A, B, C any](
	ctx context.Context,
	a func(context.Context) (A, error),
	b func(context.Context) (B, error),
	c func(context.Context) (C, error),
) (va A, vb B, vc C, err error) {
	var got struct {
		a A
		b B
		c C
	}
	g := newGroup(ctx)
	join(g, a, &got.a)
	join(g, b, &got.b)
	join(g, c, &got.c)
	if err := g.wait(); err != nil {
		return va, vb, vc, err
	}
	return got.a, got.b, got.c, nil
}

// First runs the functions at once and returns the value of the first that
// succeeds. That ends the context of the others; First returns when all have
// returned. If all fail, their errors are joined. Without functions it fails.
func First[T any](ctx context.Context, fs ...func(context.Context) (T, error)) (T, error) {
	var first struct {
		sync.Once
		value T
		there bool
	}
	errs := make([]error, len(fs))
	g := newGroup(ctx)
	for i, f := range fs {
		g.run(func() error {
			if f == nil {
				return errNoFunction
			}
			v, err := f(g.ctx)
			if err == nil {
				first.Do(func() { first.value, first.there = v, true })
				g.cancel(nil)
			}
			return err
		}, func(err error) { errs[i] = err })
	}
	_ = g.wait() // nothing is noted
	switch {
	case first.there:
		return first.value, nil
	case len(fs) == 0:
		return first.value, fmt.Errorf("%w: there are no functions to take the first of", ErrBadArgument)
	}
	return first.value, errors.Join(errs...)
}

// A group is functions that run at once under one context. The goroutine that made
// it starts them and waits for them.
type group struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup

	refusal error // why no function is run
	once    sync.Once
	err     error // the first one noted
}

func newGroup(ctx context.Context) *group {
	g := &group{}
	if ctx == nil {
		g.refusal = errNoContext
		ctx = context.Background()
	}
	g.ctx, g.cancel = context.WithCancelCause(ctx)
	return g
}

// run starts f; done gets its error.
func (g *group) run(f func() error, done func(error)) {
	if g.refusal != nil {
		done(g.refusal)
		return
	}
	g.wg.Go(func() { guard(f, done) })
}

// join starts f, whose value is put into v and whose error ends the group.
func join[T any](g *group, f func(context.Context) (T, error), v *T) {
	g.run(func() (err error) {
		if f == nil {
			return errNoFunction
		}
		*v, err = f(g.ctx)
		return err
	}, g.note)
}

// note keeps the first error and ends the others for it.
func (g *group) note(err error) {
	if err == nil {
		return
	}
	g.once.Do(func() {
		g.err = err
		g.cancel(err)
	})
}

// wait returns the first error when all functions have returned.
func (g *group) wait() error {
	g.wg.Wait()
	g.cancel(errReturned)
	return g.err
}
