package cocaine

import (
	"cmp"
	"context"
	"net"
	"slices"
	"strings"

	"github.com/cocaine/cocaine-go/internal/codec"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// A Service is a handle on a service of one name, and on how to call it. It is
// cheap: make one where you need it, or keep it. Any number of goroutines may use
// it.
type Service struct {
	conn   *connector
	opts   CallOptions
	client *Client // of which a handle is in use while this one is; nil for those that the client has itself
}

// CallOptions are how the calls of a Service are made.
type CallOptions struct {
	// Headers go with every call. A content-type among them is taken for ContentType,
	// if that is empty.
	Headers Headers
	// ContentType is the format of the chunks of an app's event: ContentMsgpack,
	// ContentJSON or ContentBytes, with parameters or in another of their spellings.
	// Empty means ContentMsgpack. It goes with calls of events, for the worker to
	// read them and answer in kind. One that names no such format can go with App.Enqueue,
	// whose chunks are the caller's own; where values are to be encoded or decoded it
	// is ErrBadArgument.
	ContentType string
	// Version is the version of the service's protocol that is expected. Calls of
	// a service with another one fail with a *VersionError, and nothing is sent.
	// Zero takes any.
	Version int
	// Retry replaces Options.Retry. Nil keeps it.
	Retry *RetryPolicy
	// Token replaces Options.Token. Nil keeps it; StaticToken("") sends none.
	Token TokenSource
	// Idempotent says that the calls may be carried out more than once without
	// harm. A RetryPolicy then repeats more of them.
	Idempotent bool
}

// With returns a handle on the same service that adds to its calls the headers of
// o, and takes from o whatever else is not zero.
func (s *Service) With(o CallOptions) *Service {
	if s == nil {
		s = new(Service)
	}
	merged := s.opts
	o.takeContentType()
	merged.Headers = slices.Concat(s.opts.Headers, o.Headers)
	if o.ContentType != "" {
		merged.ContentType = o.ContentType
	}
	if o.Version != 0 {
		merged.Version = o.Version
	}
	if o.Retry != nil {
		policy := o.Retry.withDefaults()
		merged.Retry = &policy
	}
	if o.Token != nil {
		merged.Token = o.Token
	}
	merged.Idempotent = merged.Idempotent || o.Idempotent
	return &Service{conn: s.conn, opts: merged, client: s.client}
}

// takeContentType moves a content type from the headers to where calls look for it:
// so there is one, whoever of several handles in a row has named it.
func (o *CallOptions) takeContentType() {
	is := func(h Header) bool { return strings.EqualFold(h.Name, contentTypeHeader) }
	i := slices.IndexFunc(o.Headers, is)
	if i < 0 {
		return
	}
	o.ContentType = cmp.Or(o.ContentType, o.Headers[i].Value)
	o.Headers = slices.DeleteFunc(slices.Clone(o.Headers), is)
}

// Name is the name the service is resolved by.
func (s *Service) Name() string {
	if !s.made() {
		return ""
	}
	return s.conn.name
}

// made reports whether a Client made the handle.
func (s *Service) made() bool { return s != nil && s.conn != nil }

// Connect finds the service and connects to it, if that is not done yet. Calls do
// so themselves; it is for those who want to know early, and as a check of the
// service's health. Any number of goroutines share one attempt.
func (s *Service) Connect(ctx context.Context) error {
	_, err := s.link(ctx)
	return err
}

// link gives the live connection of a service of the expected version, making one
// if there is none.
func (s *Service) link(ctx context.Context) (*link, error) {
	switch {
	case !s.made():
		return nil, errNoService
	case ctx == nil:
		return nil, errNoContext
	}
	l, err := s.conn.link(ctx)
	if err != nil {
		return nil, err
	}
	if want := s.opts.Version; want != 0 && l.version != want {
		return nil, &VersionError{Service: s.conn.name, Want: want, Got: l.version}
	}
	return l, nil
}

// Methods tells what the service can do, by ascending id, connecting to it if
// need be. The control messages, which every service has, are none of its methods.
func (s *Service) Methods(ctx context.Context) ([]Method, error) {
	l, err := s.link(ctx)
	if err != nil {
		return nil, err
	}
	return slices.Clone(l.listed), nil
}

// Version is the version of the service's protocol, as the locator tells it.
// Version connects to the service if need be.
func (s *Service) Version(ctx context.Context) (int, error) {
	l, err := s.link(ctx)
	if err != nil {
		return 0, err
	}
	return l.version, nil
}

// State is how the connection to a service stands.
type State int

// The states.
const (
	Idle       State = iota // there is no connection; the next call makes one
	Connecting              // one is being made
	Connected               // there is one
)

// String gives the state in a word.
func (s State) String() string {
	switch s {
	case Connecting:
		return "connecting"
	case Connected:
		return "connected"
	}
	return "idle"
}

// State tells how the connection stands. It does no I/O, and may be out of date
// when it returns.
func (s *Service) State() State {
	if !s.made() {
		return Idle
	}
	return s.conn.state()
}

// RemoteAddr is the address of the service that is connected to, nil when there is
// no connection.
func (s *Service) RemoteAddr() net.Addr {
	if s.State() != Connected {
		return nil
	}
	if l := s.conn.current.Load(); l != nil {
		return l.session.RemoteAddr()
	}
	return nil
}

// Disconnect ends the connection that all handles of this name share. Calls that
// are under way on it fail with ErrClosed; the next call resolves the name and
// connects again. Without a connection it does nothing.
func (s *Service) Disconnect() {
	if s.State() != Connected {
		return
	}
	if l := s.conn.current.Load(); l != nil {
		_ = l.session.Close() // returns no error
	}
}

// An opening is what a call starts with.
type opening struct {
	method string
	name   string // of the call in errors: the method, or the event of an app
	args   []byte // a msgpack array
	chunk  []byte // arguments of a first chunk that leaves together with the call; nil for none
	hangUp bool   // end this side's stream of chunks, if there is one, at once

	room   [2]rpc.Outgoing // for frames
	stream *Stream         // that the last attempt has opened
}

// repeat makes a call and has f receive the answer, again as often as the policy
// says and the way it failed allows.
func (s *Service) repeat(ctx context.Context, tries *attempts, o *opening, f func(*Stream) error) error {
	for {
		if err := s.begin(ctx, tries, o.method, o.name, o); err != nil {
			return err
		}
		st := o.stream
		err := f(st)
		again := err != nil && tries.repeats() && repeatable(err, st.taken, st.st.Trailer(), s.opts.Idempotent)
		st.finish(ctx)
		if !again {
			return err
		}
		if err = tries.again(ctx, err); err != nil {
			return err
		}
	}
}

// check looks at what every call starts with.
func (s *Service) check(ctx context.Context, name string) error {
	switch {
	case !s.made():
		return s.failed(name, errNoService)
	case ctx == nil:
		return s.failed(name, errNoContext)
	case ctx.Err() != nil:
		return s.failed(name, ended(ctx))
	}
	return nil
}

// start encodes the arguments and starts a call. What it sends is copied before it
// returns.
func (s *Service) start(ctx context.Context, method string, args []any, hangUp bool) (*Stream, error) {
	buf := codec.NewBuffer()
	defer buf.Free()
	var err error
	if buf.B, err = appendArgs(buf.B, args); err != nil {
		return nil, s.refused(ctx, &opening{method: method}, s.failed(method, err))
	}
	return s.open(ctx, opening{method: method, name: method, args: buf.B, hangUp: hangUp})
}

// A starter sends a call on a link, once.
type starter interface {
	start(ctx context.Context, s *Service, l *link, m *method, tries *attempts) error
}

// begin starts a call, trying as often as may be. Errors give it the name.
func (s *Service) begin(ctx context.Context, tries *attempts, method, name string, call starter) error {
	for {
		err := s.try(ctx, tries, method, call)
		if err == nil || err == errNotUnary {
			return err
		}
		unsent, ok := err.(unsentError)
		switch {
		case ok && !tries.resent:
			tries.resend()
			continue
		case ok:
			err = unsent.error
		case !unconnected(err):
			return s.failed(name, err)
		}
		if err := tries.again(ctx, s.failed(name, err)); err != nil {
			return err
		}
	}
}

// unsentError is the loss of a connection before the call was written to it.
type unsentError struct{ error }

// try starts a call once.
func (s *Service) try(ctx context.Context, tries *attempts, method string, call starter) error {
	l, err := s.link(ctx)
	if err != nil {
		return err
	}
	m := l.methods[method]
	if m == nil {
		return ErrNoMethod
	}
	switch err = call.start(ctx, s, l, m, tries); {
	case err == nil:
		return nil
	case isLost(err):
		return unsentError{l.lost()}
	case ctx.Err() != nil:
		return ended(ctx)
	}
	return err
}

// start opens the channel. It implements starter.
func (o *opening) start(ctx context.Context, s *Service, l *link, m *method, tries *attempts) error {
	then, err := o.frames(m)
	if err != nil {
		return err
	}
	headers, err := s.headers(nil, ctx, m.name, tries)
	if err != nil {
		return err
	}
	tries.seen.carries(l, headers)
	o.stream = &Stream{link: l, method: m, name: o.name, seen: tries.seen}
	return l.session.CallOn(ctx, &o.stream.st, m.id, o.args, then, rpc.CallOptions{
		Headers: headers, Send: m.send, Recv: m.recv,
	})
}

// headers appends those of one call to room, which has none.
func (s *Service) headers(room []Header, ctx context.Context, method string, tries *attempts) ([]Header, error) {
	hs := s.opts.headers(room, ctx, method)
	if method == enqueueMethod && tries.repeats() && s.opts.Headers.Get(storyHeader) == "" {
		hs = append(hs, Header{Name: storyHeader, Value: "1"})
	}
	return s.authorize(ctx, hs)
}

// frames gives those that leave together with the first.
func (o *opening) frames(m *method) ([]rpc.Outgoing, error) {
	then := o.room[:0]
	if o.chunk != nil {
		if !m.streams() {
			return nil, ErrNoMessage
		}
		then = append(then, rpc.Outgoing{Type: m.write, Args: o.chunk})
	}
	if o.hangUp && m.streams() {
		then = append(then, rpc.Outgoing{Type: m.close})
	}
	return then, nil
}

func (s *Service) failed(name string, err error) error {
	return &CallError{Service: s.Name(), Method: name, Err: err}
}

// appendArgs encodes the arguments of a call.
func appendArgs(b []byte, args []any) ([]byte, error) {
	b, err := codec.AppendArgs(b, args...)
	if err != nil {
		err = &kindError{err, ErrBadArgument}
	}
	return b, err
}
