package worker

import (
	"sync"
	"sync/atomic"
	"time"
)

// A brief serves calls on the goroutine of the session's reader, one after the other:
// of handlers that take less than it costs to bring a call to another goroutine. That
// they are is a guess. So there is a clock beside it, and when a call takes longer after
// all, another goroutine becomes the reader, the crew gets the calls behind it, and the
// goroutine of the handler goes on as one of the crew's, which ends with it.
//
//	reader ── serves 1, 2, 3 ──────────────────────────── flush, read on
//	reader ── serves 1, 2 ... ─┐ (2 waits for something)  answers 2, ends
//	                  clock ───┴─▶ reader ── crew gets 3 ── read on
//
// at says who has the calls that have not begun. While it is a number, that is the one
// of the call being served, and the reader has the others; everything but at and what the clock
// keeps belongs to the reader, of which there is one at a time.
type brief struct {
	succeed func() // has a new goroutine be the reader: Session.Relieve
	crew    *crew
	calls   []*call
	hand    *hand
	first   uint64 // number of calls[0] while they are served
	next    uint64 // numbers rise for ever

	at    atomic.Uint64
	armed atomic.Bool // the clock is going to look

	mu    sync.Mutex // guards what follows
	clock *time.Timer
	seen  uint64 // at, when the clock looked last
	shut  bool
}

// Values of at that are no numbers of calls.
const (
	atRest   = 0
	relieved = ^uint64(0)
)

const (
	// fewest is how many calls there must be: one that comes alone is served as
	// quickly by the crew, and needs no clock.
	fewest = 4
	// lookEvery is how often the clock looks: a call that it sees twice is relieved.
	lookEvery = 200 * time.Microsecond
	// answersAt is after how many calls the reader looks whether answers have waited
	// long enough.
	answersAt = 16
)

// serve serves the calls that wait. It is the session's Between: it returns false if
// its goroutine is not the reader any more.
func (s *brief) serve() (still bool) {
	if len(s.calls) < fewest {
		return true
	}
	t := s.take()
	defer func() {
		if !t.returned { // a handler ended the goroutine
			s.relieve(t.number)
			s.leave(t.hand)
		}
	}()
	still = s.serveAll(t)
	t.returned = true
	if !still || !s.at.CompareAndSwap(t.number, atRest) {
		s.leave(t.hand)
		return false
	}
	s.crew.flush()
	clear(s.calls)
	s.calls = s.calls[:0]
	return true
}

// A stint is what a goroutine does as the reader before it writes. From take on it may
// be relieved at any point, even before its first call, and must not look at the calls
// of the brief: they may be another reader's by then.
type stint struct {
	calls    []*call
	hand     *hand
	number   uint64 // of the call being served
	returned bool
}

func (s *brief) take() *stint {
	if s.hand == nil {
		s.hand = s.crew.join()
	}
	t := &stint{calls: s.calls, hand: s.hand, number: s.next + 1}
	s.first = t.number
	s.next += uint64(len(s.calls))
	s.at.Store(t.number)
	s.arm()
	return t
}

// serveAll serves one call after the other, as long as the goroutine has them.
func (s *brief) serveAll(t *stint) (still bool) {
	began := time.Now()
	for k, c := range t.calls {
		if k > 0 {
			if !s.at.CompareAndSwap(t.number, t.number+1) {
				return false
			}
			t.number++
		}
		t.hand.now.Store(&c.request)
		c.serve()
		t.hand.now.Store(nil)
		if k%answersAt == answersAt-1 && time.Since(began) > maxDelay {
			s.crew.flush()
			began = time.Now()
		}
	}
	return true
}

// leave is the end of a goroutine that was the reader.
func (s *brief) leave(h *hand) {
	s.crew.flush()
	s.crew.gone(h)
}

// arm has the clock look, soon.
func (s *brief) arm() {
	if s.armed.Swap(true) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.shut:
	case s.clock == nil:
		s.clock = time.AfterFunc(lookEvery, s.look)
	default:
		s.clock.Reset(lookEvery)
	}
}

// look is the clock's.
func (s *brief) look() {
	s.mu.Lock()
	at := s.at.Load()
	stuck := at != atRest && at != relieved && at == s.seen
	s.seen = at
	s.mu.Unlock()
	if stuck && s.relieve(at) {
		return
	}
	s.armed.Store(false)
	if s.at.Load() != atRest { // whoever serves may have found it armed
		s.arm()
	}
}

// relieve has another goroutine become the reader, in the place of the one that serves
// a call. It returns false if that has gone on meanwhile.
func (s *brief) relieve(number uint64) bool {
	if !s.at.CompareAndSwap(number, relieved) {
		return false
	}
	k := int(number - s.first)
	s.calls[k].binding.pace.late()
	rest := make([]task, 0, len(s.calls))
	for _, c := range s.calls[k+1:] {
		rest = append(rest, c)
	}
	s.calls, s.hand = nil, nil // the other one still ranges over them
	if len(rest) > 0 {
		s.crew.add(rest...)
	}
	s.armed.Store(false)
	s.at.Store(atRest)
	s.succeed()
	return true
}

// close stops the clock. The session has ended.
func (s *brief) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = true
	if s.clock != nil {
		s.clock.Stop()
	}
}
