package unicorn_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
	"github.com/cocaine/cocaine-go/internal/unicorn"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// play connects to a service over a store.
func play(t *testing.T, s unicorn.Store) *rpctest.Peer {
	t.Helper()
	return rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: unicorn.Service(s, rpc.MuxOptions{})}})
}

// A golden frame is in hex; what stands in parentheses is for the reader.
func golden(t *testing.T, s string) []byte {
	t.Helper()
	for {
		open, end := strings.IndexByte(s, '('), strings.IndexByte(s, ')')
		if open < 0 {
			break
		}
		s = s[:open] + s[end+1:]
	}
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func wantBytes(t *testing.T, p *rpctest.Peer, what string, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if err := p.Conn().SetReadDeadline(time.Now().Add(rpctest.Patience)); err != nil {
		t.Fatal(err)
	}
	if n, err := io.ReadFull(p.Conn(), got); err != nil {
		t.Fatalf("%s: got %x, then %v; want %x", what, got[:n], err, want)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s: got\n%x, want\n%x", what, got, want)
	}
}

// TestServiceBytes pins the frames: requests as old clients send them, with three
// elements, and the answers as they expect them, with four.
func TestServiceBytes(t *testing.T) {
	p := play(t, openMemory(t))
	for _, step := range []struct{ what, send, want string }{
		{"get of a missing node", "93 01 03 91 a4(/g/a) 2f672f61", "94 01 00 91 92 c0 ff 90"},
		{"create", "93 02 04 92 a4 2f672f61 a5(hello) 68656c6c6f", "94 02 00 91 c3 90"},
		{"get", "93 03 03 91 a4 2f672f61", "94 03 00 91 92 a5 68656c6c6f 00 90"},
		{"its close, which is late", "93 03 00 90", ""},
		{"put", "93 04 02 93 a4 2f672f61 81a16b 94 01 cb4004000000000000 c3 c0 00",
			"94 04 00 92 c3 92 81a16b 94 01 cb4004000000000000 c3 c0 01 90"},
		{"put of an old version", "93 05 02 93 a4 2f672f61 a178 00",
			"94 05 00 92 c2 92 81a16b 94 01 cb4004000000000000 c3 c0 01 90"},
		{"put of a number", "93 06 02 93 a4 2f672f61 2a 01", "94 06 00 92 c3 92 2a 02 90"},
		{"increment", "93 07 07 92 a4 2f672f61 08", "94 07 00 91 92 32 03 90"},
		{"increment of a missing node", "93 08 07 92 a4(/g/n) 2f672f6e 05", "94 08 00 91 92 05 00 90"},
		{"subscribe", "93 09 00 91 a4 2f672f61", "94 09 00 91 92 32 03 90"},
		{"close of the subscription", "93 09 00 90", ""},
		{"subscribe to a missing node", "93 0a 00 91 a4(/g/m) 2f672f6d", "94 0a 00 91 92 c0 ff 90"},
		{"children_subscribe", "93 0b 01 91 a2(/g) 2f67", "94 0b 00 92 02(two have come) 92 a161 a16e 90"},
		{"its close", "93 0b 00 90", ""},
		{"lock", "93 0c 08 91 a4(/h/l) 2f682f6c", "94 0c 00 91 c3 90"},
		{"its close", "93 0c 00 90", ""},
		{"named_lock", "93 0d 09 92 a4(/h/k) 2f682f6b a3(own) 6f776e", "94 0d 00 91 c3 90"},
		{"del", "93 0e 05 92 a4(/g/n) 2f672f6e 00", "94 0e 00 91 c3 90"},
		{"remove", "93 0f 06 92 a4(/g/a) 2f672f61 ff", "94 0f 00 91 c3 90"},
		{"an error", "93 10 06 92 a4(/g/a) 2f672f61 ff", "94 10 01 92 92 0b 08 da0024(36 bytes) " +
			hex.EncodeToString([]byte("[8] cannot remove /g/a: no such node")) + " 90"},
		{"create with the newer msgpack", "94 11 04 92 d904(/g/z) 2f672f7a c403(raw) 726177 90", "94 11 00 91 c3 90"},
		{"get, verbatim", "94 12 03 91 c404 2f672f7a 90", "94 12 00 91 92 c403 726177 00 90"},
		{"ping", "93 13 cdfffd 90", "94 13 00 90 90"},
	} {
		p.Write(golden(t, step.send))
		wantBytes(t, p, step.what, golden(t, step.want))
	}
}

func TestServiceSubscriptions(t *testing.T) {
	p := play(t, openMemory(t))
	p.Send(1, idl.UnicornSubscribe, "/p/a")
	p.Want(1, idl.Write, []any{nil, -1})
	p.Send(2, idl.UnicornCreate, "/p/a", "v")
	wantInAnyOrder(t, p, frame(p, 1, idl.Write, []any{"v", 0}), frame(p, 2, idl.Value, true))
	p.Send(3, idl.UnicornPut, "/p/a", "w", 0)
	wantInAnyOrder(t, p, frame(p, 1, idl.Write, []any{"w", 1}), frame(p, 3, idl.Value, true, []any{"w", 1}))
	p.Send(4, idl.UnicornDel, "/p/a", 1)
	for range 2 { // the answer, and the end of the subscription
		f := p.Recv()
		switch f.Channel {
		case 1:
			wantCode(t, f, idl.UnicornNoNode)
		case 4:
			if f.Type != idl.Value {
				t.Errorf("del is answered with %v", f)
			}
		}
	}
	p.Send(1, idl.UnicornClose) // as a client does that has not seen the end yet
	p.Send(5, idl.UnicornChildrenSubscribe, "/none")
	p.WantError(5, idl.CategoryUnicorn, idl.UnicornNoNode)
	p.Send(6, idl.UnicornCreate, "/q", 1)
	p.Want(6, idl.Value, true)
	p.Send(7, idl.UnicornSubscribe, "/q")
	p.Want(7, idl.Write, []any{1, 0})
	p.Send(8, idl.UnicornCreate, "/q/c", 1)
	p.Want(8, idl.Value, true) // which is no change of the value
	p.Send(80, idl.UnicornPut, "/q", 2, 0)
	for range 2 {
		if f := p.Recv(); f.Channel == 7 {
			wantCode(t, f, idl.UnicornHasChildren)
		}
	}
	p.Send(90, idl.UnicornSubscribe, "/q")
	p.WantError(90, idl.CategoryUnicorn, idl.UnicornHasChildren)
}

// What changes after a subscription was closed is not told to it, though the close and
// the change come at once.
func TestServiceChangeRightAfterClose(t *testing.T) {
	p := play(t, openMemory(t))
	p.Send(1, idl.UnicornCreate, "/a", 0)
	p.Want(1, idl.Value, true)
	put := idl.Unicorn.Method("put").ID
	ch := uint64(1)
	for version := range 200 {
		p.Send(ch+1, idl.UnicornSubscribe, "/a")
		p.Want(ch+1, idl.Write, []any{version, version})
		both := wire.AppendFrame(nil, wire.Frame{Channel: ch + 1, Type: idl.UnicornClose})
		both = wire.AppendFrame(both, wire.Frame{Channel: ch + 2, Type: put, Args: p.Args("/a", version+1, version)})
		p.Write(both)
		p.Want(ch+2, idl.Value, true, []any{version + 1, version + 1})
		ch += 2
	}
}

// A message is a frame without its headers.
type message struct {
	channel, typ uint64
	args         string
}

func frame(p *rpctest.Peer, channel, typ uint64, args ...any) message {
	return message{channel, typ, string(p.Args(args...))}
}

func wantInAnyOrder(t *testing.T, p *rpctest.Peer, want ...message) {
	t.Helper()
	for len(want) > 0 {
		f := p.Recv()
		i := slices.Index(want, message{f.Channel, f.Type, string(f.Args)})
		if i < 0 {
			t.Fatalf("got frame %v, want one of %v", f, want)
		}
		want = slices.Delete(want, i, i+1)
	}
}

// wantCode wants an error of unicorn.
func wantCode(t *testing.T, f rpctest.Frame, code int) {
	t.Helper()
	e, err := rpc.DecodeError(f.Args)
	if f.Type != idl.Error || err != nil || e.Category != idl.CategoryUnicorn || e.Code != code {
		t.Errorf("got frame %v, want error [11, %d]", f, code)
	}
}

// TestServiceNothingAfterClose: the answer to the end of a channel is silence.
func TestServiceNothingAfterClose(t *testing.T) {
	p := play(t, openMemory(t))
	p.Send(1, idl.UnicornCreate, "/a", 1)
	p.Want(1, idl.Value, true)
	p.Send(2, idl.UnicornSubscribe, "/a")
	p.Want(2, idl.Write, []any{1, 0})
	p.Send(3, idl.UnicornChildrenSubscribe, "/a")
	p.Recv()
	p.Send(4, idl.UnicornLock, "/l")
	p.Want(4, idl.Write, true)
	p.Send(5, idl.UnicornLock, "/l")
	for channel := range uint64(3) {
		p.Send(channel+2, idl.UnicornClose)
	}
	p.Want(5, idl.Write, true)                         // the lock goes on
	p.Send(6, idl.Revoke, 5, []any{1, 2})              // as closing does
	p.Want(6, idl.Value)                               // revoke's own
	p.Send(7, idl.UnicornNamedLock, "/l", "the third") // waits until 5 is gone
	p.Want(7, idl.Write, true)
	p.Send(8, idl.UnicornPut, "/a", 2, 0)
	p.Want(8, idl.Value, true, []any{2, 1}) // and nothing else
	p.Send(9, idl.UnicornGet, "/l/lock0000000002")
	p.Want(9, idl.Value, []any{"the third", 0})
}

// TestServiceLocksEndWithTheConnection: whoever goes gives up what he holds and what
// he waits for.
func TestServiceLocksEndWithTheConnection(t *testing.T) {
	s := openMemory(t)
	a, b, c := play(t, s), play(t, s), play(t, s)
	a.Send(1, idl.UnicornLock, "/l")
	a.Want(1, idl.Write, true)
	b.Send(1, idl.UnicornLock, "/l")
	b.Send(2, idl.UnicornSubscribe, "/l/lock0000000001")
	for b.Recv().Values()[0].([]any)[0] == nil { // until it is in the queue
	}
	c.Send(1, idl.UnicornLock, "/l")
	b.Close()
	b.Session().Wait()
	a.Close()
	c.Want(1, idl.Write, true)
}

// TestServiceSlowSubscriber: who does not read costs no more than his buffers, and in
// the end has the newest value.
func TestServiceSlowSubscriber(t *testing.T) {
	const puts, size, buffer = 200, 10_000, 64 << 10
	s := openMemory(t)
	p := rpctest.New(t, rpctest.Options{Buffer: 4 << 10,
		Session: rpc.SessionOptions{Buffer: buffer, Acceptor: unicorn.Service(s, rpc.MuxOptions{})}})
	value := strings.Repeat("x", size)
	if err := s.Create(t.Context(), "/a", text("")); err != nil {
		t.Fatal(err)
	}
	p.Send(1, idl.UnicornSubscribe, "/a")
	p.Want(1, idl.Write, []any{"", 0})
	long := append([]byte{0xda, size >> 8, size & 0xff}, value...)
	for version := range int64(puts) {
		if _, _, err := s.Put(t.Context(), "/a", long, version); err != nil {
			t.Fatal(err)
		}
	}
	frames, last := 0, int64(0)
	for last != puts {
		frames++
		_, version := versioned(p.Recv().Values()[0])
		if version <= last {
			t.Fatalf("version %d comes after %d", version, last)
		}
		last = version
	}
	if most := (buffer+4<<10)/size + 4; frames > most {
		t.Errorf("there were %d messages, at most %d fit in the buffers", frames, most)
	}
}

func TestServiceLimitsSubscriptions(t *testing.T) {
	p := rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Streams: 2,
		Acceptor: unicorn.Service(openMemory(t), rpc.MuxOptions{})}})
	p.Send(1, idl.UnicornSubscribe, "/a")
	p.Want(1, idl.Write, []any{nil, -1})
	p.Send(2, idl.UnicornLock, "/l")
	p.Want(2, idl.Write, true)
	for channel, method := range []uint64{idl.UnicornSubscribe, idl.UnicornChildrenSubscribe, idl.UnicornLock} {
		p.Send(uint64(3+channel), method, "/l")
		p.WantError(uint64(3+channel), idl.CategoryDispatch, 6)
	}
	p.Send(6, idl.UnicornGet, "/a")
	p.Want(6, idl.Value, []any{nil, -1})
}

