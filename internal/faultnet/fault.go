package faultnet

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// Script says what goes wrong in each direction of a connection. It is plain
// data: the same script may be given to any number of connections. Gates are the
// exception, they are shared by all connections that carry them.
type Script struct {
	Read  []Fault // bytes coming in, counted as Read returns them
	Write []Fault // bytes going out, counted as Write takes them
}

// String describes the script, for the log of a failed test.
func (s Script) String() string {
	return "read[" + describe(s.Read) + "] write[" + describe(s.Write) + "]"
}

func describe(faults []Fault) string {
	words := make([]string, len(faults))
	for i, f := range faults {
		words[i] = f.String()
	}
	return strings.Join(words, " ")
}

// Then returns a script with the faults of both.
func (s Script) Then(more Script) Script {
	return Script{
		Read:  append(append([]Fault(nil), s.Read...), more.Read...),
		Write: append(append([]Fault(nil), s.Write...), more.Write...),
	}
}

type kind int

const (
	pieces kind = iota // every transfer: at most size bytes
	chop               // every transfer: 1..size bytes, drawn
	delay              // every transfer: wait pause
	jitter             // every transfer: wait 0..pause, drawn
	split              // at an offset: a transfer ends here
	delayAt
	stall
	flip
	closeAt
	reset
)

// Fault is one thing that goes wrong. Make it with the functions below.
type Fault struct {
	kind  kind
	at    int64 // offset where it strikes, for faults that strike once
	size  int
	bit   uint8
	pause time.Duration
	seed  uint64
	gate  *Gate
}

// Pieces cuts every transfer to at most k bytes.
func Pieces(k int) Fault { return Fault{kind: pieces, size: max(k, 1)} }

// Chop cuts every transfer to a random size between 1 and k bytes.
func Chop(seed uint64, k int) Fault { return Fault{kind: chop, seed: seed, size: max(k, 1)} }

// Delay waits d before every transfer.
func Delay(d time.Duration) Fault { return Fault{kind: delay, pause: d} }

// Jitter waits a random time up to d before every transfer.
func Jitter(seed uint64, d time.Duration) Fault { return Fault{kind: jitter, seed: seed, pause: d} }

// SplitAt ends a transfer after byte n, so that no transfer carries both byte n
// and the byte before it (n counts from zero).
func SplitAt(n int64) Fault { return Fault{kind: split, at: n} }

// DelayAt waits d once, before byte n passes.
func DelayAt(n int64, d time.Duration) Fault { return Fault{kind: delayAt, at: n, pause: d} }

// StallAt holds byte n and all that follows until the gate is released.
func StallAt(n int64, g *Gate) Fault { return Fault{kind: stall, at: n, gate: g} }

// FlipBit inverts one bit (0 is the lowest) of byte n.
func FlipBit(n int64, bit uint8) Fault { return Fault{kind: flip, at: n, bit: bit & 7} }

// CloseAt half-closes after n bytes. For Write the peer sees the end of the
// stream and later writes fail with EPIPE; for Read this side sees io.EOF.
func CloseAt(n int64) Fault { return Fault{kind: closeAt, at: n} }

// ResetAt tears the whole connection down as soon as n bytes have passed; for
// n = 0 at the first call in that direction. Both sides fail with ECONNRESET
// where the transport can tell (pipes and TCP).
func ResetAt(n int64) Fault { return Fault{kind: reset, at: n} }

// String describes the fault as the constructor that made it.
func (f Fault) String() string {
	switch f.kind {
	case pieces:
		return fmt.Sprintf("pieces(%d)", f.size)
	case chop:
		return fmt.Sprintf("chop(%d, seed %d)", f.size, f.seed)
	case delay:
		return fmt.Sprintf("delay(%v)", f.pause)
	case jitter:
		return fmt.Sprintf("jitter(%v, seed %d)", f.pause, f.seed)
	case split:
		return fmt.Sprintf("split@%d", f.at)
	case delayAt:
		return fmt.Sprintf("delay(%v)@%d", f.pause, f.at)
	case stall:
		return fmt.Sprintf("stall@%d", f.at)
	case flip:
		return fmt.Sprintf("flip(bit %d)@%d", f.bit, f.at)
	case closeAt:
		return fmt.Sprintf("close@%d", f.at)
	case reset:
		return fmt.Sprintf("reset@%d", f.at)
	default:
		return fmt.Sprintf("fault(%d)", int(f.kind))
	}
}

// Gate holds a stalled transfer until somebody releases it.
type Gate struct {
	reached, released       chan struct{}
	reachOnce, releasedOnce sync.Once
}

// NewGate returns a closed gate.
func NewGate() *Gate {
	return &Gate{reached: make(chan struct{}), released: make(chan struct{})}
}

// Reached is closed when a transfer has come to the gate.
func (g *Gate) Reached() <-chan struct{} { return g.reached }

// Release opens the gate for good.
func (g *Gate) Release() { g.releasedOnce.Do(func() { close(g.released) }) }

func (g *Gate) arrive() { g.reachOnce.Do(func() { close(g.reached) }) }

// Benign is a random script that a correct protocol survives without noticing:
// bytes come and go in odd pieces and late, none is lost or changed.
func Benign(seed uint64) Script {
	r := rand.New(rand.NewPCG(seed, 1))
	shape := func() []Fault {
		faults := []Fault{Chop(r.Uint64(), 1+r.IntN(64))}
		if r.IntN(2) == 0 {
			faults = append(faults, Jitter(r.Uint64(), time.Duration(1+r.IntN(2000))*time.Microsecond))
		}
		return faults
	}
	return Script{Read: shape(), Write: shape()}
}

// Hostile is Benign plus one fatal fault (reset, half-close or flipped bit) in
// one direction within its first `within` bytes. A correct protocol ends every
// request exactly once, with an error if need be.
func Hostile(seed uint64, within int64) Script {
	r := rand.New(rand.NewPCG(seed, 2))
	at := r.Int64N(max(within, 1))
	fatal := []Fault{ResetAt(at), CloseAt(at), FlipBit(at, uint8(r.IntN(8)))}[r.IntN(3)]
	blow := Script{Read: []Fault{fatal}}
	if r.IntN(2) == 0 {
		blow = Script{Write: []Fault{fatal}}
	}
	return Benign(seed).Then(blow)
}
