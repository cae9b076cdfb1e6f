package rpc

import "time"

// A Batch collects the sessions that a reader has appended frames to since it
// last flushed. It belongs to one reader goroutine; Receivers get it as an
// argument and pass it on to Send and Open.
type Batch struct {
	touched []*Session
	full    []*Session // sessions over their buffer limit: the reader waits for them
	now     time.Time
}

// Now is the time at which the frames of this batch were read, taken once per
// batch. A nil Batch answers with the current time.
func (b *Batch) Now() time.Time {
	if b == nil {
		return time.Now()
	}
	if b.now.IsZero() {
		b.now = time.Now()
	}
	return b.now
}

// flush writes what the batch has buffered and waits, while a session it fed is
// over its limit, until that session has drained or ended. cancel ends the wait.
func (b *Batch) flush(cancel <-chan struct{}) {
	b.now = time.Time{}
	for i, s := range b.touched {
		b.touched[i] = nil
		s.flush()
	}
	b.touched = b.touched[:0]
	for i, s := range b.full {
		b.full[i] = nil
		s.awaitRoom(cancel)
	}
	b.full = b.full[:0]
}

// Run calls f with a batch of its own and flushes it afterwards, also if f panics:
// other batches rely on that. It is for goroutines that are no readers, timers for
// example, and that append to several sessions at once. It does not wait for full
// peers.
func Run(f func(b *Batch)) {
	var b Batch
	defer func() {
		for _, s := range b.touched {
			s.flush()
		}
	}()
	f(&b)
}
