package cocaine_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"reflect"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/standin"
)

// app makes an app service of one function, which gets the event and the stream.
func app(f func(ctx context.Context, event string, c *rpc.Call, s *rpc.Stream) error) *rpc.Mux {
	m := rpc.NewMux(idl.App, rpc.MuxOptions{})
	m.Stream("enqueue", func(ctx context.Context, c *rpc.Call, s *rpc.Stream) error {
		args := c.Reader()
		return f(ctx, args.String(), c, s)
	})
	return m
}

// chunk gives the arguments of a write message.
func chunk(s string) []byte {
	return msgpack.AppendString(msgpack.AppendArray(nil, 1), s)
}

// echo answers each chunk with itself.
func echo(ctx context.Context, _ string, _ *rpc.Call, s *rpc.Stream) error {
	for {
		m, err := s.Recv(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.Send(ctx, idl.Write, m.Args); err != nil {
			return err
		}
	}
}

// told collects how the caller's halves ended.
func told(how chan<- error) func(context.Context, string, *rpc.Call, *rpc.Stream) error {
	return func(ctx context.Context, event string, c *rpc.Call, s *rpc.Stream) error {
		err := echo(ctx, event, c, s)
		how <- err
		return err
	}
}

func TestEnqueue(t *testing.T) {
	r := standin.New(t)
	r.Serve("app", app(echo))
	ctx := patient(t)
	st, err := newClient(t, r).Service("app").Call(ctx, "enqueue", "echo")
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for _, word := range []string{"one", "two", ""} {
		if err := st.Send(ctx, []byte(word)); err != nil {
			t.Fatal(err)
		}
		m, err := st.Recv(ctx)
		if err != nil || string(m.Bytes()) != word || m.Name != "write" {
			t.Fatalf("got %q %q, %v", m.Name, m.Bytes(), err)
		}
	}
	if err := st.Send(ctx, "text"); err != nil {
		t.Fatal(err)
	}
	var s string
	if err := st.Decode(ctx, &s); err != nil || s != "text" {
		t.Fatalf("got %q, %v", s, err)
	}
	for range 2 {
		if err := st.CloseSend(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if _, err := st.Recv(ctx); err != io.EOF {
			t.Fatalf("the end is %v, want io.EOF itself", err)
		}
	}
	if err := st.Send(ctx, "late"); err == nil {
		t.Error("a chunk was sent after the end")
	}
}

func TestMessageThatMayNotBeSent(t *testing.T) {
	r := standin.New(t)
	r.Serve("app", app(echo))
	r.Serve("node", standin.NodeList())
	ctx := patient(t)
	client := newClient(t, r)
	st, err := client.Service("app").Call(ctx, "enqueue", "e")
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if err := st.SendMessage(ctx, "dance"); err == nil {
		t.Error("a message the graph does not have was sent")
	}
	if err := st.SendMessage(ctx, "write", "x"); err != nil {
		t.Error(err)
	}
	if m, err := st.Recv(ctx); err != nil || string(m.Bytes()) != "x" {
		t.Errorf("got %v, %v", m, err)
	}
	once, err := client.Service("node").Call(ctx, "list")
	if err != nil {
		t.Fatal(err)
	}
	defer once.Close()
	if once.Send(ctx, "x") == nil || once.CloseSend(ctx) == nil || once.SendMessage(ctx, "write") == nil {
		t.Error("a chunk was sent to a method that takes none")
	}
}

func TestErrorIsSticky(t *testing.T) {
	r := standin.New(t)
	r.Serve("app", app(func(ctx context.Context, _ string, _ *rpc.Call, s *rpc.Stream) error {
		if err := s.Send(ctx, idl.Write, chunk("before")); err != nil {
			return err
		}
		return rpc.Errorf(idl.CategoryUser, 7, "no luck")
	}))
	ctx := patient(t)
	st, err := newClient(t, r).Service("app").Call(ctx, "enqueue", "e")
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if m, err := st.Recv(ctx); err != nil || string(m.Bytes()) != "before" {
		t.Fatalf("got %q, %v", m.Bytes(), err)
	}
	for range 3 {
		if _, err := st.Recv(ctx); !errors.Is(err, &cocaine.Error{Category: idl.CategoryUser, Code: 7}) {
			t.Fatalf("got %v", err)
		}
	}
}

func TestRecvTimeoutThenChunk(t *testing.T) {
	r := standin.New(t)
	release := make(chan struct{})
	r.Serve("app", app(func(ctx context.Context, _ string, _ *rpc.Call, s *rpc.Stream) error {
		<-release
		return s.Send(ctx, idl.Write, chunk("late"))
	}))
	ctx := patient(t)
	st, err := newClient(t, r).Service("app").Call(ctx, "enqueue", "e")
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	if _, err := st.Recv(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	close(release)
	if m, err := st.Recv(ctx); err != nil || string(m.Bytes()) != "late" {
		t.Fatalf("got %q, %v", m.Bytes(), err)
	}
}

func TestCallContextEndsStream(t *testing.T) {
	r := standin.New(t)
	how := make(chan error, 1)
	r.Serve("app", app(told(how)))
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	st, err := newClient(t, r).Service("app").Call(ctx, "enqueue", "e")
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	cancel(cause)
	if _, err := st.Recv(patient(t)); !errors.Is(err, cause) {
		t.Errorf("Recv: %v", err)
	}
	if err := st.Send(patient(t), "x"); !errors.Is(err, cause) {
		t.Errorf("Send: %v", err)
	}
	if _, ok := errors.AsType[*cocaine.Error](await(t, how, "the end of the handler")); !ok {
		t.Error("the app was not told with an error")
	}
}

func TestCloseTellsTheApp(t *testing.T) {
	r := standin.New(t)
	how := make(chan error, 1)
	r.Serve("app", app(told(how)))
	st, err := newClient(t, r).Service("app").Call(context.Background(), "enqueue", "e")
	if err != nil {
		t.Fatal(err)
	}
	st.Close()
	st.Close()
	if _, ok := errors.AsType[*cocaine.Error](await(t, how, "the end of the handler")); !ok {
		t.Error("the app was not told with an error")
	}
	if _, err := st.Recv(patient(t)); !errors.Is(err, cocaine.ErrClosed) || errors.Is(err, io.EOF) {
		t.Errorf("Recv after Close: %v", err)
	}
	if err := st.Send(patient(t), "x"); !errors.Is(err, cocaine.ErrClosed) {
		t.Errorf("Send after Close: %v", err)
	}
}

// An app that ends its half first gets a clean end of the caller's.
func TestCloseAfterTheEnd(t *testing.T) {
	r := standin.New(t)
	how := make(chan error, 1)
	r.Serve("app", app(func(ctx context.Context, _ string, _ *rpc.Call, s *rpc.Stream) error {
		if err := s.Send(ctx, idl.Close, nil); err != nil {
			return err
		}
		_, err := s.Recv(ctx)
		how <- err
		return nil
	}))
	ctx := patient(t)
	st, err := newClient(t, r).Service("app").Call(ctx, "enqueue", "e")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Recv(ctx); err != io.EOF {
		t.Fatalf("got %v", err)
	}
	st.Close()
	if err := await(t, how, "the end of the handler"); err != io.EOF {
		t.Errorf("the app was told %v", err)
	}
}

func TestChunks(t *testing.T) {
	r := standin.New(t)
	ended := make(chan struct{}, 1)
	m := rpc.NewMux(idl.Chrono, rpc.MuxOptions{})
	m.Stream("notify_every", func(ctx context.Context, c *rpc.Call, s *rpc.Stream) error {
		defer func() { ended <- struct{}{} }()
		args := c.Reader()
		n := int(args.Float())
		for i := 0; n == 0 || i < n; i++ {
			if err := s.Send(ctx, idl.Write, standin.Value(i)); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		if n == 3 {
			return rpc.Errorf(idl.CategoryUser, 1, "three is too many")
		}
		return nil
	})
	r.Serve("chrono", m)
	svc := newClient(t, r).Service("chrono")

	var got []int
	for v, err := range cocaine.Chunks[int](patient(t), svc, "notify_every", 2.0) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, v)
	}
	if !reflect.DeepEqual(got, []int{0, 1}) {
		t.Errorf("got %v", got)
	}
	await(t, ended, "the method")

	got = nil
	var last error
	for v, err := range cocaine.Chunks[int](patient(t), svc, "notify_every", 3.0) {
		if last = err; err == nil {
			got = append(got, v)
		}
	}
	if !reflect.DeepEqual(got, []int{0, 1, 2}) || !errors.Is(last, &cocaine.Error{Category: idl.CategoryUser, Code: 1}) {
		t.Errorf("got %v and %v", got, last)
	}
	await(t, ended, "the method")

	for v, err := range cocaine.Chunks[int](patient(t), svc, "notify_every", 0.0) { // without an end
		if err != nil {
			t.Fatal(err)
		}
		if v == 5 {
			break
		}
	}
	await(t, ended, "the method: leaving the loop did not end it")

	if v, err := cocaine.Get[int](patient(t), svc, "notify_every", 0.0); err != nil || v != 0 {
		t.Errorf("the first of many: %d, %v", v, err)
	}
	await(t, ended, "the method: Get did not end it")

	for _, err := range cocaine.Chunks[string](patient(t), svc, "notify_every", 1.0) {
		if err == nil {
			t.Error("a number was decoded as a string")
		}
	}
	await(t, ended, "the method")

	ctx, cancel := context.WithCancel(patient(t))
	defer cancel()
	for v, err := range cocaine.Chunks[int](ctx, svc, "notify_every", 0.0) {
		if v == 2 {
			cancel()
		}
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("after cancel: %v", last)
	}
	await(t, ended, "the method")
}

func TestEmptyStream(t *testing.T) {
	r := standin.New(t)
	r.Serve("app", app(func(context.Context, string, *rpc.Call, *rpc.Stream) error { return nil }))
	svc := newClient(t, r).Service("app")
	if err := cocaine.Exec(patient(t), svc, "enqueue", "e"); err != nil {
		t.Errorf("Exec: %v", err)
	}
	if _, err := cocaine.Get[string](patient(t), svc, "enqueue", "e"); !errors.Is(err, io.EOF) {
		t.Errorf("Get: %v", err)
	}
	if _, err := cocaine.Invoke[string](patient(t), cocaine.AppOf(svc), "e", nil); !errors.Is(err, io.EOF) {
		t.Errorf("Invoke: %v", err)
	}
	for v, err := range cocaine.Chunks[string](patient(t), svc, "enqueue", "e") {
		t.Errorf("Chunks: %q, %v", v, err)
	}
}

// A subscription ends with the message its protocol has for that, and so does a
// call whose answer has come.
func TestSubscriptionIsLeft(t *testing.T) {
	r := standin.New(t)
	left := make(chan error, 1)
	m := rpc.NewMux(idl.Unicorn, rpc.MuxOptions{})
	serve := func(ctx context.Context, s *rpc.Stream, typ uint64) error {
		if err := s.Send(ctx, typ, standin.Value([]any{"v", 1})); err != nil {
			return err
		}
		_, err := s.Recv(ctx)
		left <- err
		return err
	}
	m.Stream("subscribe", func(ctx context.Context, _ *rpc.Call, s *rpc.Stream) error { return serve(ctx, s, idl.Write) })
	m.Stream("get", func(ctx context.Context, _ *rpc.Call, s *rpc.Stream) error { return serve(ctx, s, idl.Value) })
	r.Serve("unicorn", m)
	svc := newClient(t, r).Service("unicorn")
	type versioned struct {
		Value   string
		Version int
	}
	for v, err := range cocaine.Chunks[versioned](patient(t), svc, "subscribe", "/p") {
		if err != nil || v != (versioned{"v", 1}) {
			t.Fatalf("got %v, %v", v, err)
		}
		break
	}
	if err := await(t, left, "the end of the subscription"); err != io.EOF {
		t.Errorf("left with %v, want the close message", err)
	}
	if v, err := cocaine.Get[versioned](patient(t), svc, "get", "/p"); err != nil || v.Version != 1 {
		t.Fatalf("got %v, %v", v, err)
	}
	if err := await(t, left, "the end of the call"); err != io.EOF {
		t.Errorf("left with %v, want the close message", err)
	}
}

func TestInvoke(t *testing.T) {
	r := standin.New(t)
	requests := make(chan string, 10)
	r.Serve("app", app(func(ctx context.Context, event string, c *rpc.Call, s *rpc.Stream) error {
		m, err := s.Recv(ctx)
		if err != nil {
			return err
		}
		content, _ := hpack.Lookup(c.Headers, "content-type")
		_, end := s.Recv(ctx)
		requests <- fmt.Sprintf("%s %s %q %v", event, content, cocaine.Message{Args: m.Args}.Bytes(), end)
		switch event {
		case "many":
			_ = s.Send(ctx, idl.Write, m.Args)
		case "fails":
			return rpc.Errorf(idl.CategoryWorker, 100, "boom")
		case "strange":
			return s.Send(ctx, idl.Write, standin.Value(5))
		}
		return s.Send(ctx, idl.Write, m.Args)
	}))
	svc := newClient(t, r).Service("app")
	type pair struct {
		A int    `json:"a"`
		B string `json:"b"`
	}
	in := pair{1, "x"}

	out, err := cocaine.Invoke[pair](patient(t), cocaine.AppOf(svc), "same", in)
	if err != nil || out != in {
		t.Errorf("msgpack: %+v, %v", out, err)
	}
	if got := await(t, requests, "the request"); got != `same  "\x82\xa1a\x01\xa1b\xa1x" EOF` {
		t.Errorf("the app got %s", got)
	}
	json := svc.With(cocaine.CallOptions{ContentType: cocaine.ContentJSON})
	if out, err = cocaine.Invoke[pair](patient(t), cocaine.AppOf(json), "same", in); err != nil || out != in {
		t.Errorf("json: %+v, %v", out, err)
	}
	if got := await(t, requests, "the request"); got != `same application/json "{\"a\":1,\"b\":\"x\"}" EOF` {
		t.Errorf("the app got %s", got)
	}
	raw, err := cocaine.Invoke[[]byte](patient(t), cocaine.AppOf(svc).With(cocaine.CallOptions{ContentType: cocaine.ContentBytes}), "same", "as it is")
	if err != nil || string(raw) != "as it is" {
		t.Errorf("bytes: %q, %v", raw, err)
	}
	await(t, requests, "the request")

	_, err = cocaine.Invoke[pair](patient(t), cocaine.AppOf(svc), "fails", in)
	if want := "cannot call app.fails: boom [42, 100]"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err := cocaine.Invoke[pair](patient(t), cocaine.AppOf(svc), "many", in); err == nil {
		t.Error("an answer of two chunks was taken")
	}
	if _, err := cocaine.Invoke[pair](patient(t), cocaine.AppOf(svc), "strange", in); err == nil {
		t.Error("an answer that is no chunk was taken")
	}
	if _, err := cocaine.Invoke[int](patient(t), cocaine.AppOf(svc), "same", in); err == nil {
		t.Error("a struct was decoded as a number")
	}
	if _, err := cocaine.Invoke[int](patient(t), cocaine.AppOf(json), "same", func() {}); err == nil {
		t.Error("a function was encoded")
	}
	if _, err := cocaine.Invoke[int](patient(t), cocaine.AppOf(svc).With(cocaine.CallOptions{ContentType: "text/html"}), "same", in); err == nil {
		t.Error("an unknown content type was used")
	}
	r.Serve("node", standin.NodeList())
	if _, err := cocaine.Invoke[int](patient(t), cocaine.AppOf(svc), "same", in); err == nil {
		t.Error("a node is no app")
	}
}

// headersOf serves an app that tells the headers of its calls.
func headersOf(r *standin.Runtime, name string) <-chan cocaine.Headers {
	got := make(chan cocaine.Headers, 10)
	r.Serve(name, app(func(_ context.Context, _ string, c *rpc.Call, s *rpc.Stream) error {
		got <- append(cocaine.Headers(nil), c.Headers...)
		return nil
	}))
	return got
}

func TestDeadlineTravels(t *testing.T) {
	r := standin.New(t)
	headers := headersOf(r, "app")
	svc := newClient(t, r).Service("app")
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := cocaine.Exec(ctx, svc, "enqueue", "e"); err != nil {
		t.Fatal(err)
	}
	v := await(t, headers, "the call").Get("request_timeout")
	if len(v) != 8 {
		t.Fatalf("request_timeout is %q", v)
	}
	if ms := binary.LittleEndian.Uint64([]byte(v)); ms > 30_000 || ms < 20_000 {
		t.Errorf("request_timeout is %d ms", ms)
	}
	if err := cocaine.Exec(context.Background(), svc, "enqueue", "e"); err != nil {
		t.Fatal(err)
	}
	if hs := await(t, headers, "the call"); len(hs) != 0 {
		t.Errorf("a call without anything to say has headers %q", hs)
	}
}

func TestHeadersOfAHandle(t *testing.T) {
	r := standin.New(t)
	headers := headersOf(r, "app")
	plain := newClient(t, r).Service("app")
	a := plain.With(cocaine.CallOptions{Headers: cocaine.Headers{{Name: "authorization", Value: "me"}}})
	b := a.With(cocaine.CallOptions{Headers: cocaine.Headers{{Name: "x", Value: "1"}}, ContentType: cocaine.ContentJSON})
	c := a.With(cocaine.CallOptions{Headers: cocaine.Headers{{Name: "x", Value: "2"}}})
	for _, w := range []struct {
		svc  *cocaine.Service
		want string
	}{
		{plain, "[]"},
		{a, "[{authorization me}]"},
		{b, "[{authorization me} {x 1} {content-type application/json}]"},
		{c, "[{authorization me} {x 2}]"},
	} {
		if err := cocaine.Exec(context.Background(), w.svc, "enqueue", "e"); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint([]cocaine.Header(await(t, headers, "the call"))); got != w.want {
			t.Errorf("got %s, want %s", got, w.want)
		}
	}
}

func TestTraceTravels(t *testing.T) {
	r := standin.New(t)
	headers := headersOf(r, "app")
	svc := newClient(t, r).Service("app")
	trace := cocaine.NewTrace()
	trace.Verbose = true
	if cocaine.TraceOf(context.Background()) != (cocaine.Trace{}) {
		t.Error("a context without a trace has one")
	}
	ctx := cocaine.WithTrace(context.Background(), trace)
	var spans []uint64
	for range 2 {
		if err := cocaine.Exec(ctx, svc, "enqueue", "e"); err != nil {
			t.Fatal(err)
		}
		got, err := rpc.ParseTrace(await(t, headers, "the call"))
		if err != nil || got.ID != trace.ID || got.Parent != trace.Span || !got.Verbose || got.Span == 0 {
			t.Fatalf("got %+v, %v of %+v", got, err, trace)
		}
		spans = append(spans, got.Span)
	}
	if spans[0] == spans[1] || spans[0] == trace.Span {
		t.Errorf("spans are not their own: %x of %x", spans, trace.Span)
	}
}

// A peer that does not read makes the sender wait, and the wait obeys the context.
func TestBackpressure(t *testing.T) {
	r := standin.New(t)
	release := make(chan struct{})
	r.Serve("app", app(func(ctx context.Context, _ string, _ *rpc.Call, s *rpc.Stream) error {
		<-release
		for {
			if _, err := s.Recv(ctx); err != nil {
				return nil
			}
		}
	}))
	st, err := newClient(t, r).Service("app").Call(context.Background(), "enqueue", "e")
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	piece, sent := make([]byte, 1<<20), 0
	for err == nil {
		err = st.Send(ctx, piece)
		sent++
	}
	if !errors.Is(err, context.DeadlineExceeded) || sent > 100 {
		t.Fatalf("%d MiB were taken, then %v", sent, err)
	}
	close(release)
	if err := st.Send(patient(t), piece); err != nil {
		t.Fatal(err)
	}
	if err := st.CloseSend(patient(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Recv(patient(t)); err != io.EOF {
		t.Fatal(err)
	}
}

// A context that ends while a call is being opened gives the call up, once; the
// race detector watches.
func TestContextEndsWhileCallOpens(t *testing.T) {
	r := standin.New(t)
	r.Serve("app", app(func(ctx context.Context, _ string, _ *rpc.Call, _ *rpc.Stream) error {
		<-ctx.Done()
		return ctx.Err()
	}))
	s := newClient(t, r).Service("app")
	if err := s.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 300 {
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		if st, err := s.Call(ctx, "enqueue", "x"); err == nil {
			st.Close()
		} else if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		cancel()
	}
}

// milliseconds reads a request_timeout.
func milliseconds(v string) uint64 {
	if len(v) != 8 {
		return 0
	}
	return binary.LittleEndian.Uint64([]byte(v))
}

// Whatever way an event is called, the deadline goes with it.
func TestDeadlineTravelsWithEveryCall(t *testing.T) {
	r := standin.New(t)
	headers := headersOf(r, "app")
	svc := newClient(t, r).Service("app")
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for name, call := range map[string]func() error{
		"Get":    func() error { _, err := cocaine.Get[string](ctx, svc, "enqueue", "e"); return err },
		"Exec":   func() error { return cocaine.Exec(ctx, svc, "enqueue", "e") },
		"Invoke": func() error { _, err := cocaine.Invoke[string](ctx, cocaine.AppOf(svc), "e", "x"); return err },
		"Chunks": func() error {
			for _, err := range cocaine.Chunks[string](ctx, svc, "enqueue", "e") {
				return err
			}
			return nil
		},
		"Call": func() error {
			st, err := svc.Call(ctx, "enqueue", "e")
			if err == nil {
				defer st.Close()
				_, err = st.Recv(ctx)
			}
			return err
		},
		"Enqueue": func() error {
			st, err := cocaine.AppOf(svc).Enqueue(ctx, "e")
			if err == nil {
				defer st.Close()
				_, err = st.Recv(ctx)
			}
			return err
		},
		"InvokeStream": func() error {
			for _, err := range cocaine.InvokeStream[string](ctx, cocaine.AppOf(svc), "e", "x") {
				return err
			}
			return nil
		},
	} {
		if err := call(); err != nil && !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", name, err)
		}
		if ms := milliseconds(await(t, headers, "the call").Get("request_timeout")); ms > 30_000 || ms < 10_000 {
			t.Errorf("%s: request_timeout is %d ms", name, ms)
		}
	}
}

// The whole of a trace id of 128 bits arrives, and what is made of it goes on.
func TestTraceparentTravels(t *testing.T) {
	r := standin.New(t)
	headers := headersOf(r, "app")
	svc := newClient(t, r).Service("app")
	trace, err := cocaine.ParseTraceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	if err != nil {
		t.Fatal(err)
	}
	if err := cocaine.Exec(cocaine.WithTrace(patient(t), trace), svc, "enqueue", "e"); err != nil {
		t.Fatal(err)
	}
	got, err := rpc.ParseTrace(await(t, headers, "the call"))
	if err != nil || got.High != 0x4bf92f3577b34da6 || got.ID != 0xa3ce929d0e0e4736 || got.Parent != 0x00f067aa0ba902b7 || got.Span == 0 {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := cocaine.Exec(cocaine.WithTrace(context.Background(), cocaine.NewTrace()), svc, "enqueue", "e"); err != nil {
		t.Fatal(err)
	}
	if hs := await(t, headers, "the call"); hs.Get("traceparent") != "" || len(hs) != 3 {
		t.Errorf("a trace of 64 bits travels as %q", hs)
	}
}
