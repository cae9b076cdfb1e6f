package engine_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/isolate"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// FuzzV011Worker has an engine with a worker of v0.11 that says anything: its clients
// get well-formed answers, each ending once, and the next worker serves.
func FuzzV011Worker(f *testing.F) {
	f.Add([]byte("\x93\x04\x01\x91\xa1x\x93\x06\x01\x90\x93\x06\x02\x90"), byte(5))
	f.Add([]byte("\x93\x05\x01\x92\x2a\xa1x\x93\x06\x01\x90\x93\x05\x02\x92\xa1x\x2a"), byte(3))
	f.Add([]byte("\x93\x02\x00\x92\x02\xa1x"), byte(2))
	f.Add([]byte("\x93\x01\x00\x90\x93\x03\x01\x91\xa1x\x93\x00\x00\x90\x93\x04\x01\x91\x05\xc1"), byte(9))
	f.Fuzz(func(t *testing.T, said []byte, cut byte) {
		virtual(t, map[string]any{"request-timeout": 5, "startup-timeout": 30}, func(r *rig) {
			for range 3 {
				r.client.Send(r.call("e"), idl.Close)
			}
			w := r.ready11()
			at := min(int(cut), len(said))
			if _, err := w.Conn().Write(said[:at]); err == nil {
				synctest.Wait()
				_, _ = w.Conn().Write(said[at:]) // the engine may have hung up
			}
			wait(6 * time.Second)
			w.end(isolate.Exit{Code: 1})
			ended := make(map[uint64]bool)
			for {
				answer, err := r.client.Poll()
				if err != nil {
					break
				}
				if answer.Channel == 0 || answer.Channel > 3 || ended[answer.Channel] || answer.Type > idl.Close {
					r.t.Fatalf("client gets %v", answer)
				}
				if answer.Type == idl.StreamError {
					if _, err := rpc.DecodeError(answer.Args); err != nil {
						r.t.Fatalf("client gets error %v: %v", answer, err)
					}
				}
				ended[answer.Channel] = answer.Type != idl.Write
			}
			for channel := uint64(1); channel <= 3; channel++ {
				if !ended[channel] {
					r.t.Fatalf("call %d has no end", channel)
				}
			}
			wait(3 * time.Second) // the pause after a crash
			c := r.call("again")
			next := r.ready11()
			next.hears(r.t, oldInvoke, 1, "again")
			next.tells(oldChoke, 1)
			r.client.Want(c, idl.Close)
		})
	})
}
