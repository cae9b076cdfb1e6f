package cocainetest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/cocainetest"
	"github.com/cocaine/cocaine-go/worker"
)

type person struct {
	Name string `json:"name"`
}

type greeting struct {
	Text string `json:"text"`
}

func greet(_ context.Context, p person) (greeting, error) {
	if p.Name == "" {
		return greeting{}, cocaine.Errorf(cocaine.CategoryUser, 1, "whom?")
	}
	return greeting{"hello " + p.Name}, nil
}

func bindGreet(w *worker.Worker) { worker.Handle(w, "greet", greet) }

func invoke(ctx context.Context, rt *cocainetest.Runtime, app, name string) (string, error) {
	g, err := cocaine.Invoke[greeting](ctx, rt.Client().App(app), "greet", person{name})
	return g.Text, err
}

func TestWorker(t *testing.T) {
	rt := cocainetest.NewRuntime(t)
	w := rt.Worker("hello", bindGreet)
	if got, err := invoke(t.Context(), rt, "hello", "Ann"); err != nil || got != "hello Ann" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := invoke(t.Context(), rt, "hello", ""); !errors.Is(err, cocaine.Errorf(cocaine.CategoryUser, 1, "")) {
		t.Errorf("got %v", err)
	}
	if _, err := invoke(t.Context(), rt, "nobody", "Ann"); !errors.Is(err, cocaine.ErrServiceNotFound) {
		t.Errorf("got %v", err)
	}
	if err := w.Stop(); err != nil {
		t.Errorf("Run returned %v", err)
	}
	rt.Worker("hello", bindGreet) // in its place
	if got, err := invoke(t.Context(), rt, "hello", "Zoe"); err != nil || got != "hello Zoe" {
		t.Errorf("got %q, %v", got, err)
	}
}

// The program's own way to make its worker.
func TestServe(t *testing.T) {
	newWorker := func(o worker.Options) (*worker.Worker, error) {
		w, err := worker.New(o)
		if err == nil {
			bindGreet(w)
		}
		return w, err
	}
	rt := cocainetest.NewRuntime(t)
	w, err := newWorker(rt.WorkerOptions("hello"))
	if err != nil {
		t.Fatal(err)
	}
	rt.Serve(w)
	if got, err := invoke(t.Context(), rt, "hello", "Ann"); err != nil || got != "hello Ann" {
		t.Errorf("got %q, %v", got, err)
	}
}

// A worker's client is one of the same runtime.
func TestWorkerCallsServices(t *testing.T) {
	rt := cocainetest.NewRuntime(t)
	storage := rt.Service("storage", cocainetest.Methods{"read": cocainetest.Answer("Ann")})
	rt.Worker("hello", func(w *worker.Worker) {
		client, err := w.Client()
		if err != nil {
			t.Fatal(err)
		}
		worker.Handle(w, "greet", func(ctx context.Context, key string) (greeting, error) {
			name, err := cocaine.Get[string](ctx, client.Service("storage"), "read", "names", key)
			return greeting{"hello " + name}, err
		})
	})
	ctx := cocaine.WithTrace(t.Context(), cocaine.Trace{ID: 7, Span: 8})
	got, err := cocaine.Invoke[greeting](ctx, rt.Client().App("hello"), "greet", "first")
	if err != nil || got.Text != "hello Ann" {
		t.Errorf("got %v, %v", got, err)
	}
	calls := storage.Calls()
	var collection, key string
	if len(calls) != 1 || calls[0].Bind(&collection, &key) != nil || collection != "names" || key != "first" {
		t.Fatalf("the storage was called %v", calls)
	}
	if calls[0].Name != "read" || calls[0].Trace.ID != 7 {
		t.Errorf("the call was %+v", calls[0])
	}
}

