package cache_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/internal/cache"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
	"github.com/cocaine/cocaine-go/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func play(t testing.TB, c *cache.Cache) *client {
	return &client{Peer: rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: cache.Service(c, rpc.MuxOptions{})}})}
}

// client makes one call after the other.
type client struct {
	*rpctest.Peer
	channel uint64
}

func (c *client) put(key, value string) {
	c.channel++
	c.Send(c.channel, idl.CachePut, key, value)
	c.Want(c.channel, idl.Value)
}

func (c *client) wantValue(key, value string) {
	c.channel++
	c.Send(c.channel, idl.CacheGet, key)
	c.Want(c.channel, idl.Value, true, value)
}

func (c *client) wantMissing(key string) {
	c.channel++
	c.Send(c.channel, idl.CacheGet, key)
	c.Want(c.channel, idl.Value, false, "")
}

// TestConversation is one with the original: the same requests, byte for byte, and
// the answers in the same order, without the headers of untraced frames.
func TestConversation(t *testing.T) {
	p := play(t, cache.New(cache.Options{}))
	for _, step := range []struct{ send, args string }{
		{"93010091a16b", "92c2a0"},
		{"93020192a16ba176", "90"},
		{"93030091a16b", "92c3a176"},
	} {
		b, err := hex.DecodeString(step.send)
		if err != nil {
			t.Fatal(err)
		}
		p.Write(b)
		f := p.Recv()
		if got := hex.EncodeToString(f.Args); got != step.args || f.Type != idl.Value || f.Channel != uint64(b[1]) {
			t.Errorf("%s is answered with %v, want arguments %s", step.send, f, step.args)
		}
	}
}

func TestReplace(t *testing.T) {
	c := cache.New(cache.Options{})
	p := play(t, c)
	p.put("k", "one")
	p.put("k", "another one")
	p.wantValue("k", "another one")
	p.put("", "an empty key is a key")
	p.wantValue("", "an empty key is a key")
	p.put("empty", "")
	p.wantValue("empty", "")
	if c.Len() != 3 {
		t.Errorf("%d entries, want 3", c.Len())
	}
}

func TestEntriesAreBounded(t *testing.T) {
	c := cache.New(cache.Options{MaxEntries: 3})
	p := play(t, c)
	for _, k := range []string{"a", "b", "c"} {
		p.put(k, "value of "+k)
	}
	p.wantValue("a", "value of a") // now b is the one not used for the longest
	p.put("d", "value of d")
	p.wantMissing("b")
	for _, k := range []string{"a", "c", "d"} {
		p.wantValue(k, "value of "+k)
	}
	p.put("a", "new") // used, and nothing has to go
	p.put("e", "value of e")
	p.wantMissing("c")
	p.wantValue("a", "new")
	if c.Len() != 3 {
		t.Errorf("%d entries, want 3", c.Len())
	}
}

func TestBytesAreBounded(t *testing.T) {
	c := cache.New(cache.Options{MaxBytes: 1000})
	p := play(t, c)
	value := strings.Repeat("v", 300)
	for _, k := range []string{"a", "b", "c"} {
		p.put(k, value)
	}
	p.put("d", value)
	p.wantMissing("a")
	p.put("e", strings.Repeat("v", 600)) // takes the room of two
	p.wantMissing("b")
	p.wantMissing("c")
	p.wantValue("d", value)
	if c.Len() != 2 || c.Bytes() > 1000 || c.Bytes() < 900 {
		t.Errorf("%d entries of %d bytes", c.Len(), c.Bytes())
	}
	// What would not fit alone displaces nothing.
	p.channel++
	p.Send(p.channel, idl.CachePut, "f", strings.Repeat("v", 1000))
	if text := p.WantError(p.channel, idl.CategoryGeneric, int(syscall.EFBIG)); !strings.Contains(text, "larger than the cache") {
		t.Errorf("the error reads %q", text)
	}
	p.wantMissing("f")
	p.wantValue("d", value)
}

func TestRefuses(t *testing.T) {
	p := play(t, cache.New(cache.Options{}))
	for _, c := range []struct {
		method uint64
		args   []any
	}{
		{idl.CacheGet, nil}, {idl.CacheGet, []any{nil}}, {idl.CacheGet, []any{1}},
		{idl.CachePut, nil}, {idl.CachePut, []any{"k"}}, {idl.CachePut, []any{"k", nil}}, {idl.CachePut, []any{1, "v"}}, {idl.CachePut, []any{"k", []any{"v"}}},
	} {
		p.channel++
		p.Send(p.channel, c.method, c.args...)
		p.WantError(p.channel, idl.CategoryDispatch, idl.DispatchBadArgs)
	}
	p.wantMissing("k")
}

// TestConcurrently: whoever calls, the bounds hold and values belong to their keys.
func TestConcurrently(t *testing.T) {
	c := cache.New(cache.Options{MaxEntries: 50})
	t.Run("clients", func(t *testing.T) {
		for i := range 4 {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				p := play(t, c)
				for n := range 200 {
					key := fmt.Sprint((n*7 + i) % 80)
					p.put(key, "value of "+key)
					p.channel++
					p.Send(p.channel, idl.CacheGet, key)
					if v := p.Recv().Values(); v[0] == true && v[1] != "value of "+key {
						t.Errorf("the value of %s is %v", key, v[1])
					}
				}
			})
		}
	})
	if c.Len() != 50 {
		t.Errorf("%d entries, want 50", c.Len())
	}
}

// FuzzCalls: any arguments are answered, and the limits hold.
func FuzzCalls(f *testing.F) {
	f.Add(uint8(0), []byte{0x91, 0xa1, 'k'})
	f.Add(uint8(1), []byte{0x92, 0xa1, 'k', 0xa1, 'v'})
	f.Add(uint8(1), []byte{0x92, 0xd9, 1, 'k', 0xc4, 1, 'v'})
	f.Fuzz(func(t *testing.T, method uint8, args []byte) {
		c := cache.New(cache.Options{MaxBytes: 64})
		p := play(t, c)
		r := msgpack.NewReader(args)
		if rest, err := msgpack.Skip(args, msgpack.MaxDepth-1); err != nil || len(rest) > 0 || r.Kind() != msgpack.KindArray {
			return // no arguments at all: the session's to refuse
		}
		p.Write(wire.AppendFrame(nil, wire.Frame{Channel: 1, Type: uint64(method % 2), Args: args}))
		if got := p.Recv(); got.Channel != 1 {
			t.Errorf("answered with %v", got)
		}
		if c.Bytes() > 64 {
			t.Errorf("%d bytes", c.Bytes())
		}
	})
}
