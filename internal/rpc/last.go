package rpc

import (
	"encoding/binary"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// A LastReceiver is the Receiver of a stream (0 write, 1 error, 2 close) that can
// take a chunk and the end of the stream in one step, which is how nearly every
// request and every answer ends. Who forwards takes each lock once for both.
type LastReceiver interface {
	Receiver
	// ReceiveLast does what Receive would for the write, and then for a close
	// without headers. The receiving half is closed when it returns.
	ReceiveLast(b *Batch, write *Frame)
}

// A CallAcceptor is an Acceptor that can take a whole request in one step: the first
// frame, one chunk and the end of the stream, which is what most requests are and
// how they mostly arrive.
type CallAcceptor interface {
	Acceptor
	// AcceptCall does what Accept would with the first frame, and its Receiver with
	// the write and a close without headers: the receiving half is closed when it
	// returns. It returns false, having done nothing, for a request that it wants
	// frame by frame.
	AcceptCall(b *Batch, s *Session, channel uint64, first, write *Frame) bool
}

// acceptWhole hands the frame in s.frame, the first of its channel, to the Acceptor
// together with the write and the close behind it. It returns false, having done
// nothing, if they are not there or the Acceptor does not take them so.
func (s *Session) acceptWhole(channel uint64) bool {
	next := s.buf[s.r:s.w]
	if !writeBehind(s.buf[s.start:s.r], next) {
		return false
	}
	f, n, err := s.scanner.Next(next) // an error shows again when it is this frame's turn
	if err != nil || len(f.Headers) > 1 {
		return false
	}
	end := closeBehind(next[:n], next[n:])
	if end == 0 {
		return false
	}
	s.chunk = Frame{Type: idl.Write, Args: f.Args}
	if !s.whole.AcceptCall(&s.batch, s, channel, &s.frame, &s.chunk) {
		return false
	}
	s.r += n + end
	s.frames += 2
	s.finished[channel%recent] = channel
	return true
}

// writeBehind reports whether next begins with a write on the channel of frame.
func writeBehind(frame, next []byte) bool {
	k := 1 + channelSize(frame[1])
	return frame[0]&0xf0 == 0x90 && k > 1 && len(next) > k && (next[0] == 0x93 || next[0] == 0x94) &&
		sameChannel(frame, next, k) && next[k] == idl.Write
}

// closeBehind returns the size of the frame at the start of next if it is a close
// without headers on the channel of frame, else 0. Both are compared as bytes: a
// close in another encoding takes the ordinary way.
func closeBehind(frame, next []byte) int {
	k := 1 + channelSize(frame[1])
	if frame[0]&0xf0 != 0x90 || k == 1 || len(next) < k+2 || !sameChannel(frame, next, k) || next[k] != idl.Close || next[k+1] != 0x90 {
		return 0
	}
	switch {
	case next[0] == 0x93:
		return k + 2
	case next[0] == 0x94 && len(next) > k+2 && next[k+2] == 0x90:
		return k + 3
	}
	return 0
}

// sameChannel reports whether two frames have the same channel number, which ends at
// k in the first. Both are longer than that.
func sameChannel(a, b []byte, k int) bool {
	if a[1] != b[1] {
		return false
	}
	switch k {
	case 2:
		return true
	case 4:
		return a[2] == b[2] && a[3] == b[3]
	case 6:
		return binary.LittleEndian.Uint32(a[2:]) == binary.LittleEndian.Uint32(b[2:])
	}
	return string(a[2:k]) == string(b[2:k])
}

// channelSize is how many bytes a channel number takes, by its first one; 0 for
// encodings that nobody uses.
func channelSize(tag byte) int {
	switch {
	case tag < 0x80:
		return 1
	case tag >= 0xcc && tag <= 0xcf:
		return 1 + 1<<(tag-0xcc)
	}
	return 0
}

// dispatchLast hands a write and the close behind it to their channel. It returns
// false, having done nothing, if the channel's Receiver can not take both.
func (s *Session) dispatchLast(f wire.Frame) bool {
	if f.Channel != s.cur.id || s.cur.r == nil {
		s.spill()
		if !s.takeLast(f.Channel) {
			return false
		}
	}
	r, ok := s.cur.r.(LastReceiver)
	if !ok {
		return false
	}
	known := s.cur.known
	s.frame = Frame{Type: f.Type, Args: f.Args}
	r.ReceiveLast(&s.batch, &s.frame)
	s.cur = current{}
	s.finished[f.Channel%recent] = f.Channel
	if known {
		s.forget(f.Channel)
	}
	return true
}

// takeLast makes a channel of the table the current one and takes it out, because
// its receiving half is about to be closed.
func (s *Session) takeLast(channel uint64) bool {
	r := s.table.claim(channel)
	if r == nil {
		return false
	}
	s.cur = current{id: channel, r: r}
	return true
}

// SendLast is Send for a write and the close behind it.
func (s *Session) SendLast(b *Batch, channel uint64, args, headers, closeHeaders []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.emitLast(channel, args, headers, closeHeaders)
	s.out.touch(b)
	return nil
}

// emitLast appends a write and the close behind it in the language of the peer.
// Called with mu held.
func (s *Session) emitLast(channel uint64, args, headers, closeHeaders []byte) {
	if s.dialect != nil {
		s.emitLastForeign(channel, args, headers, closeHeaders)
		return
	}
	s.out.appendLast(channel, args, headers, closeHeaders)
}

// StageLast is SendLast for the last frames of a channel, after which nobody sends
// anything on it any more. They go to the session with the batch, which costs
// nothing for each of them. A session that has ended drops them.
func (s *Session) StageLast(b *Batch, channel uint64, args, headers, closeHeaders []byte) {
	foreign := s.dialect != nil // the dialect is that of a channel that was opened before
	if foreign && s.lastDialect == nil {
		_ = s.SendLast(b, channel, args, headers, closeHeaders)
		return
	}
	st := b.stage(s)
	switch {
	case st == nil:
		_ = s.SendLast(b, channel, args, headers, closeHeaders) // a session that has ended drops them
	case foreign:
		s.stageLastForeign(b, st, channel, args, headers, closeHeaders)
	default:
		st.appendLast(channel, args, headers, closeHeaders)
	}
}

// OpenLast is Open for a channel whose first frame, one chunk and end leave together.
// The headers of the latter two are echo.
func (s *Session) OpenLast(b *Batch, r Receiver, typ uint64, args, headers, chunk, echo []byte) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, err := s.number()
	if err != nil {
		return 0, err
	}
	s.put(id, r)
	s.emit(id, typ, args, headers)
	s.emitLast(id, chunk, echo, echo)
	s.out.touch(b)
	return id, nil
}
