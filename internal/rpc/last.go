package rpc

import (
	"bytes"

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

// closeBehind returns the size of the frame at the start of next if it is a close
// without headers on the channel of frame, else 0. Both are compared as bytes: a
// close in another encoding takes the ordinary way.
func closeBehind(frame, next []byte) int {
	k := 1 + channelSize(frame[1])
	if frame[0]&0xf0 != 0x90 || k == 1 || len(next) < k+2 || !bytes.Equal(next[1:k], frame[1:k]) || next[k] != idl.Close || next[k+1] != 0x90 {
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
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.table.get(channel).(LastReceiver)
	if !ok {
		return false
	}
	s.drop(channel)
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
	s.out.append(b, channel, idl.Write, args, headers)
	s.out.append(b, channel, idl.Close, nil, closeHeaders)
	return nil
}
