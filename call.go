package cocaine

import (
	"context"
	"io"
	"iter"

	"github.com/cocaine/cocaine-go/internal/codec"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Get calls a method and returns the value it answers with. Of a method that
// answers with a stream it returns the first value and gives up the rest; a stream
// without one is io.EOF.
//
// Several result values come as one array: T is then a slice, or a struct that
// takes them by position.
func Get[T any](ctx context.Context, s *Service, method string, args ...any) (T, error) {
	var v, zero T
	if err := s.get(ctx, method, args, &v); err != nil {
		return zero, err
	}
	return v, nil
}

func (s *Service) get(ctx context.Context, method string, args []any, v any) error {
	if err := s.check(ctx, method); err != nil {
		return s.refused(ctx, &opening{method: method}, err)
	}
	u := s.newUnary(rpc.WantFirst)
	defer u.free()
	if err := u.encode(args); err != nil {
		return s.refused(ctx, &opening{method: method}, s.failed(method, err))
	}
	u.into = v
	if err := s.ask(ctx, u, method, method); err != errNotUnary {
		return err
	}
	m, _, err := s.once(ctx, method, args)
	if err != nil {
		return err
	}
	if err := m.decode(v); err != nil {
		return s.failed(method, err)
	}
	return nil
}

// once calls a method and returns the first message it answers with, and where it
// came from.
func (s *Service) once(ctx context.Context, method string, args []any) (m Message, l *link, err error) {
	err = s.call(ctx, method, args, func(st *Stream) (err error) {
		l = st.link
		m, err = st.Recv(ctx)
		if err == io.EOF {
			err = s.failed(method, io.EOF)
		}
		return err
	})
	return m, l, err
}

// call encodes the arguments and makes a call, as do does.
func (s *Service) call(ctx context.Context, method string, args []any, f func(*Stream) error) error {
	buf := codec.NewBuffer()
	defer buf.Free()
	var err error
	if buf.B, err = appendArgs(buf.B, args); err != nil {
		return s.refused(ctx, &opening{method: method}, s.failed(method, err))
	}
	return s.do(ctx, &opening{method: method, name: method, args: buf.B, hangUp: true}, f)
}

// Exec calls a method and waits until it has answered. What the answer holds is
// dropped. Of a method that never answers it returns once the call is sent; the
// client's Close sees to it that it has left.
func Exec(ctx context.Context, s *Service, method string, args ...any) error {
	if err := s.check(ctx, method); err != nil {
		return s.refused(ctx, &opening{method: method}, err)
	}
	u := s.newUnary(rpc.WantEnd)
	defer u.free()
	if err := u.encode(args); err != nil {
		return s.refused(ctx, &opening{method: method}, s.failed(method, err))
	}
	if err := s.ask(ctx, u, method, method); err != errNotUnary {
		return err
	}
	return s.call(ctx, method, args, func(st *Stream) error {
		if st.method.mute() {
			return nil
		}
		for {
			if _, err := st.Recv(ctx); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
		}
	})
}

// Chunks calls a method and ranges over the values it answers with. An error is
// the last pair. Leaving the loop gives up the rest.
func Chunks[T any](ctx context.Context, s *Service, method string, args ...any) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		each(ctx, yield, func(f func(*Stream) error) error {
			return s.call(ctx, method, args, f)
		}, func(m Message) (v T, err error) {
			err = m.decode(&v)
			return v, err
		})
	}
}

// each ranges over what a call answers with. An error is the last pair.
func each[T any](
	ctx context.Context, yield func(T, error) bool, call func(func(*Stream) error) error, decode func(Message) (T, error),
) {
	left := false // the loop was left: there is nobody to tell
	err := call(func(st *Stream) error {
		defer func() {
			if left { // by a panic, too, behind which nobody ends the call
				st.finish(ctx)
			}
		}()
		for m, err := range st.All(ctx) {
			if err != nil {
				return err
			}
			v, err := decode(m)
			if err != nil {
				return st.failed(err)
			}
			left = true
			if !yield(v, nil) {
				return nil
			}
			left = false
		}
		return nil
	})
	if err != nil && !left {
		var zero T
		yield(zero, err)
	}
}

// Call calls a method and returns the channel, for what the other functions do
// not cover. The end of ctx ends the call.
//
// Close the stream when done with it, whatever it has brought.
func (s *Service) Call(ctx context.Context, method string, args ...any) (*Stream, error) {
	st, err := s.start(ctx, method, args, false)
	if err != nil {
		return nil, err
	}
	st.watch(ctx)
	return st, nil
}

// decode is Message.Decode for an answer.
func (m Message) decode(v any) error {
	if err := m.Decode(v); err == errNoTarget {
		return err
	} else if err != nil {
		return &kindError{err, ErrBadAnswer}
	}
	return nil
}
