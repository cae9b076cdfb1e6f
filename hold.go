package cocaine

import (
	"context"
	"errors"
	"io"
	"sync"
)

// A hold is something at a service that lasts for as long as a channel is open: a
// lock, the size of a pool. One goroutine of the client watches the
// channel until the hold is over, whoever ended it.
type hold struct {
	stream   *Stream
	once     sync.Once
	released chan struct{} // closed by release
	done     chan struct{}
	err      error // set before done is closed
}

// errHoldEnded is the end of a hold that its service did not explain.
var errHoldEnded = errors.New("service ended it")

// newHold starts to watch a stream that has no context of its own.
func newHold(c *hub, st *Stream) (*hold, error) {
	h := &hold{stream: st, released: make(chan struct{}), done: make(chan struct{})}
	watching := c.spawn(func() {
		h.err = h.end()
		close(h.done)
	})
	if !watching {
		st.abandon(nil)
		return nil, st.failed(ErrClosed)
	}
	return h, nil
}

// release ends the hold in the way that end has for it and waits for the
// goroutine. The error is nil unless the hold was over before.
func (h *hold) release(end func()) error {
	h.once.Do(func() {
		close(h.released)
		end()
	})
	<-h.done
	if errors.Is(h.err, ErrClosed) {
		return nil
	}
	return h.err
}

// reason is why the hold is over, nil while it is not.
func (h *hold) reason() error {
	select {
	case <-h.done:
		return h.err
	default:
		return nil
	}
}

// end waits for the last word of the service and says why the hold is over.
func (h *hold) end() error {
	for {
		_, err := h.stream.Recv(context.Background())
		switch {
		case err == io.EOF && h.isReleased(): // the answer to that was faster than the end of the stream
			return h.stream.failed(ErrClosed)
		case err == io.EOF:
			return h.stream.failed(errHoldEnded)
		case err != nil:
			return err
		}
	}
}

func (h *hold) isReleased() bool {
	select {
	case <-h.released:
		return true
	default:
		return false
	}
}

// leave ends the caller's stream of chunks in order and gives up the answer.
func (s *Stream) leave() {
	s.mu.Lock()
	given := s.given
	if !given {
		s.given, s.cause = true, ErrClosed
	}
	s.mu.Unlock()
	if !given {
		_ = s.st.Leave(s.method.close) // fails only when there is nobody left to tell
		_ = s.over(nil)
	}
}
