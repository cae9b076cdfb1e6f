package host

import (
	"slices"

	"github.com/cocaine/cocaine-go/internal/relay"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

var _ rpc.AnswerAcceptor = (*Host)(nil)

// Unwanted ends what a client has given up: what waits leaves the queue, of what the
// worker has it is told, if it understands that. It implements rpc.AnswerAcceptor.
func (h *Host) Unwanted(b *rpc.Batch, s *rpc.Session, revoked []rpc.Revoked) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var u rpc.Unwanting
	u.Add(s, revoked)
	h.queue = slices.DeleteFunc(h.queue, func(r *request) bool {
		if u.Find(r.client, r.channel) == nil || !r.clientDone || r.torn {
			return false
		}
		r.phase, r.settled = over, true
		r.deadline.stop()
		r.drop()
		return true
	})
	if h.worker != nil {
		for r := range h.worker.requests {
			if cause := u.Find(r.client, r.channel); cause != nil {
				r.unhear(b, cause)
			}
		}
	}
	h.notify()
}

// unhear has what comes from the worker dropped, and tells it if it understands that.
// The request keeps its place until the worker has ended its half. Called with mu held.
func (r *request) unhear(b *rpc.Batch, cause *rpc.Error) {
	if r.phase != running || !r.clientDone || r.workerDone {
		return
	}
	r.phase = unheard
	if r.worker.hears {
		relay.Revoke(b, r.worker.session, r.wchannel, cause)
	}
}
