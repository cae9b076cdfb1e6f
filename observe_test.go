package cocaine_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/standin"
)

// observed keeps what an Observer hears.
type observed struct {
	mu    sync.Mutex
	calls []*cocaine.CallInfo
	more  chan struct{}
}

func newObserved() *observed { return &observed{more: make(chan struct{}, 1000)} }

func (o *observed) hear(_ context.Context, c *cocaine.CallInfo) {
	o.mu.Lock()
	if c.Service != "locator" {
		o.calls = append(o.calls, c)
		o.more <- struct{}{}
	}
	o.mu.Unlock()
}

// take waits for the next call that is over, and gives it.
func (o *observed) take(t *testing.T) *cocaine.CallInfo {
	t.Helper()
	await(t, o.more, "the end of a call")
	o.mu.Lock()
	defer o.mu.Unlock()
	c := o.calls[0]
	o.calls = o.calls[1:]
	return c
}

// none fails the test if a call was heard of that was not taken.
func (o *observed) none(t *testing.T, when string) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.calls {
		t.Errorf("%s: heard of %+v", when, c)
	}
}

// endings is an app whose events end as their names say.
func endings(ctx context.Context, event string, c *rpc.Call, s *rpc.Stream) error {
	switch event {
	case "fail":
		return cocaine.Errorf(cocaine.CategoryUser, 7, "no")
	case "full":
		return cocaine.Errorf(idl.CategoryOverseer, idl.OverseerQueueFull, "full")
	case "hang":
		<-ctx.Done()
		return ctx.Err()
	}
	return echo(ctx, event, c, s)
}

