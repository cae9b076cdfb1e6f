package worker

import (
	"context"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Unwanted ends the contexts of requests whose callers have given them up after they
// had said everything. Nobody looks for a request by its channel otherwise, so there is
// no table of them: the crew's are looked at, once for all that came together. Callers
// whose half is open have a Receiver. It implements rpc.AnswerAcceptor.
func (r *run) Unwanted(_ *rpc.Batch, _ *rpc.Session, revoked []rpc.Revoked) {
	if revoked == nil {
		return // the runtime is gone: supervise sees to it
	}
	causes := make(map[uint64]*rpc.Error, len(revoked))
	for _, v := range revoked {
		causes[v.Channel] = v.Cause
	}
	r.intake.hand() // so that the crew has them all
	var found []*request
	r.crew.each(func(q *request) {
		if causes[q.channel] != nil {
			found = append(found, q)
		}
	})
	for _, q := range found { // not under the crew's lock: contexts end here
		q.revoke(causes[q.channel])
	}
}

// revoke ends a request that its caller has given up. If it has not begun, it is not
// going to.
func (r *request) revoke(cause *rpc.Error) {
	err := gaveUp(cause)
	r.mu.Lock()
	r.revoked = true
	if r.cause == nil {
		r.cause = err
	}
	r.mu.Unlock()
	r.end(err)
}

// gaveUp is the cause that a handler's context ends with. That the caller's time is up
// the worker mostly knows by itself: whoever notices first makes no difference.
func gaveUp(cause *rpc.Error) error {
	text := "caller gave up"
	switch {
	case cause.Category == idl.CategoryGeneric && cause.Code == idl.GenericTimeout:
		return context.DeadlineExceeded
	case cause.Category == idl.CategoryStream && cause.Code == idl.StreamEOF,
		cause.Category == idl.CategorySocket && cause.Code != idl.SocketCanceled:
		text = "caller went away"
	}
	return &RequestError{&cocaine.Error{Category: cause.Category, Code: cause.Code, Message: text}}
}