func TestServiceLostLock(t *testing.T) {
	p := play(t, openMemory(t))
	p.Send(1, idl.UnicornLock, "/l")
	p.Want(1, idl.Write, true)
	p.Send(2, idl.UnicornDel, "/l/lock0000000000", -1)
	for range 2 {
		if f := p.Recv(); f.Channel == 1 {
			wantCode(t, f, idl.UnicornNoNode)
		}
	}
}

// TestServiceStoreCloses: clients are told that what they hold is over.
func TestServiceStoreCloses(t *testing.T) {
	s := unicorn.NewMemory()
	p := play(t, s)
	p.Send(1, idl.UnicornLock, "/l")
	p.Want(1, idl.Write, true)
	p.Send(2, idl.UnicornSubscribe, "/a")
	p.Want(2, idl.Write, []any{nil, -1})
	s.Close()
	for range 2 {
		wantCode(t, p.Recv(), idl.UnicornConnectionLost)
	}
	p.Send(3, idl.UnicornGet, "/a")
	p.WantError(3, idl.CategoryUnicorn, idl.UnicornConnectionLost)
	p.Send(4, idl.UnicornCreate, "/a", 1)
	p.WantError(4, idl.CategoryUnicorn, idl.UnicornConnectionLost)
	p.Send(5, idl.UnicornLock, "/l")
	p.WantError(5, idl.CategoryUnicorn, idl.UnicornConnectionLost)
	p.Send(6, idl.UnicornSubscribe, "/a")
	p.WantError(6, idl.CategoryUnicorn, idl.UnicornConnectionLost)
}

