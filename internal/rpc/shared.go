package rpc

import (
	"sync"
	"time"
)

// Shared is an answer that is the same for all who ask and costs something to work
// out: a report. It is worked out by one at a time, and those who asked before that
// began get it too, so that many who ask at once, or one who asks many times without
// waiting for the answers, cost little more than one does. Nobody gets an answer that
// is older than the question. The zero value is ready; it must not be copied.
type Shared struct {
	mu     sync.Mutex
	from   time.Time // when working it out began
	result []byte
	err    error
}

// Answer gives the answer to a call that arrived at a time; see Call.Arrived. work
// runs in this goroutine, or in that of another caller while this one waits. The
// result belongs to all who asked: nobody may change it.
func (s *Shared) Answer(arrived time.Time, work func() ([]byte, error)) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.from.After(arrived) {
		s.from = time.Now()
		s.result, s.err = nil, Errorf(0, 0, "cannot work out the answer") // if work panics
		s.result, s.err = work()
	}
	return s.result, s.err
}
