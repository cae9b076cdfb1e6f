package rpc

import "time"

// A Batch collects the sessions that a reader has appended frames to since it
// last flushed. It belongs to one reader goroutine; Receivers get it as an
// argument and pass it on to Send and Open.
type Batch struct {
	touched   []*Session
	full      []*Session // sessions over their buffer limit: the reader waits for them
	staged    [stages]stage
	scratch   []byte // for what is staged in a dialect
	finishers []Finisher
	now       time.Time
	wakes     []chan struct{} // have room for the token that is to come
	turn      *Turns          // in which the reader serves methods now; nil when it does not
	served    int             // in this turn
}

// stages is for how many sessions a batch stages frames. A reader that answers more
// of them at once does better to hand each frame over: there is little to save.
const stages = 8

// A stage holds frames for a session until the batch is flushed.
type stage struct {
	s *Session // nil: free
	frames
}

// A Finisher has put off work to the end of a batch.
type Finisher interface {
	// Finish does it. It may send on sessions with the batch, which is flushed
	// afterwards.
	Finish(b *Batch)
}

// Finally has f finish when the batch is about to be flushed, once. Whoever calls it
// remembers that it has: it must not be called again before.
func (b *Batch) Finally(f Finisher) { b.finishers = append(b.finishers, f) }

// stage gives where to put frames for a session, nil if there is no place left.
func (b *Batch) stage(s *Session) *frames {
	for i := range b.staged {
		switch st := &b.staged[i]; st.s {
		case s:
			return &st.frames
		case nil:
			st.s = s
			return &st.frames
		}
	}
	return nil
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

// write finishes what was put off and writes what the batch has buffered. It does
// not block.
func (b *Batch) write() {
	b.wakeAll()
	for i, f := range b.finishers {
		b.finishers[i] = nil
		f.Finish(b)
	}
	b.finishers = b.finishers[:0]
	b.now = time.Time{}
	for i := range b.staged {
		st := &b.staged[i]
		if st.s == nil {
			break
		}
		st.s.flushStage(b, &st.frames)
		st.s = nil
	}
	for i, s := range b.touched {
		b.touched[i] = nil
		s.flush()
	}
	b.touched = b.touched[:0]
}

// flush writes what the batch has buffered and waits, while a session it fed is
// over its limit, until that session has drained or ended. cancel ends the wait.
func (b *Batch) flush(cancel <-chan struct{}) {
	b.write()
	b.giveTurn()
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
	defer b.write()
	f(&b)
}

// wake has a goroutine that waits for a token get it when the batch is written. It is
// one of many then, and finds all of their answers: woken at once it would run beside
// the reader, look for the next answer before that is there, and wait again.
func (b *Batch) wake(w chan struct{}) {
	if b == nil {
		w <- struct{}{}
		return
	}
	b.wakes = append(b.wakes, w)
}

func (b *Batch) wakeAll() {
	for i, w := range b.wakes {
		b.wakes[i] = nil
		w <- struct{}{}
	}
	b.wakes = b.wakes[:0]
}
