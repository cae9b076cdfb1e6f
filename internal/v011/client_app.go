package v011

import (
	"context"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// App is the service of an app. Requests go to enqueue, which serves the method of
// that name of v0.12; one that is also an rpc.CallAcceptor gets them whole. report is
// the app's report in v0.12 (package engine, Engine.Info), to which "state" was added;
// its error is that of an app that is gone.
func App(enqueue rpc.Acceptor, report func() (map[string]any, error), o rpc.MuxOptions) *ClientService {
	m := rpc.NewMux(oldApp, o)
	e := enqueuer{next: enqueue}
	e.whole, _ = enqueue.(rpc.CallAcceptor)
	m.Raw("enqueue", e)
	shared := new(rpc.Shared)
	m.Inline("info", func(_ context.Context, c *rpc.Call) ([]byte, error) {
		return shared.Answer(c.Arrived, func() ([]byte, error) {
			return msgpack.AppendValue(msgpack.AppendArray(nil, 1), oldReport(report()))
		})
	})
	s := newClientService(oldApp, m)
	s.method(idl.AppEnqueue).packing = rawStream
	return s
}

// enqueuer turns [event, blob, tag?] into a request, its one chunk and its end. The
// tag, which named a worker, has no meaning any more.
type enqueuer struct {
	next  rpc.Acceptor
	whole rpc.CallAcceptor // next, if it is one
}

func (e enqueuer) Accept(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame) rpc.Receiver {
	d, ok := s.Dialect().(*clientDialect)
	if !ok {
		return nil // no session of this package
	}
	if !d.whole.read(f.Args) {
		s.Violation(b, channel, errArgument)
		return nil
	}
	e.pass(b, s, channel, &d.whole)
	d.whole.free()
	return nil // the client says nothing more
}

// Unwanted passes on that a client is gone. It implements rpc.AnswerAcceptor.
func (e enqueuer) Unwanted(b *rpc.Batch, s *rpc.Session, revoked []rpc.Revoked) {
	unwanted(e.next, b, s, revoked)
}

// pass hands on a request that is there whole.
func (e enqueuer) pass(b *rpc.Batch, s *rpc.Session, channel uint64, w *wholeRequest) {
	if e.whole != nil && e.whole.AcceptCall(b, s, channel, &w.first, &w.write) {
		return
	}
	r := e.next.Accept(b, s, channel, &w.first)
	if r == nil || r.Receive(b, &w.write) {
		return
	}
	r.Receive(b, &rpc.Frame{Type: idl.Close, Args: noArgs})
}

// wholeRequest is the memory for a request on its way. It belongs to a dialect, so
// that a call takes none.
type wholeRequest struct {
	buf          []byte
	first, write rpc.Frame
}

// read takes the arguments of a call apart: [event, blob, ...].
func (w *wholeRequest) read(args []byte) bool {
	r := msgpack.NewReader(args)
	r.Array()
	if r.Kind() != msgpack.KindRaw {
		return false
	}
	w.buf = append(append(w.buf[:0], 0x91), r.Raw()...)
	n := len(w.buf)
	if r.Kind() != msgpack.KindRaw {
		return false
	}
	w.buf = append(append(w.buf, 0x91), r.Raw()...)
	w.first = rpc.Frame{Type: idl.AppEnqueue, Args: w.buf[:n:n]}
	w.write = rpc.Frame{Type: idl.Write, Args: w.buf[n:]}
	return true
}

// free gives a large buffer back.
func (w *wholeRequest) free() {
	if cap(w.buf) > keptScratch {
		*w = wholeRequest{}
	}
}

var noArgs = []byte{0x90}

// oldReport is the report of an app as v0.11 made it.
func oldReport(now map[string]any, err error) map[string]any {
	queue, ok := now["queue"].(map[string]any)
	if err != nil || !ok {
		return map[string]any{"error": "the engine is not active"}
	}
	pool, _ := now["pool"].(map[string]any)
	profile, _ := now["profile"].(map[string]any)
	return map[string]any{
		"load-median": medianLoad(pool["slaves"]),
		"profile":     profile["name"],
		"queue":       map[string]any{"capacity": queue["capacity"], "depth": queue["depth"]},
		"sessions":    map[string]any{"pending": now["load"]},
		"slaves":      map[string]any{"active": pool["active"], "capacity": pool["capacity"], "idle": pool["idle"]},
		"state":       now["state"],
	}
}
