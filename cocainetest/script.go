package cocainetest

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
)

// Every, among the items of Stream, is the time between them.
type Every time.Duration

// A Script is a stream of items in their time.
type Script struct {
	items []any
	every time.Duration
}

var _ Method = (*Script)(nil)

// Stream is a method that answers with the items one after another, then with the
// end. With Every(d) among them, each item, and the end, comes d after the one
// before. An item that is an error ends a stream on the wire there and then; Items, which is
// not on the wire, goes on.
func Stream(items ...any) *Script {
	s := &Script{}
	for _, item := range items {
		if d, ok := item.(Every); ok {
			s.every = time.Duration(d)
			continue
		}
		s.items = append(s.items, item)
	}
	return s
}

func (s *Script) reply() idl.ReplyKind { return idl.ReplyStream }

func (s *Script) serve(ctx context.Context, _ *Call, ch *Channel) error {
	for item, err := range Items[any](ctx, s) {
		if err != nil {
			return err
		}
		values, several := item.(Values)
		if !several {
			values = Values{item}
		}
		if err := ch.Send(ctx, values...); err != nil {
			return err
		}
	}
	return nil
}

// Items ranges over a stream without a service: what reads an iter.Seq2 can be
// tested with it. Errors come in their turn and end nothing, but for that of ctx and
// that of an item which is no T.
func Items[T any](ctx context.Context, s *Script) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		for _, item := range s.items {
			if err := s.pause(ctx); err != nil {
				yield(zero, err)
				return
			}
			if err, ok := item.(error); ok {
				if !yield(zero, err) {
					return
				}
				continue
			}
			v, ok := item.(T)
			if !ok {
				yield(zero, fmt.Errorf("item %v is %T, not %T", item, item, zero))
				return
			}
			if !yield(v, nil) {
				return
			}
		}
		if err := s.pause(ctx); err != nil {
			yield(zero, err)
		}
	}
}

// pause waits until the next item is due.
func (s *Script) pause(ctx context.Context) error {
	if s.every <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(s.every)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
