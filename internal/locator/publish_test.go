package locator_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
)

// The timer of publish counts a channel when its service is withdrawn, and a call that
// is refused.
func TestTimerOfPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := announcing(t).Mux(rpc.MuxOptions{})
		p := rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: m}})
		want := func(count uint64, longest float64) {
			t.Helper()
			synctest.Wait()
			for method, timer := range m.Timers() {
				if n, h := timer.Read(); method == "publish" && (n != count || h.Quantile(1) < longest) {
					t.Errorf("%d services of at most %v ms were published, want %d of %v ms", n, h.Quantile(1), count, longest)
				}
			}
		}
		p.Send(1, idl.LocatorPublish, "external", []any{[]any{"10.0.0.1", 1}})
		p.Want(1, idl.Value)
		p.Send(2, idl.LocatorPublish, 5)
		p.WantError(2, idl.CategoryDispatch, idl.DispatchBadArgs)
		want(1, 0)
		time.Sleep(time.Minute)
		p.Send(1, idl.LocatorDiscard)
		want(2, 60000)
	})
}
