package echo_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/internal/echo"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func play(t *testing.T) *rpctest.Peer {
	return rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: echo.Service(rpc.MuxOptions{})}})
}

func TestPing(t *testing.T) {
	p := play(t)
	for i, text := range []string{"", "hello", "\x00\xff", strings.Repeat("x", 1<<20)} {
		p.Send(uint64(i+1), idl.EchoPing, text)
		p.Want(uint64(i+1), idl.Value, text)
	}
	// The control message of the same name has a number of its own.
	p.Send(9, idl.Ping)
	p.Want(9, idl.Value)
}

// TestPingBytes: a request in each generation of msgpack, one answer.
func TestPingBytes(t *testing.T) {
	p := play(t)
	for _, frame := range []string{"93010091a26869", "94020091d902686990", "93030091c4026869"} {
		b, err := hex.DecodeString(frame)
		if err != nil {
			t.Fatal(err)
		}
		p.Write(b)
		f := p.Recv()
		if got := hex.EncodeToString(f.Args); got != "91a26869" {
			t.Errorf("%s is answered with %s", frame, got)
		}
	}
}

func TestPingRefuses(t *testing.T) {
	p := play(t)
	for i, args := range [][]any{{}, {nil}, {5}, {[]any{"a"}}} {
		p.Send(uint64(i+1), idl.EchoPing, args...)
		p.WantError(uint64(i+1), idl.CategoryDispatch, idl.DispatchBadArgs)
	}
	p.Send(7, idl.EchoPing, "still here")
	p.Want(7, idl.Value, "still here")
}
