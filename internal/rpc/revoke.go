package rpc

import (
	"fmt"
	"slices"

	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// An AnswerAcceptor is an Acceptor that is at work on the answer of a channel after
// its receiving half is closed: there is no Receiver then that could be told that the
// peer has given the call up.
type AnswerAcceptor interface {
	Acceptor
	// Unwanted says that the peer does not wait for the answers on some channels any
	// more, because it has revoked them, or for no answer at all: then revoked is nil,
	// and the session has ended, for the reason that its Err gives. Channels whose
	// receiving half was open are not among them, their Receivers were told. Others
	// may be ones whose answer has ended, or was never asked for. It is called once for
	// all that a batch has revoked, up to some thousands, on the reader goroutine; the
	// slice is valid during the call only.
	Unwanted(b *Batch, s *Session, revoked []Revoked)
}

// Revoked is a channel that the peer has given up.
type Revoked struct {
	Channel uint64
	Cause   *Error // as the peer says
}

const (
	// maxRevoked is how many revoked channels wait for the end of a batch.
	maxRevoked = 4096
	// keepRevoked is the room for them that a session keeps.
	keepRevoked = 64
)

// revocations are the channels that a batch has revoked. They belong to the reader.
type revocations struct {
	list []Revoked
	put  bool // the batch is going to call Finish
}

// Revoke does what the control message revoke asks for, whose arguments it gets: it
// ends the peer's half of another channel with the error it names. If that half is
// closed already, and the channel is not one that never was, an AnswerAcceptor is told
// at the end of the batch. It is for Acceptors. The error is that of arguments that do
// not decode.
func (s *Session) Revoke(b *Batch, args []byte) error {
	target, cause, err := decodeRevoke(args)
	if err != nil {
		return badArgs("revoke", err)
	}
	if recv := s.take(target); recv != nil {
		recv.Lost(b, cause)
		return nil
	}
	if s.answers == nil || target == 0 || target > s.max.Load() {
		return nil
	}
	s.revoked.list = append(s.revoked.list, Revoked{target, cause})
	switch {
	case len(s.revoked.list) == maxRevoked:
		s.tellRevoked(b)
	case !s.revoked.put:
		s.revoked.put = true
		b.Finally((*revoker)(s))
	}
	return nil
}

// revoker tells at the end of a batch what it has revoked.
type revoker Session

// Finish implements Finisher.
func (r *revoker) Finish(b *Batch) {
	r.revoked.put = false
	(*Session)(r).tellRevoked(b)
}

func (s *Session) tellRevoked(b *Batch) {
	if len(s.revoked.list) == 0 {
		return
	}
	s.answers.Unwanted(b, s, s.revoked.list)
	if clear(s.revoked.list); cap(s.revoked.list) > keepRevoked {
		s.revoked.list = nil
	}
	s.revoked.list = s.revoked.list[:0]
}

// tellGone tells that the session has ended, if there may be anybody at work for it.
func (s *Session) tellGone() {
	if s.answers != nil && s.opened+s.counts.Load() > 0 {
		s.answers.Unwanted(&s.batch, s, nil)
	}
}

// decodeRevoke reads [channel, [category, code]].
func decodeRevoke(args []byte) (channel uint64, cause *Error, err error) {
	r := msgpack.NewReader(args)
	if n := r.Array(); n < 2 && r.Err() == nil {
		return 0, nil, fmt.Errorf("%d arguments, want 2", n)
	}
	channel = r.Uint()
	if n := r.Array(); n < 2 && r.Err() == nil {
		return 0, nil, fmt.Errorf("code has %d elements, want 2", n)
	}
	cause = &Error{Category: int(r.Int()), Code: int(r.Int()), Message: "channel was revoked"}
	return channel, cause, r.Err()
}

// AppendRevoke appends the arguments of the control message revoke.
func AppendRevoke(b []byte, channel uint64, cause *Error) []byte {
	b = msgpack.AppendUint(msgpack.AppendArray(b, 2), channel)
	b = msgpack.AppendInt(msgpack.AppendArray(b, 2), int64(cause.Category))
	return msgpack.AppendInt(b, int64(cause.Code))
}

// An Unwanting finds out which calls of many nobody waits for any more, in a walk over
// all of them: so a call costs nothing for it as long as nobody gives up. It collects
// what AnswerAcceptor.Unwanted says, of any number of sessions. The zero value is
// ready. It has no lock.
type Unwanting struct {
	of map[*Session]*unwanted
	n  int
}

type unwanted struct {
	all     *Error // the session has ended
	revoked []Revoked
	sorted  bool
}

// Add notes what Unwanted says.
func (u *Unwanting) Add(s *Session, revoked []Revoked) {
	if u.of == nil {
		u.of = make(map[*Session]*unwanted)
	}
	w := u.of[s]
	if w == nil {
		w = new(unwanted)
		u.of[s] = w
		u.n++
	}
	if revoked == nil {
		u.n -= len(w.revoked)
		w.all, w.revoked = LostError(s.Err()), nil
		return
	}
	if w.all == nil {
		w.revoked, w.sorted = append(w.revoked, revoked...), false
		u.n += len(revoked)
	}
}

// Len is how much there is to know: channels and sessions.
func (u *Unwanting) Len() int { return u.n }

// Find gives the reason if nobody waits for the answer on a channel, else nil.
func (u *Unwanting) Find(s *Session, channel uint64) *Error {
	w := u.of[s]
	switch {
	case w == nil:
		return nil
	case w.all != nil:
		return w.all
	case !w.sorted:
		slices.SortFunc(w.revoked, compareRevoked)
		w.sorted = true
	}
	i, ok := slices.BinarySearchFunc(w.revoked, Revoked{Channel: channel}, compareRevoked)
	if !ok {
		return nil
	}
	return w.revoked[i].Cause
}

func compareRevoked(a, b Revoked) int {
	switch {
	case a.Channel < b.Channel:
		return -1
	case a.Channel > b.Channel:
		return 1
	}
	return 0
}

// Gone reports whether it is said of a session that it has ended.
func (u *Unwanting) Gone(s *Session) bool {
	w := u.of[s]
	return w != nil && w.all != nil
}

// Reset forgets everything.
func (u *Unwanting) Reset() { *u = Unwanting{} }