// TestHourInNoTime is what virtual time is for.
func TestHourInNoTime(t *testing.T) {
	began := time.Now()
	synctest.Test(t, func(t *testing.T) {
		rt := cocainetest.NewRuntime(t)
		rt.Service("slow", cocainetest.Methods{"wait": cocainetest.Hang()})
		gaveUp := make(chan error, 1)
		rt.Worker("hello", func(w *worker.Worker) {
			worker.Handle(w, "wait", func(ctx context.Context, _ any) (any, error) {
				<-ctx.Done()
				gaveUp <- context.Cause(ctx)
				return nil, context.Cause(ctx)
			})
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		start := time.Now()
		if _, err := cocaine.Invoke[any](ctx, rt.Client().App("hello"), "wait", nil); err == nil {
			t.Error("it was answered")
		}
		if took := time.Since(start); took < time.Hour || took > time.Hour+time.Minute {
			t.Errorf("the deadline of an hour took %v", took)
		}
		if err := <-gaveUp; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the handler's context ended because of %v", err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := cocaine.Exec(ctx, rt.Client().Service("slow"), "wait"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
	if took := time.Since(began); took > 10*time.Minute {
		t.Errorf("two hours took %v", took)
	}
}

func TestMethods(t *testing.T) {
	rt := cocainetest.NewRuntime(t)
	heard := make(chan string, 1)
	rt.Service("mine", cocainetest.Methods{
		"answer": cocainetest.Answer(42),
		"pair":   cocainetest.Answer("a", 1),
		"none":   cocainetest.Answer(),
		"fail":   cocainetest.Fail(cocaine.Errorf(43, 5, "no")),
		"add": cocainetest.Func(func(_ context.Context, c *cocainetest.Call) (any, error) {
			var a, b int
			err := c.Bind(&a, &b)
			return a + b, err
		}),
		"count": cocainetest.Stream(1, 2, 3),
		"half":  cocainetest.Stream(1, io.ErrUnexpectedEOF, 2),
		"tell": cocainetest.Mute(func(_ context.Context, c *cocainetest.Call) error {
			var s string
			err := c.Bind(&s)
			heard <- s
			return err
		}),
		"shout": cocainetest.StreamFunc(func(ctx context.Context, c *cocainetest.Call, ch *cocainetest.Channel) error {
			for {
				m, err := ch.Recv(ctx)
				if err == io.EOF {
					return ch.SendMessage(ctx, "close")
				}
				if err != nil {
					return err
				}
				if err := ch.Send(ctx, strings.ToUpper(m.Name+string(m.Bytes()))); err != nil {
					return err
				}
			}
		}),
	})
	ctx, s := t.Context(), rt.Client().Service("mine")
	if v, err := cocaine.Get[int](ctx, s, "answer"); v != 42 || err != nil {
		t.Errorf("answer: %v, %v", v, err)
	}
	if v, err := cocaine.Get[[]any](ctx, s, "pair"); fmt.Sprint(v) != "[a 1]" || err != nil {
		t.Errorf("pair: %v, %v", v, err)
	}
	if err := cocaine.Exec(ctx, s, "none"); err != nil {
		t.Errorf("none: %v", err)
	}
	if err := cocaine.Exec(ctx, s, "fail"); !errors.Is(err, cocaine.Errorf(43, 5, "")) {
		t.Errorf("fail: %v", err)
	}
	if v, err := cocaine.Get[int](ctx, s, "add", 2, 3); v != 5 || err != nil {
		t.Errorf("add: %v, %v", v, err)
	}
	if _, err := cocaine.Get[int](ctx, s, "add", "x", 3); err == nil || !strings.Contains(err.Error(), "argument 1 of add") {
		t.Errorf("add of a text: %v", err)
	}
	if v, err := cocaine.Collect(cocaine.Chunks[int](ctx, s, "count")); fmt.Sprint(v) != "[1 2 3]" || err != nil {
		t.Errorf("count: %v, %v", v, err)
	}
	if v, err := cocaine.Collect(cocaine.Chunks[int](ctx, s, "half")); fmt.Sprint(v) != "[1]" || !errors.Is(err, cocaine.Errorf(12, 22, "")) {
		t.Errorf("half: %v, %v", v, err)
	}
	if err := cocaine.Exec(ctx, s, "tell", "psst"); err != nil || <-heard != "psst" {
		t.Errorf("tell: %v", err)
	}
	st, err := s.Call(ctx, "shout")
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if err := st.Send(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if m, err := st.Recv(ctx); err != nil || string(m.Bytes()) != "WRITEA" {
		t.Errorf("shout: %v, %v", m, err)
	}
	if err := st.CloseSend(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Recv(ctx); err != io.EOF {
		t.Errorf("shout: %v", err)
	}
	if err := cocaine.Exec(ctx, s, "missing"); !errors.Is(err, cocaine.ErrNoMethod) {
		t.Errorf("missing: %v", err)
	}
}

// Services that Cocaine knows have its protocols: their typed clients work.
func TestKnownServices(t *testing.T) {
	rt := cocainetest.NewRuntime(t)
	rt.Service("node", cocainetest.Methods{"list": cocainetest.Answer([]string{"a", "b"})})
	rt.ServiceLike("archive", "storage", cocainetest.Methods{"find": cocainetest.Answer([]string{"k"})})
	logged := make(chan cocainetest.Call, 1)
	rt.Service("logging", cocainetest.Methods{
		"emit":      cocainetest.Mute(func(_ context.Context, c *cocainetest.Call) error { logged <- *c; return nil }),
		"verbosity": cocainetest.Answer(0),
	})
	ctx := t.Context()
	if apps, err := rt.Client().Node().List(ctx); !slices.Equal(apps, []string{"a", "b"}) || err != nil {
		t.Errorf("apps: %v, %v", apps, err)
	}
	if keys, err := cocaine.Get[[]string](ctx, rt.Client().Service("archive"), "find", "c", []string{"t"}); !slices.Equal(keys, []string{"k"}) || err != nil {
		t.Errorf("keys: %v, %v", keys, err)
	}
	if err := cocaine.Exec(ctx, rt.Client().Service("archive"), "read", "c", "k"); !errors.Is(err, cocaine.Errorf(7, 5, "")) {
		t.Errorf("a method that nobody scripted: %v", err)
	}
	if err := cocaine.Exec(ctx, rt.Client().Service("logging"), "emit", 1, "me", "text"); err != nil {
		t.Error(err)
	}
	var severity int
	var source, text string
	if c := <-logged; c.Bind(&severity, &source, &text) != nil || severity != 1 || source != "me" || text != "text" {
		t.Errorf("logged %v", c)
	}
	if id, err := rt.Client().Locator().UUID(ctx); len(id) != 36 || err != nil {
		t.Errorf("uuid: %q, %v", id, err)
	}
}

func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := cocainetest.NewRuntime(t)
		rt.Service("feed", cocainetest.Methods{"items": cocainetest.Stream("a", "b", "c", cocainetest.Every(10*time.Millisecond))})
		if err := rt.Client().Service("feed").Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		start, n := time.Now(), 0
		for v, err := range cocaine.Chunks[string](t.Context(), rt.Client().Service("feed"), "items") {
			n++
			if err != nil || v != string(rune('a'+n-1)) || time.Since(start) != time.Duration(n)*10*time.Millisecond {
				t.Errorf("item %d is %q, %v after %v", n, v, err, time.Since(start))
			}
		}
		if n != 3 || time.Since(start) != 40*time.Millisecond {
			t.Errorf("%d items, the end came after %v", n, time.Since(start))
		}
	})
}

// TestRecvMixed: off the wire, errors come in their turn and end nothing.
func TestRecvMixed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		boom := errors.New("boom")
		s := cocainetest.Stream(1, boom, 3, cocainetest.Every(10*time.Millisecond))
		for range 2 { // it can be had again
			start := time.Now()
			var got []string
			for v, err := range cocainetest.Items[int](t.Context(), s) {
				got = append(got, fmt.Sprint(v, err, time.Since(start)))
			}
			if want := []string{"1 <nil> 10ms", "0 boom 20ms", "3 <nil> 30ms"}; !slices.Equal(got, want) || time.Since(start) != 40*time.Millisecond {
				t.Errorf("got %q in %v", got, time.Since(start))
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Millisecond)
		defer cancel()
		if v, err := cocaine.Collect(cocainetest.Items[int](ctx, s)); !slices.Equal(v, []int{1}) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, %v", v, err)
		}
		if _, err := cocaine.Collect(cocainetest.Items[string](t.Context(), s)); err == nil || !strings.Contains(err.Error(), "int, not string") {
			t.Errorf("got %v", err)
		}
	})
}

