package rpc

import (
	"context"

	"golang.org/x/sync/semaphore"
)

// turnLength is how many calls a reader serves before it is another one's turn.
const turnLength = 32

// Turns bound how many readers serve methods of Muxes at once. What a Mux serves is
// worked out here and not passed on, so a client that asks without pause keeps its
// reader running without pause. A few dozens of those, and whoever else has a frame
// to forward gets a processor late, or learns late that there is one: the scheduler
// looks at the network when it has nothing else to do. With Turns they keep a part of
// the processors busy and wait for each other.
type Turns struct{ free *semaphore.Weighted }

// NewTurns makes Turns for so many readers at once.
func NewTurns(readers int) *Turns { return &Turns{semaphore.NewWeighted(int64(readers))} }

// take has the batch's reader wait for its turn unless it has it; the batch gives it
// back when it is flushed.
func (t *Turns) take(b *Batch, cancel <-chan struct{}) {
	if b.turn == t && b.served < turnLength {
		b.served++
		return
	}
	b.giveTurn()
	if !t.free.TryAcquire(1) {
		b.flush(cancel)                             // nobody waits for what this reader has done already
		_ = t.free.Acquire(context.Background(), 1) // does not fail: whoever has a turn does not block
	}
	b.turn, b.served = t, 1
}

// giveTurn ends the turn of the batch's reader, if it has one.
func (b *Batch) giveTurn() {
	if b.turn != nil {
		b.turn.free.Release(1)
		b.turn = nil
	}
}
