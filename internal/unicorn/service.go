package unicorn

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Service is a store as the service `unicorn` (docs/PROTOCOL.md, unicorn).
//
// A channel that was answered with a value is done: a close that its client still
// sends is late, and one that never comes costs nothing.
func Service(s Store, o rpc.MuxOptions) *rpc.Mux {
	m := rpc.NewMux(idl.Unicorn, o)
	svc := service{s}
	m.Stream("subscribe", svc.subscribe)
	m.Stream("children_subscribe", svc.subscribeChildren)
	m.Change("put", svc.put)
	m.Inline("get", svc.get)
	m.Change("create", svc.create)
	m.Change("del", svc.del)
	m.Change("remove", svc.del)
	m.Change("increment", svc.increment)
	m.Stream("lock", svc.lock)
	m.Stream("named_lock", svc.lock)
	return m
}

type service struct{ store Store }

func (s service) get(ctx context.Context, c *rpc.Call) ([]byte, error) {
	a, err := decode(c)
	if err != nil {
		return nil, err
	}
	v, err := s.store.Get(ctx, a.path)
	return oneVersioned(v, err)
}

func (s service) create(ctx context.Context, c *rpc.Call) ([]byte, error) {
	a, err := decode(c)
	if err == nil {
		err = s.store.Create(ctx, a.path, a.value)
	}
	return done(err)
}

func (s service) del(ctx context.Context, c *rpc.Call) ([]byte, error) {
	a, err := decode(c)
	if err == nil {
		err = s.store.Del(ctx, a.path, a.version)
	}
	return done(err)
}

func (s service) put(ctx context.Context, c *rpc.Call) ([]byte, error) {
	a, err := decode(c)
	if err != nil {
		return nil, err
	}
	ok, current, err := s.store.Put(ctx, a.path, a.value, a.version)
	if err == nil {
		err = current.readable()
	}
	if err != nil {
		return nil, Coded(err)
	}
	b := msgpack.AppendArray(make([]byte, 0, len(current.Value)+16), 2)
	b = msgpack.AppendBool(b, ok)
	return current.append(b), nil
}

func (s service) increment(ctx context.Context, c *rpc.Call) ([]byte, error) {
	a, err := decode(c)
	if err != nil {
		return nil, err
	}
	v, err := s.store.Increment(ctx, a.path, a.value)
	return oneVersioned(v, err)
}

func (s service) subscribe(ctx context.Context, c *rpc.Call, st *rpc.Stream) error {
	a, err := decode(c)
	if err != nil {
		return err
	}
	w, err := s.store.Subscribe(a.path)
	if err != nil {
		return Coded(err)
	}
	defer w.Close()
	st.Gather()
	return whileOpen(ctx, st, func(ctx context.Context) error {
		for {
			args, err := oneVersioned(w.Next(ctx))
			if err != nil {
				return err
			}
			if err := tell(ctx, st, args); err != nil {
				return err
			}
		}
	})
}

func (s service) subscribeChildren(ctx context.Context, c *rpc.Call, st *rpc.Stream) error {
	a, err := decode(c)
	if err != nil {
		return err
	}
	w, err := s.store.SubscribeChildren(a.path)
	if err != nil {
		return Coded(err)
	}
	defer w.Close()
	st.Gather()
	return whileOpen(ctx, st, func(ctx context.Context) error {
		for {
			children, err := w.Next(ctx)
			if err != nil {
				return Coded(err)
			}
			if err := tell(ctx, st, children.args()); err != nil {
				return err
			}
		}
	})
}

