package rpc_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// An envelope is a dialect for tests: a length, then the frame, whose close comes
// with it. This side's frames get a length too, but for errors, which it has not.
type envelope struct{ frames []wire.Frame }

func (e *envelope) Next(buf []byte) (int, []wire.Frame, error) {
	if buf[0] == 0xff {
		return 0, nil, errors.New("bad envelope")
	}
	n := 1 + int(buf[0])
	if len(buf) < n {
		return 0, nil, wire.ErrShort
	}
	e.frames = e.frames[:0]
	if n > 1 {
		f, _, err := wire.Parse(buf[1:n], wire.Limits{})
		if err != nil {
			return 0, nil, err
		}
		e.frames = append(e.frames, f, wire.Frame{Channel: f.Channel, Type: idl.Close, Args: []byte{0x90}})
	}
	return n, e.frames, nil
}

func (e *envelope) Append(dst []byte, channel, typ uint64, args, headers []byte) []byte {
	if typ == idl.Error {
		return dst
	}
	f := wire.AppendFrame(nil, wire.Frame{Channel: channel, Type: typ, Args: args, Headers: headers})
	return append(append(dst, byte(len(f))), f...)
}

func recogniseEnvelope(buf []byte) (rpc.Dialect, error) {
	switch {
	case buf[0] != 0: // the first message of the dialect is empty
		return nil, nil
	case len(buf) < 2:
		return nil, wire.ErrShort
	}
	return new(envelope), nil
}

func enveloped(frames ...[]byte) []byte {
	out := []byte{0}
	for _, f := range frames {
		out = append(append(out, byte(len(f))), f...)
	}
	return out
}

// echoLast answers the end of a request.
type echoLast struct{}

func (e *echoLast) Accept(_ *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame) rpc.Receiver {
	return recvFunc(func(b *rpc.Batch, f *rpc.Frame) bool {
		_ = s.Send(b, channel, idl.Error, nil, nil)
		_ = s.SendLast(b, channel, []byte{0x91, 0xa1, 'a'}, nil, nil)
		s.StageLast(b, channel, []byte{0x91, 0xa1, 'b'}, nil, nil)
		_ = s.SendAll(channel, rpc.Outgoing{Type: 7})
		return true
	})
}

type recvFunc func(*rpc.Batch, *rpc.Frame) bool

func (f recvFunc) Receive(b *rpc.Batch, fr *rpc.Frame) bool { return f(b, fr) }
func (f recvFunc) Lost(*rpc.Batch, error)                   {}

// A peer that speaks a dialect is understood and answered in it, however its bytes
// are cut; one that does not is not disturbed.
func TestDialect(t *testing.T) {
	input := enveloped(frame(1, idl.Write, "x"), frame(2, idl.Write, "y"))
	var want []byte
	d := new(envelope)
	for _, channel := range []uint64{1, 2} {
		for _, x := range []string{"a", "b"} {
			want = d.Append(want, channel, idl.Write, []byte{0x91, 0xa1, x[0]}, []byte{0x90})
			want = d.Append(want, channel, idl.Close, []byte{0x90}, []byte{0x90})
		}
		want = d.Append(want, channel, 7, []byte{0x90}, []byte{0x90})
	}
	for at := range len(input) {
		bubble(t, rpc.SessionOptions{Acceptor: &echoLast{}, Recognise: recogniseEnvelope}, func(t *testing.T, p *rpctest.Peer) {
			if at > 0 {
				p.Write(input[:at])
				synctest.Wait()
			}
			p.Write(input[at:])
			got := make([]byte, len(want))
			for n := 0; n < len(got); {
				m, err := p.Conn().Read(got[n:])
				if err != nil {
					t.Fatal(err)
				}
				n += m
			}
			if !bytes.Equal(got, want) {
				t.Errorf("cut at %d: got %q\nwant %q", at, got, want)
			}
		})
	}
	bubble(t, rpc.SessionOptions{Acceptor: kindMux(rpc.MuxOptions{}), Recognise: recogniseEnvelope}, func(t *testing.T, p *rpctest.Peer) {
		p.Send(1, kindInline, "x")
		p.Want(1, idl.Value, "x")
	})
	for _, bad := range []string{"\x00\xff", "\x00\x01\xc1"} {
		bubble(t, rpc.SessionOptions{Acceptor: &echoLast{}, Recognise: recogniseEnvelope}, func(t *testing.T, p *rpctest.Peer) {
			p.Write([]byte(bad))
			p.WantClosed()
		})
	}
}

// A leaver is an envelope whose peers are left slowly.
type leaver struct{ envelope }

func (leaver) Leave() time.Duration { return 10 * time.Second }

