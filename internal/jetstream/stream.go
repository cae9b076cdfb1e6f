package jetstream

import (
	"context"
	"errors"
	"time"

	nats_js "github.com/nats-io/nats.go/jetstream"
)

// noDuplicates is the shortest window in which the engine looks for messages that
// were sent twice. We mark none, and when it starts the engine reads all messages
// of the window.
const noDuplicates = 100 * time.Millisecond

// ensureStream opens a stream and creates it when it is missing. An existing one
// keeps its configuration.
func (s *State) ensureStream(ctx context.Context, cfg nats_js.StreamConfig) (nats_js.Stream, error) {
	stream, err := s.js.Stream(ctx, cfg.Name)
	if errors.Is(err, nats_js.ErrStreamNotFound) {
		stream, err = s.js.CreateStream(ctx, cfg)
		if errors.Is(err, nats_js.ErrStreamNameAlreadyInUse) {
			stream, err = s.js.Stream(ctx, cfg.Name) // another runtime was faster
		}
	}
	return stream, err
}

// unlimited turns our zero into the engine's word for no bound.
func unlimited(n int64) int64 {
	if n <= 0 {
		return -1
	}
	return n
}
