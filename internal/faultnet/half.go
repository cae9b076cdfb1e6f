package faultnet

import (
	"math/rand/v2"
	"time"
)

// half is the state of one direction of a wrapped connection. It belongs to
// whoever holds turn.
type half struct {
	turn   chan struct{} // capacity 1: the right to transfer; a channel, so that waiting is durable under synctest
	faults []Fault
	draws  []*rand.Rand // one generator per random fault, nil for the others
	struck []bool       // one-time faults that are over
	offset int64        // bytes carried so far
	ended  bool         // CloseAt struck
}

func newHalf(faults []Fault, direction uint64) *half {
	h := &half{
		turn:   make(chan struct{}, 1),
		faults: append([]Fault(nil), faults...),
		draws:  make([]*rand.Rand, len(faults)),
		struck: make([]bool, len(faults)),
	}
	for i, f := range faults {
		if f.kind == chop || f.kind == jitter {
			h.draws[i] = rand.New(rand.NewPCG(f.seed, direction))
		}
	}
	return h
}

// plan is what must happen before the next transfer and how much it may carry.
type plan struct {
	size  int
	pause time.Duration
	gates []*Gate
}

// next plans the transfer of up to want bytes (want > 0) from the current offset.
func (h *half) next(want int) plan {
	p := plan{size: want}
	for i, f := range h.faults {
		switch f.kind {
		case pieces:
			p.size = min(p.size, f.size)
		case chop:
			p.size = min(p.size, 1+h.draws[i].IntN(f.size))
		case delay:
			p.pause += f.pause
		case jitter:
			p.pause += time.Duration(h.draws[i].Int64N(int64(f.pause) + 1))
		case flip:
		case split, delayAt, stall, closeAt, reset:
			h.approach(i, &p)
		}
	}
	return p
}

// approach handles a fault that strikes at an offset: the transfer stops short
// of it; one that begins there meets it.
func (h *half) approach(i int, p *plan) {
	f := h.faults[i]
	if f.at > h.offset {
		p.size = int(min(int64(p.size), f.at-h.offset))
		return
	}
	if f.at < h.offset || h.struck[i] {
		return
	}
	switch f.kind {
	case delayAt:
		h.struck[i] = true
		p.pause += f.pause
	case stall:
		p.gates = append(p.gates, f.gate)
	}
}

// fate tells whether the connection is reset or the half closed at the current offset.
func (h *half) fate() (resets, closes bool) {
	for i, f := range h.faults {
		if h.struck[i] || f.at > h.offset {
			continue
		}
		switch f.kind {
		case reset:
			h.struck[i], resets = true, true
		case closeAt:
			h.struck[i], closes = true, true
		}
	}
	return resets, closes
}

// flipsWithin reports whether bytes [offset, offset+n) are to be changed.
func (h *half) flipsWithin(n int) bool {
	for _, f := range h.faults {
		if f.kind == flip && f.at >= h.offset && f.at < h.offset+int64(n) {
			return true
		}
	}
	return false
}

// flip inverts the bits that fall into p, which starts at the current offset.
func (h *half) flip(p []byte) {
	for _, f := range h.faults {
		if f.kind == flip && f.at >= h.offset && f.at < h.offset+int64(len(p)) {
			p[f.at-h.offset] ^= 1 << f.bit
		}
	}
}
