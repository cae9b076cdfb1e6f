package chrono

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Service is a Chrono as the service `chrono`.
func Service(c *Chrono, o rpc.MuxOptions) *rpc.Mux {
	m := rpc.NewMux(idl.Chrono, o)
	s := service{c}
	m.Stream("notify_after", s.notify)
	m.Stream("notify_every", s.notify)
	m.Unary("cancel", s.cancel)
	m.Inline("restart", s.restart)
	return m
}

type service struct{ chrono *Chrono }

// notify serves both kinds of timers.
func (s service) notify(ctx context.Context, c *rpc.Call, st *rpc.Stream) error {
	r := c.Reader()
	seconds, sendID := r.Float(), false
	if c.NArgs > 1 {
		sendID = r.Bool()
	}
	if err := r.Err(); err != nil {
		return rpc.BadArgs(c, err)
	}
	again := c.Method.ID == idl.ChronoNotifyEvery
	least := time.Duration(0)
	if again {
		least = Shortest
	}
	period, err := duration(seconds, least)
	if err != nil {
		return err // [12, 22]
	}
	t, err := s.chrono.add(c.Peer.String(), period, st)
	if errors.Is(err, ErrTooMany) {
		return rpc.Errorf(idl.CategoryGeneric, idl.GenericUnavailable, "cannot make a timer: %v", err)
	} else if err != nil {
		return err
	}
	return s.chrono.run(ctx, t, again, sendID)
}

// duration makes a time of seconds.
func duration(seconds float64, least time.Duration) (time.Duration, error) {
	if math.IsNaN(seconds) || seconds < least.Seconds() || seconds > Longest.Seconds() {
		return 0, fmt.Errorf("%w: %v seconds, want %v to %v", ErrDuration, seconds, least.Seconds(), Longest.Seconds())
	}
	return time.Duration(seconds * float64(time.Second)), nil
}

func (s service) cancel(ctx context.Context, c *rpc.Call) ([]byte, error) {
	r := c.Reader()
	id := r.Int()
	if err := r.Err(); err != nil {
		return nil, rpc.BadArgs(c, err)
	}
	s.chrono.cancel(ctx, id)
	return nil, nil
}

func (s service) restart(_ context.Context, c *rpc.Call) ([]byte, error) {
	r := c.Reader()
	id := r.Int()
	if err := r.Err(); err != nil {
		return nil, rpc.BadArgs(c, err)
	}
	s.chrono.restart(id)
	return nil, nil
}