// A session whose dialect wants it ends with the end of its output, and reads what its
// peer says until that has hung up as well, or the time is over.
func TestLeave(t *testing.T) {
	o := rpc.SessionOptions{Acceptor: &echoLast{}, Recognise: func([]byte) (rpc.Dialect, error) { return new(leaver), nil }}
	for name, hangUp := range map[string]bool{"the peer hangs up": true, "the peer stays": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, o, func(t *testing.T, p *rpctest.Peer) {
				p.Write([]byte{0})
				synctest.Wait()
				begun := time.Now()
				_ = p.Session().Close()
				p.WantClosed()
				for range 3 { // and is heard, to no effect
					time.Sleep(time.Second)
					p.Write(enveloped(frame(1, idl.Write, "x")))
				}
				want := 10 * time.Second
				if hangUp {
					p.Close()
					want = 3 * time.Second
				}
				p.Session().Wait()
				if took := time.Since(begun); took != want {
					t.Errorf("the session ended after %v, want %v", took, want)
				}
				if err := p.Session().Err(); !errors.Is(err, rpc.ErrClosed) {
					t.Error(err)
				}
			})
		})
	}
}

// A session knows the dialect of its peer once something was said.
func TestSessionDialect(t *testing.T) {
	bubble(t, rpc.SessionOptions{Acceptor: &echoLast{}, Recognise: recogniseEnvelope}, func(t *testing.T, p *rpctest.Peer) {
		p.Write([]byte{0, 0})
		synctest.Wait()
		if _, ok := p.Session().Dialect().(*envelope); !ok {
			t.Errorf("the dialect is %T", p.Session().Dialect())
		}
	})
}

// What follows a message of a dialect is in that dialect, too: bytes that would be the
// rest of a request in the ordinary one are not taken for it.
func TestDialectIsNotTakenForTheOrdinaryOne(t *testing.T) {
	w := new(wholesale)
	chunk := frame(1, idl.Write, "x")
	as := rpc.SessionOptions{Acceptor: w, Recognise: func([]byte) (rpc.Dialect, error) { return new(twoSided), nil }}
	bubble(t, as, func(t *testing.T, p *rpctest.Peer) {
		p.Write(append(append(append([]byte{}, chunk...), chunk...), frame(1, idl.Close)...))
		synctest.Wait()
		if w.whole != 0 {
			t.Errorf("%d requests were taken whole", w.whole)
		}
	})
}

// twoSided is a dialect whose messages look like ordinary frames and open a channel
// each.
type twoSided struct {
	last  uint64
	frame [1]wire.Frame
}

func (d *twoSided) Next(buf []byte) (int, []wire.Frame, error) {
	f, n, err := wire.Parse(buf, wire.Limits{})
	d.last++
	d.frame[0] = wire.Frame{Channel: d.last, Type: f.Type, Args: f.Args}
	return n, d.frame[:], err
}

func (d *twoSided) Append(dst []byte, _, _ uint64, _, _ []byte) []byte { return dst }

// A lastEnvelope says the last frames of a channel in one envelope, and how often.
type lastEnvelope struct {
	envelope
	said int
}

func (e *lastEnvelope) AppendLast(dst []byte, channel uint64, args, headers, closeHeaders []byte) []byte {
	e.said++
	f := wire.AppendFrame(nil, wire.Frame{Channel: channel, Type: idl.Write, Args: args, Headers: headers})
	f = wire.AppendFrame(f, wire.Frame{Channel: channel, Type: idl.Close, Args: []byte{0x90}, Headers: closeHeaders})
	return append(append(dst, byte(len(f))), f...)
}

// stager answers each request with a chunk and the last frames, staged.
type stager struct{ last []byte }

func (a *stager) Accept(_ *rpc.Batch, s *rpc.Session, channel uint64, _ *rpc.Frame) rpc.Receiver {
	return recvFunc(func(b *rpc.Batch, _ *rpc.Frame) bool {
		_ = s.Send(b, channel, idl.Write, []byte{0x91, 0xa1, 'a'}, nil)
		s.StageLast(b, channel, a.last, nil, nil)
		return true
	})
}

// The last frames of a channel are staged in the peer's dialect if that can say them,
// whatever their size, and come behind what was sent before.
func TestStagedDialect(t *testing.T) {
	for _, size := range []int{0, 1, 200} {
		last := append([]byte{0x91, 0xd9, byte(size)}, make([]byte, size)...)
		d := new(lastEnvelope)
		var sent, staged, input []byte
		twin := new(lastEnvelope)
		for channel := uint64(1); channel <= 100; channel++ {
			input = append(input, enveloped(frame(channel, idl.Write, "x"))[1:]...)
			sent = twin.Append(sent, channel, idl.Write, []byte{0x91, 0xa1, 'a'}, []byte{0x90})
			staged = twin.AppendLast(staged, channel, last, []byte{0x90}, []byte{0x90})
		}
		recognise := func([]byte) (rpc.Dialect, error) { return d, nil }
		bubble(t, rpc.SessionOptions{Acceptor: &stager{last}, Recognise: recognise}, func(t *testing.T, p *rpctest.Peer) {
			p.Write(input)
			got := make([]byte, len(sent)+len(staged))
			if _, err := io.ReadFull(p.Conn(), got); err != nil {
				t.Fatal(err)
			}
			if want := append(sent, staged...); !bytes.Equal(got, want) {
				t.Errorf("last chunk of %d bytes: got %q\nwant %q", size, got, want)
			}
			if d.said != 100 {
				t.Errorf("%d channels ended in one step, want 100", d.said)
			}
		})
	}
}