func TestServiceErrors(t *testing.T) {
	p := play(t, openMemory(t))
	channel := uint64(0)
	want := func(category, code int, typ uint64, args ...any) {
		t.Helper()
		channel++
		p.Send(channel, typ, args...)
		text := p.WantError(channel, category, code)
		if category == idl.CategoryUnicorn && !strings.HasPrefix(text, "[") {
			t.Errorf("the text is %q", text)
		}
	}
	const u, dispatch = idl.CategoryUnicorn, idl.CategoryDispatch
	// Arguments that do not decode.
	want(dispatch, 2, idl.UnicornGet)
	want(dispatch, 2, idl.UnicornGet, 1)
	want(dispatch, 2, idl.UnicornGet, nil)
	want(dispatch, 2, idl.UnicornSubscribe)
	want(dispatch, 2, idl.UnicornChildrenSubscribe, []any{})
	want(dispatch, 2, idl.UnicornLock)
	want(dispatch, 2, idl.UnicornNamedLock, "/l")
	want(dispatch, 2, idl.UnicornCreate, "/a")
	want(dispatch, 2, idl.UnicornPut, "/a", 1)
	want(dispatch, 2, idl.UnicornPut, "/a", 1, "0")
	want(dispatch, 2, idl.UnicornPut, "/a", 1, nil)
	want(dispatch, 2, idl.UnicornPut, "/a", 1, uint64(1<<63))
	want(dispatch, 2, idl.UnicornDel, "/a")
	want(dispatch, 2, idl.UnicornRemove, "/a", 1.5)
	want(dispatch, 2, idl.UnicornIncrement, "/a")
	want(dispatch, 5, 10)
	// What the tree refuses.
	want(u, idl.UnicornBadPath, idl.UnicornGet, "/")
	want(u, idl.UnicornBadPath, idl.UnicornGet, "nopath")
	want(u, idl.UnicornBackendInternal, idl.UnicornCreate, "/a/../b", 1)
	want(u, idl.UnicornBackendInternal, idl.UnicornCreate, "/\U0001f600", 1)
	want(u, idl.UnicornBackendInternal, idl.UnicornSubscribe, "/a/")
	want(u, idl.UnicornBackendInternal, idl.UnicornGet, "/a//b")
	want(u, idl.UnicornBackendInternal, idl.UnicornLock, "/.")
	want(u, idl.UnicornBadPath, idl.UnicornChildrenSubscribe, "/")
	want(u, idl.UnicornBadPath, idl.UnicornLock, "")
	want(u, idl.UnicornVersionMismatch, idl.UnicornPut, "/new", "v", -1)
	want(u, idl.UnicornNoNode, idl.UnicornPut, "/new", "v", 0)
	want(u, idl.UnicornNoNode, idl.UnicornDel, "/new", -1)
	want(u, idl.UnicornNoNode, idl.UnicornIncrement, "/new/n", 1)
	want(u, idl.UnicornBadType, idl.UnicornIncrement, "/n", "1")
	want(12, 27, idl.UnicornCreate, "/big", strings.Repeat("x", unicorn.MaxValue))
	channel++
	p.Send(channel, idl.UnicornCreate, "/p/c", "v")
	p.Want(channel, idl.Value, true)
	want(u, idl.UnicornNodeExists, idl.UnicornCreate, "/p", 1)
	want(u, idl.UnicornHasChildren, idl.UnicornGet, "/p")
	want(u, idl.UnicornBackendInternal, idl.UnicornDel, "/p", -1)
	want(u, idl.UnicornVersionMismatch, idl.UnicornDel, "/p/c", 77)
	want(u, idl.UnicornBadType, idl.UnicornIncrement, "/p/c", 1)
	// What was made for a child has no value, until somebody puts one.
	channel++
	p.Send(channel, idl.UnicornCreate, "/q/c", "v")
	p.Want(channel, idl.Value, true)
	want(u, idl.UnicornBadValue, idl.UnicornIncrement, "/q", 1)
	channel++
	p.Send(channel, idl.UnicornDel, "/q/c", 0)
	p.Want(channel, idl.Value, true)
	want(u, idl.UnicornBadValue, idl.UnicornGet, "/q")
	want(u, idl.UnicornBadValue, idl.UnicornSubscribe, "/q")
	want(u, idl.UnicornBadValue, idl.UnicornPut, "/q", "v", 1)
	want(u, idl.UnicornBadValue, idl.UnicornIncrement, "/q", 1)
	channel++
	p.Send(channel, idl.UnicornPut, "/q", "v", 0)
	p.Want(channel, idl.Value, true, []any{"v", 1})
	// A value that could be sent, but not sent back.
	deep := bytes.Repeat([]byte{0x91}, 29)
	channel++
	p.Write(slices.Concat([]byte{0x93, byte(channel), idl.UnicornCreate, 0x92, 0xa2, '/', 'd'}, deep, []byte{0x90}))
	p.WantError(channel, dispatch, 2)
	// A map that clients of the original cannot hold.
	channel++
	p.Write([]byte{0x93, byte(channel), idl.UnicornPut, 0x93, 0xa2, '/', 'd', 0x81, 1, 2, 0})
	p.WantError(channel, dispatch, 2)
	// The connection has survived all that.
	channel++
	p.Send(channel, idl.UnicornGet, "/p/c")
	p.Want(channel, idl.Value, []any{"v", 0})
}

