package wire

import (
	"encoding/binary"
	"errors"

	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// Limits bounds what a peer may send. Zero fields mean the defaults.
type Limits struct {
	MaxFrame int // bytes of one frame
	MaxDepth int // nested containers, the frame's own array included
}

// The limits used where none are given.
const (
	DefaultMaxFrame = 64 << 20
	DefaultMaxDepth = msgpack.MaxDepth
)

// Scanner finds the frame at the start of a buffer. Use NewScanner.
type Scanner struct {
	maxFrame int
	maxDepth int

	// State of an incomplete frame. pos == 0 means none was begun.
	pos   int      // bytes understood
	need  int      // lower bound of the frame's size
	owed  uint64   // tokens still missing, each at least one byte
	open  []uint64 // values still missing in each open container, the frame's array first
	size  uint64   // elements of the frame
	frame partial
}

// partial holds what is known of an incomplete frame. Positions, not slices: the buffer may move between calls.
type partial struct {
	channel, typ        uint64
	args, argsEnd       int
	headers, headersEnd int
}

// NewScanner returns a Scanner for one connection.
func NewScanner(l Limits) Scanner {
	if l.MaxFrame <= 0 {
		l.MaxFrame = DefaultMaxFrame
	}
	if l.MaxDepth <= 0 {
		l.MaxDepth = DefaultMaxDepth
	}
	return Scanner{maxFrame: l.MaxFrame, maxDepth: l.MaxDepth}
}

// Parse returns the frame at the start of b and its size. It is a Scanner's Next for a buffer that will not grow.
func Parse(b []byte, l Limits) (Frame, int, error) {
	s := NewScanner(l)
	return s.Next(b)
}

// Next returns the frame at the start of buf and how many bytes it takes. Elements after the fourth are skipped.
//
// ErrShort means that buf ends inside the frame: call again with a buffer that begins with the same bytes and is
// longer, at least Need bytes in all. Any other error is an *Error; the stream is lost.
func (s *Scanner) Next(buf []byte) (f Frame, n int, err error) {
	if s.pos == 0 {
		if n := scanComplete(buf, s.maxDepth-1, &f); n > 0 && n <= s.maxFrame {
			s.need = 0
			return f, n, nil
		}
	}
	return s.resume(buf)
}

// Need returns a lower bound of the size of the frame that Next found incomplete, never above the limit; 0 when there
// is none.
func (s *Scanner) Need() int { return s.need }

// scanComplete is the way of nearly every frame: three or four elements, all there. It returns 0 for anything else, to
// be looked at by resume, which knows every rule.
func scanComplete(b []byte, depth int, f *Frame) int {
	if len(b) < 4 || b[0] != frameOf4 && b[0] != frameOf3 {
		return 0
	}
	var args int
	if b[1]|b[2] < 0x80 {
		f.Channel, f.Type, args = uint64(b[1]), uint64(b[2]), 3
	} else if args = scanNumbers(b, f); args == 0 {
		return 0
	}
	headers := scanArray(b, args, depth)
	if headers == 0 {
		return 0
	}
	f.Args = b[args:headers:headers]
	if b[0] == frameOf3 {
		f.Headers = nil
		return headers
	}
	end := scanArray(b, headers, depth)
	if end == 0 {
		return scanNil(b, headers, f)
	}
	f.Headers = b[headers:end:end]
	return end
}

// scanNil returns the position after nil at b[i:], 0 if there is something else: some encoders write it for headers that
// there are none of.
func scanNil(b []byte, i int, f *Frame) int {
	if i >= len(b) || b[i] != nilTag {
		return 0
	}
	f.Headers = nil
	return i + 1
}

// scanNumbers reads channel and type and returns the position after them, 0 if they are not there.
func scanNumbers(b []byte, f *Frame) (i int) {
	if f.Channel, i = scanUint(b, 1); i == 0 {
		return 0
	}
	f.Type, i = scanUint(b, i)
	return i
}

// scanUint returns the number at b[i:] and the position after it, 0 if there is none. A connection spends most of its
// life with channels of two and four bytes.
func scanUint(b []byte, i int) (uint64, int) {
	if i+5 > len(b) {
		return scanAnyUint(b, i)
	}
	switch c := b[i]; {
	case c < 0x80:
		return uint64(c), i + 1
	case c == uint16Tag:
		return uint64(b[i+1])<<8 | uint64(b[i+2]), i + 3
	case c == uint32Tag:
		return uint64(binary.BigEndian.Uint32(b[i+1:])), i + 5
	}
	return scanAnyUint(b, i)
}

func scanAnyUint(b []byte, i int) (uint64, int) {
	t, err := msgpack.ReadToken(b[min(i, len(b)):])
	if err != nil || t.Kind != msgpack.KindUint {
		return 0, 0
	}
	return t.Value, i + int(t.Size)
}

// scanArray returns the position after the array at b[i:], 0 if there is none.
func scanArray(b []byte, i, depth int) int {
	if uint(i) >= uint(len(b)) || b[i]&0xf0 != emptyArray && b[i] != array16 && b[i] != array32 {
		return 0
	}
	if b[i] == emptyArray && depth > 0 {
		return i + 1
	}
	if end := scanChunk(b, i); end > 0 && depth > 0 {
		return end
	}
	n := msgpack.Extent(b[i:], depth)
	if n < 0 {
		return 0
	}
	return i + n
}

// scanChunk returns the position after the array at b[i:] if it holds one byte string of less than 64 KiB in the old
// dialect, as a chunk does, else 0.
func scanChunk(b []byte, i int) int {
	if i+4 > len(b) || b[i] != arrayOf1 {
		return 0
	}
	end := 0
	switch t := b[i+1]; {
	case t == raw16Tag:
		end = i + 4 + (int(b[i+2])<<8 | int(b[i+3]))
	case t&0xe0 == fixrawTag:
		end = i + 2 + int(t&0x1f)
	}
	if end > len(b) {
		return 0
	}
	return end
}

// The tags the short way looks for.
const (
	arrayOf1  = 0x91
	fixrawTag = 0xa0
	raw16Tag  = 0xda
	nilTag    = 0xc0
	array16   = 0xdc
	array32   = 0xdd
	uint16Tag = 0xcd
	uint32Tag = 0xce
)

// resume goes on with the frame token by token and keeps its place when buf ends. What it decides depends on the bytes
// alone, never on how they were cut.
func (s *Scanner) resume(buf []byte) (Frame, int, error) {
	for {
		done, err := s.step(buf)
		if err != nil && !errors.Is(err, ErrShort) {
			s.reset()
			return Frame{}, 0, err
		}
		if err != nil {
			return Frame{}, 0, ErrShort
		}
		if done {
			f, n := s.frame.slice(buf), s.pos
			s.reset()
			return f, n, nil
		}
	}
}

// step consumes one token.
func (s *Scanner) step(buf []byte) (done bool, err error) {
	t, err := msgpack.ReadToken(buf[min(s.pos, len(buf)):])
	if err != nil && !errors.Is(err, ErrShort) {
		return false, s.fail(ErrMsgpack, err.(*msgpack.Error).Detail)
	}
	if err == nil {
		if fault := s.check(t); fault != "" {
			return false, s.fail(ErrFraming, fault)
		}
	}
	if !s.reserve(t) {
		return false, s.fail(ErrTooLarge, "")
	}
	if err != nil || s.pos+int(t.Size) > len(buf) {
		return false, ErrShort
	}
	return s.accept(t)
}

// check returns what the frame's layout has against the token, if anything.
func (s *Scanner) check(t msgpack.Token) string {
	switch len(s.open) {
	case 0:
		if t.Kind != msgpack.KindArray {
			return "not an array but " + t.Kind.String()
		}
		if t.Items < 3 {
			return "fewer than 3 elements"
		}
	case 1:
		return checkElement(s.element(), t.Kind)
	}
	return ""
}

// element returns which element of the frame comes next.
func (s *Scanner) element() uint64 { return s.size - s.open[0] }

func checkElement(i uint64, k msgpack.Kind) string {
	switch {
	case i == 0 && k != msgpack.KindUint:
		return "channel is " + k.String()
	case i == 1 && k != msgpack.KindUint:
		return "type is " + k.String()
	case i == 2 && k != msgpack.KindArray:
		return "args are " + k.String()
	case i == 3 && k != msgpack.KindArray && k != msgpack.KindNil:
		return "headers are " + k.String()
	}
	return ""
}

// reserve raises need by what the token claims and reports whether the frame can still fit. Every value owed takes at
// least one byte, so that a container of four billion elements is refused at its header.
func (s *Scanner) reserve(t msgpack.Token) bool {
	least := uint64(s.pos) + t.Size + s.owedAfter(t)
	if least > uint64(s.maxFrame) {
		return false
	}
	s.need = int(least)
	return true
}

// owedAfter returns how many tokens must still come after t.
func (s *Scanner) owedAfter(t msgpack.Token) uint64 {
	if len(s.open) == 0 {
		return t.Items
	}
	return s.owed - 1 + t.Items
}

// accept takes in a token that is complete and fits.
func (s *Scanner) accept(t msgpack.Token) (done bool, err error) {
	container := t.Kind == msgpack.KindArray || t.Kind == msgpack.KindMap
	if container && len(s.open) >= s.maxDepth {
		return false, s.fail(ErrTooDeep, "")
	}
	s.begin(t)
	s.owed = s.owedAfter(t)
	s.pos += int(t.Size)
	if container && t.Items > 0 {
		s.open = append(s.open, t.Items)
		return false, nil
	}
	return s.close(), nil
}

// begin notes what the frame's own elements are and where they start.
func (s *Scanner) begin(t msgpack.Token) {
	switch len(s.open) {
	case 0:
		s.size = t.Items
	case 1:
		switch s.element() {
		case 0:
			s.frame.channel = t.Value
		case 1:
			s.frame.typ = t.Value
		case 2:
			s.frame.args = s.pos
		case 3:
			if t.Kind != msgpack.KindNil {
				s.frame.headers = s.pos
			}
		}
	}
}

// close ends the value at pos and every container it was the last of. It reports whether the frame is complete.
func (s *Scanner) close() bool {
	for len(s.open) > 0 {
		top := len(s.open) - 1
		if top == 0 {
			s.end()
		}
		s.open[top]--
		if s.open[top] > 0 {
			return false
		}
		s.open = s.open[:top]
	}
	return true
}

// end notes where the frame's own elements end.
func (s *Scanner) end() {
	switch s.element() {
	case 2:
		s.frame.argsEnd = s.pos
	case 3:
		if s.frame.headers > 0 {
			s.frame.headersEnd = s.pos
		}
	}
}

func (s *Scanner) fail(cause error, detail string) error {
	return &Error{Offset: s.pos, Err: cause, Detail: detail}
}

func (s *Scanner) reset() {
	*s = Scanner{maxFrame: s.maxFrame, maxDepth: s.maxDepth, open: s.open[:0]}
}

func (p partial) slice(buf []byte) Frame {
	f := Frame{Channel: p.channel, Type: p.typ, Args: buf[p.args:p.argsEnd:p.argsEnd]}
	if p.headersEnd > 0 {
		f.Headers = buf[p.headers:p.headersEnd:p.headersEnd]
	}
	return f
}