// lock serves both methods. Without a value, the member's is the time in seconds.
func (s service) lock(ctx context.Context, c *rpc.Call, st *rpc.Stream) error {
	a, err := decode(c)
	if err != nil {
		return err
	}
	if a.value == nil {
		a.value = msgpack.AppendInt(nil, time.Now().Unix())
	}
	return whileOpen(ctx, st, func(ctx context.Context) error {
		h, err := s.store.Lock(ctx, a.path, a.value)
		if err != nil {
			return Coded(err)
		}
		// The end of the channel is what releases, so that must not be cut short by it.
		defer h.Release(context.WithoutCancel(ctx))
		select {
		case <-h.Acquired():
		case <-h.Lost():
			return Coded(h.Err())
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := st.Send(ctx, idl.Write, yes); err != nil {
			return err
		}
		select {
		case <-h.Lost():
			return Coded(h.Err())
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
}

// tell sends a subscriber what is new, unless the subscription has been closed: what
// came to be after the close, on the same connection perhaps, is not for it, whichever
// of the two is noticed first.
func tell(ctx context.Context, st *rpc.Stream, args []byte) error {
	if st.Ended() {
		return errOver
	}
	return st.Send(ctx, idl.Write, args)
}

// errOver ends what a client has closed.
var errOver = errors.New("closed by its client")

// whileOpen runs f until the client closes the channel, revokes it or goes away;
// then nothing more is sent. What f returns before that is the client's to know.
func whileOpen(ctx context.Context, st *rpc.Stream, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		_, _ = st.Recv(ctx) // the only message is close, and it is the last
		cancel(errOver)
	}()
	err := f(ctx)
	if ctx.Err() != nil || err == errOver {
		st.Mute()
		err = nil
	}
	cancel(nil)
	<-listening
	return err
}

// yes is the answer [true].
var yes = msgpack.AppendBool(msgpack.AppendArray(nil, 1), true)

// done answers an operation without a result.
func done(err error) ([]byte, error) {
	if err != nil {
		return nil, Coded(err)
	}
	return yes, nil
}

// readable tells whether clients can be told of what a node is: to them no value is one
// that does not decode.
func (v Versioned) readable() error {
	if v.Value == nil && v.Version != NoVersion {
		return ErrNoValue
	}
	return nil
}

// oneVersioned answers with a value: [[value, version]]. The bytes are shared by all
// who are answered with the same.
func oneVersioned(v Versioned, err error) ([]byte, error) {
	if err == nil {
		err = v.readable()
	}
	if err != nil {
		return nil, Coded(err)
	}
	if v.args == nil {
		v = versioned(v.Value, v.Version)
	}
	return v.args, nil
}

// args encodes [version, [name, ...]].
func (c Children) args() []byte {
	b := msgpack.AppendArray(nil, 2)
	b = msgpack.AppendInt(b, c.Version)
	b = msgpack.AppendArray(b, len(c.Names))
	for _, name := range c.Names {
		b = msgpack.AppendString(b, name)
	}
	return b
}

// codes are those of the original for what can be wrong.
var codes = []struct {
	err      error
	category int
	code     int
}{
	{ErrHasChildren, idl.CategoryUnicorn, idl.UnicornHasChildren},
	{ErrNotNumber, idl.CategoryUnicorn, idl.UnicornBadType},
	{ErrDamaged, idl.CategoryUnicorn, idl.UnicornBadValue},
	{ErrNoValue, idl.CategoryUnicorn, idl.UnicornBadValue},
	{ErrBadPath, idl.CategoryUnicorn, idl.UnicornBadPath},
	{ErrBadName, idl.CategoryUnicorn, idl.UnicornBackendInternal},
	{ErrVersion, idl.CategoryUnicorn, idl.UnicornVersionMismatch},
	{ErrNoNode, idl.CategoryUnicorn, idl.UnicornNoNode},
	{ErrNodeExists, idl.CategoryUnicorn, idl.UnicornNodeExists},
	{ErrClosed, idl.CategoryUnicorn, idl.UnicornConnectionLost},
	{ErrNotEmpty, idl.CategoryUnicorn, idl.UnicornBackendInternal},
	{ErrEphemeral, idl.CategoryUnicorn, idl.UnicornBackendInternal},
	{ErrTooLarge, idl.CategoryGeneric, int(syscall.EFBIG)},
	{ErrBadValue, idl.CategoryDispatch, idl.DispatchBadArgs},
}

// Coded gives an error its code on the wire. The text repeats the code, as in the
// original, whose users see the text only.
func Coded(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if _, ok := errors.AsType[*rpc.Error](err); ok {
		return err
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return rpc.Errorf(c.category, c.code, "[%d] %v", c.code, err)
		}
	}
	return rpc.Errorf(idl.CategoryUnicorn, idl.UnicornBackend, "[%d] %v", idl.UnicornBackend, err)
}
