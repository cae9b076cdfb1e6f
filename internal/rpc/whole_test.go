package rpc_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// wholesale records requests, taken whole or frame by frame, and answers each with
// what it got.
type wholesale struct {
	calls  []string // what was taken, the same text for both ways
	whole  int      // how many of them whole
	refuse bool     // take none whole
}

type wholesaleCall struct {
	w       *wholesale
	s       *rpc.Session
	channel uint64
	text    string
}

func (w *wholesale) Accept(_ *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame) rpc.Receiver {
	return &wholesaleCall{w, s, channel, fmt.Sprintf("%d: %d %q %v", channel, f.Type, f.Args, f.Headers)}
}

func (w *wholesale) AcceptCall(b *rpc.Batch, s *rpc.Session, channel uint64, first, write *rpc.Frame) bool {
	if w.refuse {
		return false
	}
	w.whole++
	c := w.Accept(b, s, channel, first).(*wholesaleCall)
	c.Receive(b, write)
	c.Receive(b, &rpc.Frame{Type: idl.Close, Args: []byte{0x90}})
	return true
}

func (c *wholesaleCall) Receive(b *rpc.Batch, f *rpc.Frame) bool {
	c.text += fmt.Sprintf(", %d %q %v", f.Type, f.Args, f.Headers)
	if f.Type == idl.Write {
		return false
	}
	c.w.calls = append(c.w.calls, c.text)
	c.s.StageLast(b, c.channel, []byte{0x91, 0xa2, 'o', 'k'}, nil, nil)
	return true
}

func (c *wholesaleCall) Lost(*rpc.Batch, error) {}

// requests are such as a client may send, and what they are in words.
func requests() (input []byte, count, canBeWhole int) {
	add := func(f wire.Frame) { input = wire.AppendFrame(input, f) }
	chunk := []byte{0x91, 0xa1, 'x'}
	var enc hpack.Encoder
	header := enc.Append(nil, []hpack.Header{{Name: "n", Value: "v"}})
	for _, channel := range []uint64{1, 2, 127, 128, 255, 256, 65536, 1 << 33} {
		add(wire.Frame{Channel: channel, Args: chunk, Headers: header})
		add(wire.Frame{Channel: channel, Args: chunk})
		add(wire.Frame{Channel: channel, Type: idl.Close})
		count++
		canBeWhole++
	}
	next := uint64(1 << 34)
	one := func(frames ...wire.Frame) {
		next++
		for _, f := range frames {
			f.Channel = next
			add(f)
		}
		count++
	}
	closing := wire.Frame{Type: idl.Close}
	one(wire.Frame{Args: chunk}, closing)                                                        // without a chunk
	one(wire.Frame{Args: chunk}, wire.Frame{Args: chunk}, wire.Frame{Args: chunk}, closing)      // two
	one(wire.Frame{Args: chunk}, wire.Frame{Args: chunk, Headers: header}, closing)              // with headers
	one(wire.Frame{Args: chunk}, wire.Frame{Type: idl.StreamError, Args: []byte{0x90}})          // an error
	one(wire.Frame{Type: 3, Args: chunk}, wire.Frame{Args: append([]byte{}, chunk...)}, closing) // another method
	canBeWhole++
	return input, count, canBeWhole
}

