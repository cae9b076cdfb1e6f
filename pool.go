package cocaine

import (
	"context"
	"fmt"
)

// PoolControl has the say in the size of an app's pool for as long as it is open.
// Of several the one that spoke last does. Node.Control and App.Control open one.
type PoolControl struct{ hold *hold }

func openControl(ctx context.Context, s *Service, args ...any) (*PoolControl, error) {
	st, err := s.start(ctx, "control", args, false)
	if err != nil {
		return nil, err
	}
	h, err := newHold(s.conn.client, st)
	if err != nil {
		return nil, err
	}
	return &PoolControl{h}, nil
}

// Resize sets how many workers the pool has. 0 leaves it to the load again, as
// Close does. There is no answer: Done tells of an app that cannot be controlled.
func (c *PoolControl) Resize(ctx context.Context, workers int) error {
	if workers < 0 {
		return fmt.Errorf("cannot resize pool: %w: %d workers", ErrBadArgument, workers)
	}
	return c.hold.stream.Send(ctx, workers)
}

// Done is closed when nothing can be said any more: after Close, or because the
// service has refused or the connection was lost.
func (c *PoolControl) Done() <-chan struct{} { return c.hold.done }

// Err is why nothing can be said any more, ErrClosed after Close; nil before Done.
func (c *PoolControl) Err() error { return c.hold.reason() }

// Close takes back what was said. If it counted for nothing already, the error
// says why. Further calls do nothing and return the same.
func (c *PoolControl) Close() error {
	return c.hold.release(c.hold.stream.leave)
}
