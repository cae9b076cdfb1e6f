package cocaine

import (
	"context"
	"io"
	"iter"
)

// Get calls a method and returns the value it answers with. Of a method that
// answers with a stream it returns the first value and gives up the rest; a stream
// without one is io.EOF.
//
// Several result values come as one array: T is then a slice, or a struct that
// takes them by position.
func Get[T any](ctx context.Context, s *Service, method string, args ...any) (T, error) {
	var v T
	m, err := s.once(ctx, method, args...)
	if err != nil {
		return v, err
	}
	if err := m.Decode(&v); err != nil {
		var zero T
		return zero, s.failed(method, err)
	}
	return v, nil
}

// once calls a method and returns the first message it answers with.
func (s *Service) once(ctx context.Context, method string, args ...any) (Message, error) {
	st, err := s.start(ctx, method, args, true)
	if err != nil {
		return Message{}, err
	}
	m, err := st.Recv(ctx)
	st.abandon(context.Cause(ctx))
	if err == io.EOF {
		err = s.failed(method, io.EOF)
	}
	return m, err
}

// Exec calls a method and waits until it has answered. What the answer holds is
// dropped. Of a method that never answers it returns once the call is sent.
func Exec(ctx context.Context, s *Service, method string, args ...any) error {
	st, err := s.start(ctx, method, args, true)
	if err != nil {
		return err
	}
	for {
		if _, err = st.Recv(ctx); err != nil {
			break
		}
	}
	st.abandon(context.Cause(ctx))
	if err == io.EOF {
		return nil
	}
	return err
}

// Chunks calls a method and ranges over the values it answers with. An error is
// the last pair. Leaving the loop gives up the rest.
func Chunks[T any](ctx context.Context, s *Service, method string, args ...any) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		st, err := s.start(ctx, method, args, true)
		if err != nil {
			yield(zero, err)
			return
		}
		defer func() { st.abandon(context.Cause(ctx)) }()
		for m, err := range st.Messages(ctx) {
			if err != nil {
				yield(zero, err)
				return
			}
			var v T
			if err := m.Decode(&v); err != nil {
				yield(zero, s.failed(method, err))
				return
			}
			if !yield(v, nil) {
				return
			}
		}
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
