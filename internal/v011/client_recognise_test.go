package v011_test

import (
	"errors"
	"testing"

	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// message encodes a frame of any shape.
func message(t testing.TB, values ...any) []byte {
	t.Helper()
	b, err := msgpack.AppendValue(nil, values)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type list = []any

const (
	is11 = "v0.11"
	is12 = "v0.12"
	bad  = "closed"
)

// The first frames of every client that is known, and those that tell least, on the
// two kinds of port.
var openings = []struct {
	name             string
	message          list
	locator, service string
}{
	{"Python and native v0.11 resolve", list{0, 1, list{"node"}}, is11, is11},
	{"Go, Java, Node v0.11 resolve", list{0, 0, list{"node"}}, is11, is11},
	{"v0.11 method 0 with the blob", list{0, 1, list{"event", "blob"}}, is11, is11},
	{"C++ v0.11 locator links", list{1, 0, list{}}, is11, is12},
	{"v0.11 synchronize", list{1, 1, list{}}, is11, is12},
	{"v0.11 reports", list{2, 0, list{}}, is11, is12},
	{"v0.11 reports on session 1", list{2, 1, list{}}, is11, is12},
	{"v0.11 refresh", list{3, 1, list{"group"}}, is11, is12},
	{"v0.11 refresh on session 0", list{3, 0, list{"group"}}, is11, is12},

	{"v0.12 resolve of most", list{1, 0, list{"node"}, list{}}, is12, is12},
	{"v0.12 resolve with a seed", list{1, 0, list{"node", "seed"}, list{}}, is12, is12},
	{"C++ v0.12 locator connects", list{1, 1, list{"uuid"}, list{}}, is12, is12},
	{"Go v0.12 resolve", list{2, 0, list{"node"}, list{}}, is12, is12},
	{"Node v0.12 resolve", list{1, 0, list{"node"}}, is12, is12},
	{"Node v0.12 method", list{1, 1, list{"c", "k", "v"}}, is12, is12},
	{"v0.12 logger", list{999999, 0, list{"logging"}, list{}}, is12, is12},
	{"v0.12 cluster", list{2, 3, list{}}, is12, is12},
	{"v0.12 uuid", list{1, 6, list{}}, is12, is12},
	{"v0.12 refresh", list{1, 2, list{list{"group"}}}, is12, is12},
	{"v0.12 refresh on channel 3", list{3, 1, list{list{"group"}}}, is12, is12},
	{"v0.12 connect on channel 2", list{2, 1, list{"uuid"}}, is12, is12},
	{"v0.12 without arguments on channel 3", list{3, 1, list{}}, is12, is12},
	{"v0.12 with two arguments on channel 3", list{3, 0, list{"a", "b"}}, is12, is12},
	{"v0.12 publish on channel 3", list{3, 4, list{"name"}}, is12, is12},
	{"v0.12 channel 4", list{4, 0, list{}}, is12, is12},
	{"four elements, channel 0", list{0, 1, list{"node"}, list{}}, is12, is12},
	{"five elements", list{1, 0, list{"node"}, list{}, 7}, is12, is12},

	{"two elements", list{0, 1}, bad, bad},
	{"no element", list{}, bad, bad},
	{"a negative type", list{-1, 1, list{}}, bad, bad},
	{"a negative session", list{0, -1, list{}}, bad, bad},
	{"a type that is text", list{"0", 1, list{}}, bad, bad},
	{"arguments that are none", list{0, 1, "node"}, bad, bad},
	{"arguments in a map", list{1, 0, map[string]any{}}, bad, bad},
}

// TestRecognise cuts each first frame at every byte: what is decided never depends on
// how much of it has come, and is decided in the end.
func TestRecognise(t *testing.T) {
	r := newRig()
	ports := []struct {
		name      string
		recognise func([]byte) (rpc.Dialect, error)
	}{
		{"locator", r.services["locator"].RecogniseOnLocator(wire.Limits{})},
		{"service", r.services["storage"].RecogniseOnService(wire.Limits{})},
	}
	for _, tt := range openings {
		for _, port := range ports {
			t.Run(tt.name+", "+port.name, func(t *testing.T) {
				want := tt.service
				if port.name == "locator" {
					want = tt.locator
				}
				b := message(t, tt.message...)
				for n := 1; n <= len(b); n++ {
					d, err := port.recognise(b[:n])
					got := is12
					switch {
					case errors.Is(err, wire.ErrShort):
						continue
					case err != nil:
						got = bad
					case d != nil:
						got = is11
					}
					if got != want {
						t.Fatalf("after %d bytes of %x: %s, %v; want %s", n, b, got, err, want)
					}
				}
				if _, err := port.recognise(b); errors.Is(err, wire.ErrShort) {
					t.Error("the whole frame does not say")
				}
			})
		}
	}
	for _, b := range [][]byte{{0xc1}, {0x93, 0xc1}, {0x80}, {0xa1, 'x'}, {0x93, 3, 1, 0x91, 0xc1}} {
		for _, port := range ports[:1] {
			if d, err := port.recognise(b); err == nil || errors.Is(err, wire.ErrShort) {
				t.Errorf("%x on %s: %v, %v", b, port.name, d, err)
			}
		}
	}
}

// Listeners that only v0.11 clients know take every peer for one.
func TestRecogniseOwnListener(t *testing.T) {
	r := newRig()
	if d, err := r.services["storage"].Recognise(wire.Limits{})([]byte{0x93}); d == nil || err != nil {
		t.Errorf("%v, %v", d, err)
	}
}
