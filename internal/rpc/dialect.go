package rpc

import (
	"errors"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// A Dialect is another encoding of the conversations that sessions have: that of an
// older generation of clients or workers. It turns each message of the peer into the
// frames that it stands for, and each frame of this side into what the peer
// understands. Everything else about a session - channels, back-pressure, limits,
// its end - is the same, so Acceptors and Receivers need not know.
//
// A Dialect belongs to one session. Next is called by the session's reader, Append
// under the session's lock, so they may run at the same time; Append must not call
// the session.
type Dialect interface {
	// Next reads the message at the start of buf and returns its size and the
	// frames it stands for, in order; there may be none. They, and what they refer
	// to, are valid until the next call. wire.ErrShort asks for a buffer that
	// begins with the same bytes and is longer; any other error ends the session.
	//
	// Channels that the frames open have numbers above all before them.
	Next(buf []byte) (n int, frames []wire.Frame, err error)
	// Append adds to dst what a frame of this side is to the peer, which may be
	// nothing. The arguments are whole msgpack arrays.
	Append(dst []byte, channel, typ uint64, args, headers []byte) []byte
}

// A LastDialect is a Dialect that can say the last frames of a channel without the
// session's lock, so that they can be staged (Session.StageLast).
type LastDialect interface {
	Dialect
	// AppendLast is Append for a write and for the close behind it, after which it
	// has nothing more to say on the channel. Any goroutine may call it, also while
	// Append runs, but only one for a channel.
	AppendLast(dst []byte, channel uint64, args, headers, closeHeaders []byte) []byte
}

// A Leaver is a Dialect whose peers do not stand a connection that is reset. A session
// of one ends with the end of its output; then it drops what the peer still says,
// until the peer has hung up too, for as long as Leave says at most.
type Leaver interface {
	Leave() time.Duration
}

// Dialect is what the peer speaks, nil for the language of this package. It is for
// Acceptors, which run when it is known.
func (s *Session) Dialect() Dialect { return s.dialect }

// leaving is when a session that ends now has to be gone, zero for at once. Called
// with mu held.
func (s *Session) leaving() (by time.Time) {
	if l, ok := s.dialect.(Leaver); ok {
		by = time.Now().Add(l.Leave())
	}
	return by
}

// hangUp ends the connection. If the session may take its time it ends the output
// alone: the reader does the rest.
func (s *Session) hangUp(by time.Time) {
	half, ok := s.conn.(interface{ CloseWrite() error })
	if by.IsZero() || !ok || half.CloseWrite() != nil {
		s.conn.Close()
		return
	}
	_ = s.conn.SetWriteDeadline(time.Now()) // fails only on a closed connection, as below
	_ = s.conn.SetReadDeadline(by)
}

// farewell is the reader's part of a slow end.
func (s *Session) farewell() {
	s.mu.Lock()
	by := s.leaveBy
	s.mu.Unlock()
	if by.IsZero() {
		return
	}
	_ = s.conn.SetReadDeadline(by)
	var err error
	for err == nil {
		_, err = s.conn.Read(s.buf)
	}
	s.conn.Close()
}

// left reports whether the session is about to end slowly. The reader must not wait
// for its peer then.
func (s *Session) left() bool {
	if s.dialect == nil {
		return false
	}
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// recognise asks once which dialect the peer speaks. It returns false while the
// bytes that are there do not say.
func (s *Session) recognise() (known bool, err error) {
	d, err := s.opts.Recognise(s.buf[s.r:s.w])
	if errors.Is(err, wire.ErrShort) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	s.dialect = d
	s.lastDialect, _ = d.(LastDialect)
	s.mu.Unlock()
	s.recognised = true
	return true, nil
}

// drainForeign is drainInput for a session whose peer speaks a dialect.
func (s *Session) drainForeign() bool {
	for s.r < s.w {
		if s.pauses.Load() > 0 && !s.settle() {
			return false
		}
		n, frames, err := s.dialect.Next(s.buf[s.r:s.w])
		if err != nil {
			if errors.Is(err, wire.ErrShort) {
				return true
			}
			s.malformed(err)
			return false
		}
		s.r += n
		s.frames += uint64(len(frames))
		if isLastTwo(frames) && s.dispatchLast(frames[0]) {
			frames = nil
		}
		for _, f := range frames {
			if !s.dispatch(f) {
				return false
			}
		}
		if len(s.batch.full) > 0 && !s.settle() {
			return false
		}
	}
	return true
}

// isLastTwo reports whether frames are a write and the close behind it.
func isLastTwo(frames []wire.Frame) bool {
	return len(frames) == 2 && frames[0].Channel == frames[1].Channel && frames[0].Type == idl.Write && frames[1].Type == idl.Close &&
		len(frames[0].Headers) <= 1 && len(frames[1].Headers) <= 1
}

// emit appends a frame in the language of the peer. Called with mu held.
func (s *Session) emit(channel, typ uint64, args, headers []byte) {
	if s.dialect == nil {
		s.out.append(channel, typ, args, headers)
		return
	}
	args, headers = orEmpty(args), orEmpty(headers)
	dst := s.out.open(foreignSize(args), s.scratch)
	s.scratch = s.out.close(s.dialect.Append(dst, channel, typ, args, headers), s.scratch)
}

// emitLastForeign is emit for a write and the close behind it, of a session that
// speaks a dialect. Called with mu held.
func (s *Session) emitLastForeign(channel uint64, args, headers, closeHeaders []byte) {
	if s.lastDialect == nil {
		s.emit(channel, idl.Write, args, headers)
		s.emit(channel, idl.Close, nil, closeHeaders)
		return
	}
	args = orEmpty(args)
	dst := s.out.open(foreignSize(args), s.scratch)
	s.scratch = s.out.close(s.lastDialect.AppendLast(dst, channel, args, orEmpty(headers), orEmpty(closeHeaders)), s.scratch)
}

// stageLastForeign is emitLastForeign into what a batch has staged for the session.
func (s *Session) stageLastForeign(b *Batch, st *frames, channel uint64, args, headers, closeHeaders []byte) {
	args = orEmpty(args)
	dst := st.open(foreignSize(args), b.scratch)
	b.scratch = st.close(s.lastDialect.AppendLast(dst, channel, args, orEmpty(headers), orEmpty(closeHeaders)), b.scratch)
}

// foreignSize is about what frames with these arguments take in a dialect. It does not
// have to be right.
func foreignSize(args []byte) int { return len(args) + 4*maxHead }

// orEmpty is an array that a frame may have.
func orEmpty(array []byte) []byte {
	if array == nil {
		return emptyArray
	}
	return array
}
