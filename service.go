package cocaine

import (
	"context"
	"slices"

	"github.com/cocaine/cocaine-go/internal/codec"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// A Service is a handle on a service of one name, and on how to call it. It is
// cheap: make one where you need it, or keep it. Any number of goroutines may use
// it.
type Service struct {
	conn *connector
	opts CallOptions
}

// CallOptions are sent with the calls of a Service.
type CallOptions struct {
	// Headers go with every call.
	Headers Headers
	// ContentType is the format of the chunks of an app's event: ContentMsgpack,
	// ContentJSON or ContentBytes. Empty means ContentMsgpack.
	ContentType string
}

// With returns a handle on the same service that adds to its calls the headers of
// o, and its content type if there is one.
func (s *Service) With(o CallOptions) *Service {
	merged := s.opts
	merged.Headers = slices.Concat(s.opts.Headers, o.Headers)
	if o.ContentType != "" {
		merged.ContentType = o.ContentType
	}
	return &Service{conn: s.conn, opts: merged}
}

// Name is the name the service is resolved by.
func (s *Service) Name() string { return s.conn.name }

// Connect finds the service and connects to it, if that is not done yet. Calls do
// so themselves; it is for those who want to know early.
func (s *Service) Connect(ctx context.Context) error {
	_, err := s.conn.link(ctx)
	return err
}

// An opening is what a call starts with.
type opening struct {
	method string
	args   []byte // a msgpack array
	chunk  []byte // arguments of a first chunk that leaves together with the call; nil for none
	hangUp bool   // end this side's stream of chunks, if there is one, at once
}

// open starts a call. A call that certainly was not sent, because the connection
// was lost before, is repeated once.
func (s *Service) open(ctx context.Context, o opening) (*Stream, error) {
	if ctx.Err() != nil {
		return nil, s.failed(o.method, context.Cause(ctx))
	}
	for again := false; ; again = true {
		l, err := s.conn.link(ctx)
		if err != nil {
			return nil, s.failed(o.method, err)
		}
		m := l.methods[o.method]
		if m == nil {
			return nil, s.failed(o.method, ErrNoMethod)
		}
		then, err := o.frames(m)
		if err != nil {
			return nil, s.failed(o.method, err)
		}
		st, err := l.session.Call(ctx, m.id, o.args, rpc.CallOptions{
			Headers: s.opts.headers(ctx, m.name), Send: m.send, Recv: m.recv, Then: then,
		})
		switch {
		case err == nil:
			return &Stream{st: st, link: l, method: m, service: s.conn.name}, nil
		case !isLost(err):
			return nil, s.failed(o.method, err)
		case again:
			return nil, s.failed(o.method, l.lost())
		}
	}
}

// frames gives those that leave together with the first.
func (o *opening) frames(m *method) ([]rpc.Outgoing, error) {
	var then []rpc.Outgoing
	if o.chunk != nil {
		if !m.streams() {
			return nil, errNoChunks
		}
		then = append(make([]rpc.Outgoing, 0, 2), rpc.Outgoing{Type: m.write, Args: o.chunk})
	}
	if o.hangUp && m.streams() {
		then = append(then, rpc.Outgoing{Type: m.close})
	}
	return then, nil
}

func (s *Service) failed(method string, err error) error {
	return &callError{service: s.conn.name, method: method, err: err}
}

// start encodes the arguments and starts the call. What it sends is copied before
// it returns.
func (s *Service) start(ctx context.Context, method string, args []any, hangUp bool) (*Stream, error) {
	buf := codec.NewBuffer()
	defer buf.Free()
	var err error
	if buf.B, err = codec.AppendArgs(buf.B, args...); err != nil {
		return nil, s.failed(method, err)
	}
	return s.open(ctx, opening{method: method, args: buf.B, hangUp: hangUp})
}