// Whoever ends a call, the observer hears of it once, with how it ended.
func TestObserver(t *testing.T) {
	r := standin.New(t)
	r.Serve("app", app(endings))
	r.Serve("node", standin.NodeList("a"))
	heard := newObserved()
	client := newClient(t, r, func(o *cocaine.Options) { o.Observer = heard.hear })
	svc, node := client.Service("app"), client.Service("node")
	ctx := patient(t)
	short := func() context.Context {
		ctx, cancel := context.WithCancelCause(ctx)
		cancel(errors.New("enough"))
		return ctx
	}
	open := func(event string) *cocaine.Stream {
		st, err := svc.Call(ctx, "enqueue", event)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	for _, c := range []struct {
		name          string
		call          func()
		method, event string
		outcome       cocaine.Outcome
		attempts      int
	}{
		{"Get", func() { _, _ = cocaine.Get[[]string](ctx, node, "list") }, "list", "", cocaine.OutcomeOK, 1},
		{"Exec", func() { _ = cocaine.Exec(ctx, node, "list") }, "list", "", cocaine.OutcomeOK, 1},
		{"Chunks", func() {
			for range cocaine.Chunks[string](ctx, svc, "enqueue", "fail") {
			}
		}, "enqueue", "fail", cocaine.OutcomeError, 1},
		{"Invoke", func() { _, _ = cocaine.Invoke[string](ctx, cocaine.AppOf(svc), "echo", "x") }, "enqueue", "echo", cocaine.OutcomeOK, 1},
		{"Invoke fails", func() { _, _ = cocaine.Invoke[string](ctx, cocaine.AppOf(svc), "fail", "x") }, "enqueue", "fail", cocaine.OutcomeError, 1},
		{"Invoke, another type", func() { _, _ = cocaine.Invoke[int](ctx, cocaine.AppOf(svc), "echo", "x") }, "enqueue", "echo", cocaine.OutcomeInvalid, 1},
		{"no such method", func() { _ = cocaine.Exec(ctx, node, "wat") }, "wat", "", cocaine.OutcomeInvalid, 1},
		{"bad argument", func() { _ = cocaine.Exec(ctx, node, "list", cocaine.Raw{0x93}) }, "list", "", cocaine.OutcomeInvalid, 0},
		{"bad argument of a stream", func() { _, _ = node.Call(ctx, "list", cocaine.Raw{0x93}) }, "list", "", cocaine.OutcomeInvalid, 0},
		{"ended context", func() { _ = cocaine.Exec(short(), node, "list") }, "list", "", cocaine.OutcomeCanceled, 0},
		{"ended context of a stream", func() { _, _ = node.Call(short(), "list") }, "list", "", cocaine.OutcomeCanceled, 0},
		{"no such service", func() { _ = cocaine.Exec(ctx, client.Service("wat"), "list") }, "list", "", cocaine.OutcomeUnavailable, 1},
		{"stream of no such service", func() { _, _ = client.Service("wat").Call(ctx, "list") }, "list", "", cocaine.OutcomeUnavailable, 1},
		{"stream, one value", func() {
			st, _ := node.Call(ctx, "list")
			_, _ = st.Recv(ctx)
			st.Close()
		}, "list", "", cocaine.OutcomeOK, 1},
		{"stream, to the end", func() {
			st := open("echo")
			_ = st.Send(ctx, "x")
			_ = st.CloseSend(ctx)
			for range st.All(ctx) {
			}
			_, _ = st.Recv(ctx)
			st.Close()
		}, "enqueue", "echo", cocaine.OutcomeOK, 1},
		{"stream, error", func() {
			st := open("fail")
			_, _ = st.Recv(ctx)
			_, _ = st.Recv(ctx)
			st.Close()
		}, "enqueue", "fail", cocaine.OutcomeError, 1},
		{"stream, closed", func() { open("hang").Close() }, "enqueue", "hang", cocaine.OutcomeCanceled, 1},
		{"stream, context", func() {
			ctx, cancel := context.WithCancel(ctx)
			_, _ = svc.Call(ctx, "enqueue", "hang")
			cancel()
		}, "enqueue", "hang", cocaine.OutcomeCanceled, 1},
		{"repeated", func() {
			policy := cocaine.RetryPolicy{Attempts: 3, Delay: 1}
			_, _ = cocaine.Invoke[string](ctx, cocaine.AppOf(svc).With(cocaine.CallOptions{Retry: &policy, Idempotent: true}), "full", "x")
		}, "enqueue", "full", cocaine.OutcomeError, 3},
	} {
		c.call()
		got := heard.take(t)
		if got.Method != c.method || got.Event != c.event || got.Outcome() != c.outcome || got.Attempts != c.attempts {
			t.Errorf("%s: heard of %s %q, %v after %d attempts: %v", c.name, got.Method, got.Event, got.Outcome(), got.Attempts, got.Err)
		}
		if _, ok := errors.AsType[*cocaine.CallError](got.Err); got.Err != nil && !ok {
			t.Errorf("%s: the error is a %T", c.name, got.Err)
		}
		if got.Start.IsZero() || got.Duration < 0 || got.Outcome() == cocaine.OutcomeOK && got.Endpoint == "" {
			t.Errorf("%s: %+v", c.name, got)
		}
		heard.none(t, c.name)
	}
	client.Close()
	if err := cocaine.Exec(ctx, node, "list"); !errors.Is(err, cocaine.ErrClosed) {
		t.Fatal(err)
	}
	if got := heard.take(t); got.Outcome() != cocaine.OutcomeCanceled {
		t.Errorf("on a closed client: %v", got.Outcome())
	}
}

// What went and came is counted, and the span is the one that the service saw.
func TestObserverBytesAndTrace(t *testing.T) {
	r := standin.New(t)
	spans := make(chan rpc.Trace, 10)
	r.Serve("app", app(func(ctx context.Context, event string, c *rpc.Call, s *rpc.Stream) error {
		trace, err := rpc.ParseTrace(c.Headers)
		if err != nil {
			return err
		}
		spans <- trace
		return echo(ctx, event, c, s)
	}))
	heard := newObserved()
	svc := newClient(t, r, func(o *cocaine.Options) { o.Observer = heard.hear }).Service("app")
	trace := cocaine.NewTrace()
	ctx := cocaine.WithTrace(patient(t), trace)
	if _, err := cocaine.Invoke[[]byte](ctx, cocaine.AppOf(svc), "echo", make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	got, saw := heard.take(t), await(t, spans, "the span")
	if got.Trace != saw || saw.ID != trace.ID || saw.Parent != trace.Span {
		t.Errorf("heard of %+v, the service of %+v", got.Trace, saw)
	}
	if got.Sent < 1000 || got.Sent > 1020 || got.Received < 1000 || got.Received > 1020 {
		t.Errorf("%d bytes sent, %d received", got.Sent, got.Received)
	}
	st, err := svc.Call(ctx, "enqueue", "echo")
	if err != nil {
		t.Fatal(err)
	}
	await(t, spans, "the span")
	for range 3 {
		if err := st.Send(ctx, make([]byte, 500)); err != nil {
			t.Fatal(err)
		}
		if _, err := st.Recv(ctx); err != nil {
			t.Fatal(err)
		}
	}
	st.Close()
	if got := heard.take(t); got.Sent < 1500 || got.Sent > 1530 || got.Received < 1500 || got.Received > 1530 {
		t.Errorf("%d bytes sent, %d received on a stream", got.Sent, got.Received)
	}
}

// A connection that is lost ends calls and streams alike.
func TestObserverOfALostConnection(t *testing.T) {
	r := standin.New(t)
	m, begun, ended := hanging()
	node := r.Serve("node", m)
	heard := newObserved()
	client := newClient(t, r, func(o *cocaine.Options) { o.Observer = heard.hear })
	got := background(func() ([]string, error) { return client.Node().List(patient(t)) })
	await(t, begun, "the call")
	settle(t, "1 call under way", func() bool { return client.Stats().UnderWay == 1 })
	node.Stop()
	await(t, ended, "the end of the method")
	if r := await(t, got, "the error"); !errors.Is(r.Err, cocaine.ErrDisconnected) {
		t.Errorf("got %v", r.Err)
	}
	if c := heard.take(t); c.Outcome() != cocaine.OutcomeUnavailable || c.Endpoint != node.Addr() {
		t.Errorf("heard of %v at %q", c.Outcome(), c.Endpoint)
	}
	heard.none(t, "once is enough")
}

func TestOutcomeOf(t *testing.T) {
	call := func(err error) error { return &cocaine.CallError{Service: "s", Method: "m", Err: err} }
	for _, c := range []struct {
		err  error
		want cocaine.Outcome
	}{
		{nil, cocaine.OutcomeOK},
		{io.EOF, cocaine.OutcomeOK},
		{call(io.EOF), cocaine.OutcomeOK},
		{call(cocaine.Errorf(1, 2, "no")), cocaine.OutcomeError},
		{call(cocaine.ErrPermission), cocaine.OutcomeError},
		{errors.New("what is this"), cocaine.OutcomeError},
		{call(context.DeadlineExceeded), cocaine.OutcomeTimeout},
		{call(context.Canceled), cocaine.OutcomeCanceled},
		{call(cocaine.ErrClosed), cocaine.OutcomeCanceled},
		{call(cocaine.ErrNoMethod), cocaine.OutcomeInvalid},
		{call(cocaine.ErrNoMessage), cocaine.OutcomeInvalid},
		{call(cocaine.ErrBadArgument), cocaine.OutcomeInvalid},
		{call(cocaine.ErrBadAnswer), cocaine.OutcomeInvalid},
		{call(cocaine.ErrTooLarge), cocaine.OutcomeInvalid},
		{call(&cocaine.VersionError{}), cocaine.OutcomeInvalid},
		{call(&cocaine.DisconnectedError{Err: io.EOF}), cocaine.OutcomeUnavailable},
		{call(&cocaine.ConnectError{Attempts: []error{context.DeadlineExceeded}}), cocaine.OutcomeUnavailable},
		{call(&cocaine.ResolveError{Err: cocaine.ErrServiceNotFound}), cocaine.OutcomeUnavailable},
	} {
		if got := cocaine.OutcomeOf(c.err); got != c.want {
			t.Errorf("%v is %v, want %v", c.err, got, c.want)
		}
	}
	if got := cocaine.Outcome(99).String(); got != "unknown" {
		t.Errorf("got %q", got)
	}
}

// The counters of a client.
func TestStats(t *testing.T) {
	r := standin.New(t)
	r.Serve("app", app(endings))
	client := newClient(t, r)
	if got := client.Stats(); got != (cocaine.Stats{}) {
		t.Errorf("before the first call: %+v", got)
	}
	ctx, svc := patient(t), client.Service("app")
	for range 5 {
		if _, err := cocaine.Invoke[string](ctx, cocaine.AppOf(svc), "echo", "x"); err != nil {
			t.Fatal(err)
		}
	}
	policy := cocaine.RetryPolicy{Attempts: 3, Delay: 1}
	retrying := svc.With(cocaine.CallOptions{Retry: &policy, Idempotent: true})
	if _, err := cocaine.Invoke[string](ctx, cocaine.AppOf(retrying), "full", "x"); !errors.Is(err, cocaine.ErrQueueFull) {
		t.Fatal(err)
	}
	if err := cocaine.Exec(ctx, svc, "wat"); !errors.Is(err, cocaine.ErrNoMethod) {
		t.Fatal(err)
	}
	if err := cocaine.Exec(ctx, client.Service("nobody"), "x"); !errors.Is(err, cocaine.ErrServiceNotFound) {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, 1)
	defer cancel()
	if _, err := cocaine.Invoke[string](short, cocaine.AppOf(svc), "hang", "x"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	st, err := svc.Call(ctx, "enqueue", "hang")
	if err != nil {
		t.Fatal(err)
	}
	// Six calls of events and two questions to the locator went well or not; one goes on.
	want := cocaine.Stats{Connections: 2, UnderWay: 1, OK: 6, Errors: 2, Timeouts: 1, Unavailable: 1, Invalid: 1, Retries: 2}
	settle(t, "a channel to be free", func() bool { return client.Stats().UnderWay == want.UnderWay })
	if got := client.Stats(); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	st.Close()
	client.Close()
	want.Connections, want.UnderWay, want.Canceled = 0, 0, 1
	if got := client.Stats(); got != want {
		t.Errorf("after the end: got  %+v\nwant %+v", got, want)
	}
	if n := want.Calls(); n != 12 {
		t.Errorf("%d calls", n)
	}
}

// A message that comes for a call that was given up is counted.
func TestStatsLateFrames(t *testing.T) {
	s := play(t, "node", idl.NodeService)
	ctx, cancel := context.WithCancel(patient(t))
	got := background(func() ([]string, error) { return s.client.Node().List(ctx) })
	s.Want(1, 2) // list
	cancel()
	await(t, got, "the end of the call")
	s.Want(2, idl.Revoke, 1, []any{2, 125})
	s.Send(1, idl.Value, []string{"late"})
	got = background(func() ([]string, error) { return s.client.Node().List(patient(t)) })
	s.Want(3, 2)
	s.Send(3, idl.Value, []string{"a"})
	if r := await(t, got, "the answer"); r.Err != nil {
		t.Fatal(r.Err)
	}
	if n := s.client.Stats().LateFrames; n != 1 {
		t.Errorf("%d late frames, want 1", n)
	}
}

// settle waits until something that is about to happen has happened.
func settle(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