func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := cocainetest.NewRuntime(t)
		app := rt.App("hello", cocainetest.AppOptions{Queue: 1, RequestTimeout: time.Minute})
		var waiting *cocaine.Future[string]
		for i, want := range []error{nil, cocaine.ErrQueueFull} {
			f := cocaine.Go(t.Context(), func(ctx context.Context) (string, error) { return invoke(ctx, rt, "hello", "Ann") })
			if want == nil {
				waiting = f
				synctest.Wait()
				continue
			}
			if _, err := f.Wait(t.Context()); !errors.Is(err, want) {
				t.Errorf("request %d: %v", i, err)
			}
		}
		rt.Worker("hello", bindGreet)
		if err := app.Ready(t.Context()); err != nil {
			t.Error(err)
		}
		if got, err := waiting.Wait(t.Context()); err != nil || got != "hello Ann" {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestKill(t *testing.T) {
	rt := cocainetest.NewRuntime(t)
	entered := make(chan struct{}, 2)
	w := rt.Worker("hello", func(w *worker.Worker) {
		worker.Handle(w, "greet", func(ctx context.Context, _ person) (greeting, error) {
			entered <- struct{}{}
			<-ctx.Done()
			return greeting{}, context.Cause(ctx)
		})
	})
	f := cocaine.Go(t.Context(), func(ctx context.Context) (string, error) { return invoke(ctx, rt, "hello", "Ann") })
	<-entered
	w.Kill()
	if _, err := f.Wait(t.Context()); !errors.Is(err, cocaine.Errorf(2, 104, "")) {
		t.Errorf("a request of a worker that was killed: %v", err)
	}
	if err := w.Wait(); !errors.Is(err, cocaine.ErrDisconnected) {
		t.Errorf("Run returned %v", err)
	}
	f = cocaine.Go(t.Context(), func(ctx context.Context) (string, error) { return invoke(ctx, rt, "hello", "Zoe") })
	rt.Worker("hello", bindGreet)
	if got, err := f.Wait(t.Context()); err != nil || got != "hello Zoe" {
		t.Errorf("the next worker: %q, %v", got, err)
	}
}

func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := cocainetest.NewRuntime(t)
		s := rt.Service("mine", cocainetest.Methods{"get": cocainetest.Answer(strings.Repeat("x", 100)), "hang": cocainetest.Hang()})
		ctx := t.Context()
		get := func() error {
			_, err := cocaine.Get[string](ctx, rt.Client().Service("mine"), "get")
			return err
		}
		if err := get(); err != nil || s.Connections() != 1 {
			t.Fatalf("%v with %d connections", err, s.Connections())
		}

		hanging := cocaine.Go(ctx, func(ctx context.Context) (int, error) {
			return cocaine.Get[int](ctx, rt.Client().Service("mine"), "hang")
		})
		synctest.Wait()
		s.Drop()
		if _, err := hanging.Wait(ctx); !errors.Is(err, cocaine.ErrDisconnected) {
			t.Errorf("after Drop: %v", err)
		}
		if err := get(); err != nil || s.Dials() != 2 {
			t.Errorf("the next call: %v, %d dials", err, s.Dials())
		}

		s.Down()
		synctest.Wait()
		connectError := new(cocaine.ConnectError)
		if err := get(); !errors.As(err, &connectError) || s.Connections() != 0 {
			t.Errorf("a service that is down: %v", err)
		}
		s.Up()
		if err := get(); err != nil {
			t.Errorf("after Up: %v", err)
		}

		s.Withdraw()
		s.Drop()
		synctest.Wait()
		if err := get(); !errors.Is(err, cocaine.ErrServiceNotFound) {
			t.Errorf("a service that was withdrawn: %v", err)
		}
		s.Publish("10.0.0.1:1", s.Addr())
		if err := get(); err != nil {
			t.Errorf("of two addresses, the first refuses: %v", err)
		}
		s.Publish()

		s.SetFaults(cocainetest.CutAfter(50), cocainetest.Pieces(7))
		s.Drop()
		synctest.Wait()
		if err := get(); !errors.Is(err, cocaine.ErrDisconnected) {
			t.Errorf("an answer that was cut: %v", err)
		}
		s.SetFaults(cocainetest.CutInputAfter(3))
		if err := get(); !errors.Is(err, cocaine.ErrDisconnected) {
			t.Errorf("a call that was cut: %v", err)
		}
		s.SetFaults(cocainetest.Delay(time.Second))
		start := time.Now()
		if err := get(); err != nil || time.Since(start) < 2*time.Second {
			t.Errorf("a call and an answer of a second each: %v after %v", err, time.Since(start))
		}
		s.SetFaults()

		rt.Locator().Down()
		client := rt.NewClient(cocaine.Options{})
		if err := client.Service("mine").Connect(ctx); !errors.As(err, &connectError) {
			t.Errorf("without a locator: %v", err)
		}
		if err := get(); err != nil {
			t.Errorf("a service that is connected needs no locator: %v", err)
		}
		rt.Locator().Up()
		if err := client.Service("mine").Connect(ctx); err != nil {
			t.Errorf("the locator is back: %v", err)
		}
	})
}

