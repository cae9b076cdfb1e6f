package cocainetest

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/codec"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Methods say what a service does, by the names of its methods.
type Methods map[string]Method

// A Method is what one method does. Answer, Fail, Func, Mute, Stream, StreamFunc and
// Hang make one.
type Method interface {
	serve(ctx context.Context, c *Call, ch *Channel) error
	reply() idl.ReplyKind // of a service whose protocol nobody knows
}

// A Call is one call of a method, as the service sees it. Name is the method's,
// Decode decodes the arguments as those of any message.
type Call struct {
	cocaine.Message
	Trace cocaine.Trace // that of the caller; zero if it has none
}

// Bind decodes the arguments, in their order, into the pointers. There may be
// fewer of either.
func (c *Call) Bind(pointers ...any) error {
	r := msgpack.NewReader(c.Args)
	n := r.Array()
	for i, p := range pointers[:min(n, len(pointers))] {
		if err := cocaine.Raw(r.Raw()).Decode(p); err != nil {
			return fmt.Errorf("cannot read argument %d of %s: %w", i+1, c.Name, err)
		}
	}
	return r.Err()
}

// Values are the results of a Func that has several.
type Values []any

type (
	unary     func(ctx context.Context, c *Call) (any, error)
	mute      func(ctx context.Context, c *Call) error
	streaming func(ctx context.Context, c *Call, ch *Channel) error
)

// Answer answers each call with the values, which are usually one.
func Answer(values ...any) Method {
	return Func(func(context.Context, *Call) (any, error) { return Values(values), nil })
}

// Fail answers each call with an error: a *cocaine.Error as it is, others as the
// runtime codes them.
func Fail(err error) Method {
	return Func(func(context.Context, *Call) (any, error) { return nil, err })
}

// Hang never answers: a call ends when its caller gives up.
func Hang() Method {
	return Func(func(ctx context.Context, _ *Call) (any, error) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	})
}

// Func answers each call with what f returns: its value, each of several Values, or
// nothing for nil. The context ends when the caller gives up. Of a method that answers with a
// stream the value is the only one.
func Func(f func(ctx context.Context, c *Call) (any, error)) Method { return unary(f) }

// Mute is a method that does not answer, logging.emit for one. Calls of a connection
// come one after another: f must not block.
func Mute(f func(ctx context.Context, c *Call) error) Method { return mute(f) }

// StreamFunc converses with the caller on a channel. It ends when f returns.
func StreamFunc(f func(ctx context.Context, c *Call, ch *Channel) error) Method {
	return streaming(f)
}

func (f unary) reply() idl.ReplyKind     { return idl.ReplyValue }
func (f mute) reply() idl.ReplyKind      { return idl.ReplyMute }
func (f streaming) reply() idl.ReplyKind { return idl.ReplyStream }

func (f unary) serve(ctx context.Context, c *Call, ch *Channel) error {
	v, err := f(ctx, c)
	if err != nil {
		return err
	}
	values, several := v.(Values)
	if !several && v != nil {
		values = Values{v}
	}
	if len(values) == 0 {
		return nil // an empty value, or the end of a stream without one
	}
	return ch.Send(ctx, values...)
}

func (f mute) serve(ctx context.Context, c *Call, _ *Channel) error { return f(ctx, c) }

func (f streaming) serve(ctx context.Context, c *Call, ch *Channel) error { return f(ctx, c, ch) }

// A Channel is a call that is open in both directions, at the service's end. One
// goroutine at a time receives, any sends.
type Channel struct {
	st     *rpc.Stream
	method *idl.Message
	state  *idl.Node // what the caller may send; names its messages
}

// Recv waits for the next message of the caller. After the last one it returns
// io.EOF, or the *cocaine.Error that the caller ended with.
func (ch *Channel) Recv(ctx context.Context) (cocaine.Message, error) {
	m, err := ch.st.Recv(ctx)
	if err != nil {
		return cocaine.Message{}, err
	}
	out := cocaine.Message{Args: m.Args, Headers: m.Headers}
	if msg := ch.state.Lookup(m.Type); msg != nil {
		out.Name = msg.Name
		if msg.Next != nil {
			ch.state = msg.Next
		}
	}
	return out, nil
}

// Send sends an answer: a chunk of a stream, or the one value.
func (ch *Channel) Send(ctx context.Context, values ...any) error {
	for _, m := range ch.method.Reply.Node.Messages {
		if m.Name != "error" && m.Name != "close" {
			return ch.send(ctx, m.ID, values)
		}
	}
	return fmt.Errorf("method %s does not answer", ch.method.Name)
}

// SendMessage sends the message of that name.
func (ch *Channel) SendMessage(ctx context.Context, name string, values ...any) error {
	for _, m := range ch.method.Reply.Node.Messages {
		if m.Name == name {
			return ch.send(ctx, m.ID, values)
		}
	}
	return fmt.Errorf("method %s does not answer with %q", ch.method.Name, name)
}