// A request means the same whether it is taken whole or frame by frame, and however
// it was cut on its way.
func TestWholeRequests(t *testing.T) {
	input, count, canBeWhole := requests()
	var want []string
	for at := range len(input) {
		for _, refuse := range []bool{true, false} {
			w := &wholesale{refuse: refuse}
			bubble(t, rpc.SessionOptions{Acceptor: w}, func(t *testing.T, p *rpctest.Peer) {
				if at > 0 {
					p.Write(input[:at])
					synctest.Wait()
				}
				p.Write(input[at:])
				synctest.Wait()
				if n := p.Session().Channels(); n != 0 {
					t.Errorf("%d channels are open", n)
				}
				for range count {
					if f := p.Recv(); f.Type != idl.Write {
						t.Fatalf("got %v, want the answer", f)
					}
					if f := p.Recv(); f.Type != idl.Close {
						t.Fatalf("got %v, want its end", f)
					}
				}
				p.WantIdle()
				p.Send(1<<34+5, idl.Close) // late
				p.WantIdle()
			})
			if want == nil {
				want = w.calls
			}
			if len(want) != count || !slices.Equal(w.calls, want) {
				t.Fatalf("cut at %d: got %q\nwant %q", at, w.calls, want)
			}
			if low := canBeWhole - 1; !refuse && (w.whole < low || w.whole > canBeWhole) {
				t.Fatalf("cut at %d: %d requests were taken whole, want %d or one less", at, w.whole, canBeWhole)
			}
		}
	}
}

// finish counts.
type finish struct {
	t    *testing.T
	s    *rpc.Session
	runs int
}

func (f *finish) Finish(b *rpc.Batch) {
	f.runs++
	f.s.StageLast(b, 7, []byte{0x91, 0xa1, 'f'}, nil, nil)
}

// What was put off to the end of a batch is done once, before it is written.
func TestFinally(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := rpctest.New(t, rpctest.Options{})
		f := &finish{t: t, s: p.Session()}
		for range 2 {
			rpc.Run(func(b *rpc.Batch) {
				b.Finally(f)
				_ = p.Session().Send(b, 6, idl.Write, []byte{0x91, 0xa1, 's'}, nil)
			})
		}
		if f.runs != 2 {
			t.Errorf("finished %d times, want 2", f.runs)
		}
		seen := map[uint64]int{}
		for range 6 {
			seen[p.Recv().Channel]++
		}
		if seen[6] != 2 || seen[7] != 4 {
			t.Errorf("frames by channel: %v, want 2 on 6 and 4 on 7", seen)
		}
	})
}

// Who has to say who he is does so also for requests that are taken whole, and whoever
// they go on to does not get to know how he proved it.
func TestWholeRequestsAreAuthenticated(t *testing.T) {
	me := hpack.Header{Name: hpack.Authorization, Value: "me"}
	for _, refuse := range []bool{true, false} {
		w := &wholesale{refuse: refuse}
		m := rpc.NewMux(kinds, rpc.MuxOptions{Authenticate: onlyMe})
		m.Raw("raw", w)
		bubble(t, rpc.SessionOptions{Acceptor: m}, func(t *testing.T, p *rpctest.Peer) {
			var input []byte
			for i, headers := range [][]hpack.Header{{me}, {{Name: "a", Value: "1"}, me, {Name: "b", Value: "2"}, me}, {{Name: "a", Value: "1"}}} {
				ch := uint64(i + 1)
				input = wire.AppendFrame(input, wire.Frame{Channel: ch, Type: kindRaw, Args: p.Args("x"), Headers: hpack.AppendLiterals(nil, headers)})
				input = wire.AppendFrame(input, wire.Frame{Channel: ch, Type: idl.Write, Args: p.Args("x")})
				input = wire.AppendFrame(input, wire.Frame{Channel: ch, Type: idl.Close})
			}
			p.Write(input)
			p.WantError(3, idl.CategoryGeneric, 13)
			for range 4 {
				if f := p.Recv(); f.Type != idl.Write && f.Type != idl.Close {
					t.Errorf("got %v", f)
				}
			}
			p.WantIdle()
		})
		if len(w.calls) != 2 || !strings.Contains(w.calls[0], "[],") || !strings.Contains(w.calls[1], "[{a 1} {b 2}]") {
			t.Errorf("taken whole: %v: the method got %q", !refuse, w.calls)
		}
		if want := map[bool]int{true: 0, false: 2}[refuse]; w.whole < want-1 {
			t.Errorf("%d requests were taken whole, want %d", w.whole, want)
		}
	}
}
