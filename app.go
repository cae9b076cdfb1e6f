package cocaine

import (
	"context"

	"github.com/cocaine/cocaine-go/internal/codec"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// App is the typed client of an app: of the service that has its name. Its events
// are called in one of three ways:
//
//	Invoke          one value to the handler, one back
//	InvokeStream    one value to the handler, many back
//	App.Enqueue     the conversation: chunks of bytes in both directions, an AppStream
//
// A service that is no app has no events; calls of them fail with ErrNoMethod, and
// nothing is sent.
type App struct{ service *Service }

// App gives the typed client of an app. As Service it does no I/O.
func (c *Client) App(name string) App { return App{c.Service(name)} }

// Name is the name of the app.
func (a App) Name() string { return a.service.Name() }

// Service is the service of the app, for what is common to all services: Connect,
// Methods, State.
func (a App) Service() *Service { return a.service }

// With returns a client of the same app that adds to its calls the headers of o,
// and takes from o whatever else is not zero: the format of values for one.
func (a App) With(o CallOptions) App {
	if !a.service.made() {
		return a
	}
	return App{a.service.With(o)}
}

// Enqueue starts an event and returns the conversation with its handler, open in
// both directions. The chunks that are given leave together with the call; more
// may follow. CloseSend ends the request; many handlers wait for that. The end of
// ctx ends the call, and its deadline goes with it, so that the runtime and the
// handler know it too.
//
// Close the stream when done with it, whatever it has brought.
func (a App) Enqueue(ctx context.Context, event string, chunks ...[]byte) (*AppStream, error) {
	if err := a.service.check(ctx, event); err != nil {
		return nil, a.service.refusedEvent(ctx, event, err)
	}
	st, err := a.begin(ctx, event, chunks)
	if err != nil {
		return nil, err
	}
	st.watch(ctx)
	s := &AppStream{stream: st, piece: min(maxPiece, a.service.conn.client.opts.MaxFrame/2)}
	s.format, s.noFormat = a.service.opts.format()
	for _, chunk := range chunks[min(len(chunks), 1):] {
		if err := s.Send(ctx, chunk); err != nil {
			st.abandon(context.Cause(ctx))
			return nil, err
		}
	}
	return s, nil
}

// begin sends the call and the first chunk as one piece.
func (a App) begin(ctx context.Context, event string, chunks [][]byte) (*Stream, error) {
	args := codec.NewBuffer()
	defer args.Free()
	args.B = msgpack.AppendString(msgpack.AppendArray(args.B, 1), event)
	o := opening{method: enqueueMethod, name: event, args: args.B}
	if len(chunks) > 0 {
		o.chunk = msgpack.AppendBytes(msgpack.AppendArray(nil, 1), chunks[0])
	}
	return a.service.open(ctx, o)
}

// Info tells the state of the app: requests, queue and pool.
func (a App) Info(ctx context.Context) (AppInfo, error) {
	return Get[AppInfo](ctx, a.service, "info")
}

// Control gets the say in the size of the app's pool. It does not wait for an
// answer, since there is none. Close it when done with it; the end of ctx does not.
func (a App) Control(ctx context.Context) (*PoolControl, error) {
	return openControl(ctx, a.service)
}