// A method may crash its own service.
func TestCrashInTheMiddle(t *testing.T) {
	rt := cocainetest.NewRuntime(t)
	var s *cocainetest.Service
	s = rt.Service("mine", cocainetest.Methods{
		"items": cocainetest.StreamFunc(func(ctx context.Context, _ *cocainetest.Call, ch *cocainetest.Channel) error {
			if err := ch.Send(ctx, 1); err != nil {
				return err
			}
			if _, err := rt.WaitFrame(ctx, func(f cocainetest.Frame) bool { return f.From == "mine" }); err != nil {
				return err
			}
			s.Down()
			return nil
		}),
	})
	got, err := cocaine.Collect(cocaine.Chunks[int](t.Context(), rt.Client().Service("mine"), "items"))
	if !slices.Equal(got, []int{1}) || !errors.Is(err, cocaine.ErrDisconnected) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := cocainetest.NewRuntime(t)
		rt.Worker("hello", func(w *worker.Worker) {
			worker.Handle(w, "greet", func(_ context.Context, name string) (string, error) { return "hello " + name, nil })
		})
		synctest.Wait()
		got, err := cocaine.Invoke[string](t.Context(), rt.Client().App("hello").With(cocaine.CallOptions{ContentType: cocaine.ContentBytes}), "greet", "Ann")
		if err != nil || got != "hello Ann" {
			t.Fatalf("got %q, %v", got, err)
		}
		synctest.Wait()
		var b strings.Builder
		if err := rt.Dump(&b); err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{
			`#1 worker of hello → runtime: 1 handshake(0) ["`,
			`#1 worker of hello → runtime: 1 heartbeat(0) []`,
			`#1 runtime → worker of hello: 1 heartbeat(0) []`,
			`#2 client → locator: 1 resolve(0) ["hello"]`,
			`#2 locator → client: 1 value(0) [[["10.0.0.1", 20001]], 1, {`,
			`#3 client → hello: 1 enqueue(0) ["greet"] {content-type: "application/octet-stream"}`,
			`#3 client → hello: 1 write(0) ["Ann"]`,
			`#3 client → hello: 1 close(2) []`,
			`#1 runtime → worker of hello: 2 invoke(0) ["greet"] {content-type: "application/octet-stream"}`,
			`#1 worker of hello → runtime: 2 write(0) ["hello Ann"]`,
			`#3 hello → client: 1 write(0) ["hello Ann"]`,
			`#3 hello → client: 1 close(2) []`,
		} {
			if !strings.Contains(b.String(), line) {
				t.Errorf("there is no frame %s", line)
			}
		}
		if t.Failed() {
			t.Log(b.String())
		}
		f, err := rt.WaitFrame(t.Context(), func(f cocainetest.Frame) bool { return f.From == "hello" })
		var text string
		if err != nil || f.Args.Decode(&[]any{&text}) != nil || f.Name != "write" {
			t.Errorf("got %v, %v", f, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := rt.WaitFrame(ctx, func(cocainetest.Frame) bool { return false }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if len(rt.Frames()) < 12 {
			t.Errorf("%d frames", len(rt.Frames()))
		}
	})
}

// A failed test is told what was on the wire. A mistake of the test is told too.
func TestFailures(t *testing.T) {
	fake := &fakeT{TB: t}
	rt := cocainetest.NewRuntime(fake)
	rt.Service("mine", cocainetest.Methods{"get": cocainetest.Answer(1)})
	if _, err := cocaine.Get[int](t.Context(), rt.Client().Service("mine"), "get"); err != nil {
		t.Fatal(err)
	}
	unmade, err := worker.New(worker.Options{Listen: worker.ListenNone, App: "x"})
	if err != nil {
		t.Fatal(err)
	}
	rt.Worker("hello", bindGreet)
	for what, mistake := range map[string]func(){
		"one of this name":          func() { rt.Service("mine", nil) },
		`service "locator"`:         func() { rt.Service("locator", nil) },
		`no method "mine"`:          func() { rt.Service("storage", cocainetest.Methods{"mine": cocainetest.Answer()}) },
		"Mute is for":               func() { rt.Service("logging", cocainetest.Methods{"emit": cocainetest.Answer()}) },
		`knows a service "nothing"`: func() { rt.ServiceLike("new", "nothing", nil) },
		"made with WorkerOptions":   func() { rt.Serve(unmade) },
		"nothing binds":             func() { rt.Worker("bare", nil) },
		"method get is nil":         func() { rt.Service("a", cocainetest.Methods{"get": nil}) },
		"method func is nil":        func() { rt.Service("a", cocainetest.Methods{"func": cocainetest.Func(nil)}) },
		"method stream is nil":      func() { rt.Service("a", cocainetest.Methods{"stream": cocainetest.StreamFunc(nil)}) },
		"method emit is nil":        func() { rt.Service("logging", cocainetest.Methods{"emit": cocainetest.Mute(nil)}) },
		"Stop or Kill":              func() { rt.Worker("hello", bindGreet) },
		"cannot use locator":        func() { rt.NewClient(cocaine.Options{Locators: []string{"a:b:c"}}) },
	} {
		if said := fake.fatal(mistake); !strings.Contains(said, what) {
			t.Errorf("the test is told %q, want %q", said, what)
		}
	}
	rt.Close()
	rt.Close()
	if said := fake.log.String(); !strings.Contains(said, "#2 client → mine: 1 get(0) []") {
		t.Errorf("the test is told %s", said)
	}
	if err := rt.Client().Service("mine").Connect(t.Context()); !errors.Is(err, cocaine.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// A fakeT is a test that has failed.
type fakeT struct {
	testing.TB
	mu  sync.Mutex
	log strings.Builder
}

func (f *fakeT) Failed() bool { return true }

func (f *fakeT) Logf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fmt.Fprintf(&f.log, format+"\n", args...)
}

func (f *fakeT) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

func (f *fakeT) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// fatal says why mistake failed the test.
func (f *fakeT) fatal(mistake func()) (said string) {
	defer func() { said = fmt.Sprint(recover()) }()
	mistake()
	return ""
}

// Anything may be called from anywhere.
func TestConcurrentUse(t *testing.T) {
	rt := cocainetest.NewRuntime(t)
	s := rt.Service("mine", cocainetest.Methods{"get": cocainetest.Answer(1)})
	rt.Worker("hello", bindGreet)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				_, _ = invoke(t.Context(), rt, "hello", "Ann") // may be dropped
				_, _ = cocaine.Get[int](t.Context(), rt.Client().Service("mine"), "get")
				s.Drop()
				_, _ = s.Calls(), rt.Frames()
				s.SetFaults(cocainetest.Pieces(3))
			}
		})
	}
	all.Wait()
}

// What is remembered of frames and calls is bounded.
func TestMemoryIsBounded(t *testing.T) {
	rt := cocainetest.NewRuntime(t)
	const n = 5000
	last := make(chan struct{})
	s := rt.Service("mine", cocainetest.Methods{"tell": cocainetest.Mute(func(_ context.Context, c *cocainetest.Call) error {
		var i int
		if err := c.Bind(&i); err != nil {
			return err
		}
		if i == n {
			close(last)
		}
		return nil
	})})
	for i := range n {
		if err := cocaine.Exec(t.Context(), rt.Client().Service("mine"), "tell", i+1); err != nil {
			t.Fatal(err)
		}
	}
	<-last
	calls, frames := s.Calls(), rt.Frames()
	var i int
	if len(calls) == 0 || len(calls) >= n || calls[len(calls)-1].Bind(&i) != nil || i != n {
		t.Errorf("of %d calls, %d are remembered, the last one is %d", n, len(calls), i)
	}
	if len(frames) == 0 || len(frames) >= n || frames[len(frames)-1].Name != "tell" {
		t.Errorf("of %d frames, %d are remembered", n, len(frames))
	}
}