func (ch *Channel) send(ctx context.Context, id uint64, values []any) error {
	args, err := codec.AppendArgs(nil, values...)
	if err != nil {
		return err
	}
	return ch.st.Send(ctx, id, args)
}

// Service adds a service. If Cocaine knows one of that name (storage, logging, node,
// unicorn and so on) it has all the methods of that, and those that are not given
// are answered with an error, [7, 5]; else it has the given ones. It fails the test
// for methods that the known service does not have.
func (r *Runtime) Service(name string, m Methods) *Service {
	r.t.Helper()
	return r.serviceOf(name, knownProtocol(name), m)
}

// ServiceLike is Service for one that has the methods of a service that Cocaine knows
// by another name: a second storage, or "app" for an app without a worker. It fails
// the test if there is no such service either.
func (r *Runtime) ServiceLike(name, like string, m Methods) *Service {
	r.t.Helper()
	p := knownProtocol(like)
	if p == nil {
		r.t.Fatalf("cannot add service %q: nobody knows a service %q", name, like)
	}
	return r.serviceOf(name, p, m)
}

func (r *Runtime) serviceOf(name string, p *idl.Protocol, m Methods) *Service {
	r.t.Helper()
	for method, does := range m {
		if isNil(does) {
			r.t.Fatalf("cannot add service %q: its method %s is nil", name, method)
		}
	}
	if p == nil {
		p = protocolOf(name, m)
	}
	mux := rpc.NewMux(p, rpc.MuxOptions{Log: r.log})
	var s *Service // set before anybody can call
	for method, does := range m {
		msg := p.Method(method)
		if msg == nil {
			r.t.Fatalf("cannot add service %q: the protocol %s has no method %q", name, p.Name, method)
		}
		if _, silent := does.(mute); silent != (msg.Reply.Kind == idl.ReplyMute) {
			r.t.Fatalf("cannot add service %q: Mute is for methods that do not answer, and for all of them; %s is not one or %s is", name, method, method)
		}
		if msg.Reply.Kind == idl.ReplyMute {
			mux.Mute(method, func(ctx context.Context, c *rpc.Call) error { return does.serve(ctx, s.called(c), nil) })
			continue
		}
		mux.Stream(method, func(ctx context.Context, c *rpc.Call, st *rpc.Stream) error {
			return does.serve(ctx, s.called(c), &Channel{st: st, method: c.Method, state: c.Method.Next})
		})
	}
	s = r.add(name, p, mux)
	return s
}

// isNil reports whether there is nothing to call.
func isNil(m Method) bool {
	switch m := m.(type) {
	case nil:
		return true
	case unary:
		return m == nil
	case mute:
		return m == nil
	case streaming:
		return m == nil
	}
	return false
}

// maxCalls is how many calls a service remembers.
const maxCalls = 4096

// called remembers a call.
func (s *Service) called(c *rpc.Call) *Call {
	call := Call{
		Message: cocaine.Message{Name: c.Method.Name, Args: slices.Clone(c.Args), Headers: slices.Clone(c.Headers)},
		Trace:   c.Trace,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.calls) == maxCalls {
		s.calls = slices.Delete(s.calls, 0, maxCalls/4)
	}
	s.calls = append(s.calls, call)
	return &call
}

// Calls are those that the service has got so far, the oldest first: the latest some
// thousand of them. Of an app see Frames.
func (s *Service) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// knownProtocol gives the protocol of a service that Cocaine knows, else nil.
func knownProtocol(name string) *idl.Protocol {
	for _, p := range []*idl.Protocol{
		idl.Storage, idl.Logging, idl.LoggingV2, idl.Unicorn, idl.Metrics, idl.NodeService, idl.App, idl.Isolate, idl.Vicodyn,
		idl.Uniresis, idl.Unicat, idl.Cache, idl.Chrono, idl.URLFetch, idl.Graphite, idl.Echo, idl.Elasticsearch, idl.Admin,
	} {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// protocolOf makes a protocol of methods: their ids are their order by name. The
// caller of a StreamFunc may send a stream, the callers of others nothing.
func protocolOf(name string, m Methods) *idl.Protocol {
	value, stream := idl.Storage.Method("read").Reply, idl.App.Method("enqueue").Reply
	p := &idl.Protocol{Name: name, Version: 1}
	for id, method := range slices.Sorted(maps.Keys(m)) {
		msg := idl.Message{ID: uint64(id), Name: method, Next: idl.Terminal}
		switch m[method].reply() {
		case idl.ReplyValue:
			msg.Reply = idl.Reply{Kind: idl.ReplyValue, Node: value.Node}
		case idl.ReplyStream:
			msg.Reply = idl.Reply{Kind: idl.ReplyStream, Node: stream.Node}
		default:
			msg.Reply = idl.Reply{Kind: idl.ReplyMute, Node: idl.Terminal}
		}
		if _, converses := m[method].(streaming); converses {
			msg.Next = stream.Node
		}
		p.Messages = append(p.Messages, msg)
	}
	for _, msg := range idl.App.Messages {
		if idl.IsControl(msg.ID) {
			p.Messages = append(p.Messages, msg)
		}
	}
	return p
}
