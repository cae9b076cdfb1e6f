package worker

import (
	"errors"
	"testing"

	"github.com/cocaine/cocaine-go/internal/rpc"
)

// A request that was given up before its goroutine came to it does not run, and keeps
// no slot.
func TestRevokedBeforeItsTurn(t *testing.T) {
	slots := make(chan struct{}, 1)
	r := &request{run: &run{slots: slots}, binding: &binding{}}
	r.revoke(&rpc.Error{Category: 2, Code: 125})
	err := r.acquire()
	if e, ok := errors.AsType[*RequestError](err); !ok || e.Err.Code != 125 {
		t.Errorf("it may begin: %v", err)
	}
	if r.running || len(slots) > 0 {
		t.Errorf("it runs: %v, with %d slots", r.running, len(slots))
	}
}
