package rpc_test

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
	"github.com/cocaine/cocaine-go/internal/timing"
)

// timed is a raw method that knows how long its channels live.
type timed struct {
	rpc.Acceptor
	timer timing.Timer
}

func (a *timed) Timer() *timing.Timer { return &a.timer }

// Every method has a timer of its channels, by when they end: of calls that are
// refused, fail or have no answer, too; and it has counted a call that is answered.
func TestTimersOfAMux(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const nap = 100 * time.Millisecond
		m := rpc.NewMux(idl.Storage, rpc.MuxOptions{})
		refusing := rpc.NewMux(idl.Storage, rpc.MuxOptions{
			Authenticate: func([]hpack.Header) error { return errors.New("who are you?") }})
		m.Unary("read", func(context.Context, *rpc.Call) ([]byte, error) { time.Sleep(nap); return []byte{0x90}, nil })
		m.Unary("write", func(context.Context, *rpc.Call) ([]byte, error) { time.Sleep(nap); return nil, errors.New("full") })
		m.Unary("find", func(context.Context, *rpc.Call) ([]byte, error) { time.Sleep(nap); runtime.Goexit(); return nil, nil })
		m.Inline("remove", func(context.Context, *rpc.Call) ([]byte, error) { return []byte{0x90}, nil })
		p := rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: m}})
		channel := uint64(0)
		call := func(method string) {
			channel++
			p.Send(channel, idl.Storage.Method(method).ID, "collection", "key")
			p.Recv()
		}
		for range 3 {
			call("read")
		}
		call("write")
		call("find")
		call("remove")
		call("remove")
		call("ping")
		call("settings") // not served: an error
		have := make(map[string]uint64)
		for method, timer := range m.Timers() {
			count, took := timer.Read()
			have[method] = count
			slept := method == "read" || method == "write" || method == "find"
			if ms := took.Quantile(.5); slept && (ms < 100 || ms > 113) || !slept && ms > .001 {
				t.Errorf("%s took %v ms", method, ms)
			}
		}
		want := map[string]uint64{"read": 3, "write": 1, "find": 1, "remove": 2, "ping": 1, "settings": 1, "revoke": 0, "goaway": 0}
		if !maps.Equal(have, want) {
			t.Errorf("timers have counted %v, want %v", have, want)
		}

		q := rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: refusing}})
		q.Send(1, idl.Storage.Method("ping").ID)
		q.Recv()
		refusing.Raw("read", nothing{})
		refusing.Inline("remove", nil)
		q.Send(2, idl.Storage.Method("remove").ID, "collection", "key")
		q.Recv()
		for method, timer := range refusing.Timers() {
			if count, _ := timer.Read(); method == "read" || count != want["remove"]-1 && method == "remove" {
				t.Errorf("%s: %d; a raw method has no timer, and a refusal counts", method, count)
			}
		}
	})
}

type nothing struct{}

func (nothing) Accept(*rpc.Batch, *rpc.Session, uint64, *rpc.Frame) rpc.Receiver { return nil }

// A stream counts when its method returns, a mute call when it has been served, and a
// raw method has the timer of its Acceptor.
func TestTimersOfStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := rpc.NewMux(idl.App, rpc.MuxOptions{})
		a := &timed{Acceptor: nothing{}}
		m.Raw("enqueue", a)
		m.Stream("control", func(ctx context.Context, _ *rpc.Call, s *rpc.Stream) error {
			_, err := s.Recv(ctx)
			return err
		})
		p := rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: m}})
		control, have := idl.App.Method("control").ID, make(map[string]*timing.Timer)
		maps.Insert(have, m.Timers())
		if have["enqueue"] != &a.timer {
			t.Error("the timer of a raw method is not that of its Acceptor")
		}
		p.Send(1, control)
		synctest.Wait()
		time.Sleep(time.Second)
		if count, _ := have["control"].Read(); count != 0 {
			t.Error("a stream that is open counts")
		}
		p.Send(1, 0, 5)
		synctest.Wait()
		if count, took := have["control"].Read(); count != 1 || took.Quantile(.5) < 1000 {
			t.Errorf("%d streams, of %v ms", count, took.Quantile(.5))
		}

		logging := rpc.NewMux(idl.Logging, rpc.MuxOptions{})
		logging.Mute("emit", func(context.Context, *rpc.Call) error { return nil })
		q := rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: logging}})
		q.Send(1, idl.Logging.Method("emit").ID, 0, "source", "text")
		synctest.Wait()
		for method, timer := range logging.Timers() {
			if count, _ := timer.Read(); (count == 1) != (method == "emit") {
				t.Errorf("%s has counted %d", method, count)
			}
		}
	})
}