// failing is a store whose engine fails.
type failing struct {
	unicorn.Store
	err error
}

func (f failing) Create(context.Context, string, []byte) error { return f.err }

func TestServiceFailures(t *testing.T) {
	for _, tt := range []struct {
		err            error
		category, code int
	}{
		{errors.New("the disk is on fire"), idl.CategoryUnicorn, idl.UnicornBackend},
		{unicorn.ErrDamaged, idl.CategoryUnicorn, idl.UnicornBadValue},
		{context.DeadlineExceeded, idl.CategoryGeneric, 110},
	} {
		p := play(t, failing{err: tt.err})
		p.Send(1, idl.UnicornCreate, "/a", 1)
		p.WantError(1, tt.category, tt.code)
	}
}

// FuzzArguments: what a client sends is refused, or survives being written.
func FuzzArguments(f *testing.F) {
	for _, args := range [][]any{{"/a"}, {"/a", 1}, {"/a", "v", 0}, {"/a", map[string]any{"k": []any{1, 2.5, nil}}, -1}, {1, 2, 3}, {}} {
		b, err := msgpack.AppendValue(nil, args)
		if err != nil {
			f.Fatal(err)
		}
		for method := range uint8(11) {
			f.Add(b, method)
		}
	}
	f.Fuzz(unicorn.CheckArguments)
}
