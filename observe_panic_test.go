package cocaine_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"testing"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/standin"
)

// explosive is a value that nobody reads unharmed.
type explosive struct{}

func (*explosive) UnmarshalJSON([]byte) error { panic("boom") }

// A function of the caller's that panics while a call runs it ends the call, too. The
// observer hears of each such call once, and the panic goes on.
func TestObserverOfAPanic(t *testing.T) {
	r := standin.New(t)
	r.Serve("app", app(endings))
	r.Serve("node", standin.NodeList("a"))
	heard := newObserved()
	client := newClient(t, r, func(o *cocaine.Options) { o.Observer = heard.hear })
	svc, ctx := client.Service("app"), patient(t)
	inJSON := cocaine.CallOptions{ContentType: cocaine.ContentJSON}
	badly := cocaine.CallOptions{Token: func(context.Context) (string, error) { panic("boom") }}
	const panicked = -1 // no outcome; then come those that are given up with it
	for _, c := range []struct {
		name string
		call func()
		want []cocaine.Outcome // by their order
	}{
		{"Chunks", func() {
			for range cocaine.Chunks[[]string](ctx, client.Service("node"), "list") {
				panic("boom")
			}
		}, []cocaine.Outcome{panicked}},
		{"InvokeStream", func() {
			for range cocaine.InvokeStream[string](ctx, cocaine.AppOf(svc), "echo", "x") {
				panic("boom")
			}
		}, []cocaine.Outcome{panicked}},
		{"InvokeStream, the error", func() {
			for range cocaine.InvokeStream[string](ctx, cocaine.AppOf(svc), "fail", "x") {
				panic("boom")
			}
		}, []cocaine.Outcome{cocaine.OutcomeError}},
		{"InvokeEach", func() {
			for range cocaine.InvokeEach[int](ctx, cocaine.AppOf(svc), "echo", 1, upTo(5)) {
				panic("boom")
			}
		}, []cocaine.Outcome{cocaine.OutcomeOK}},
		{"InvokeEach, several under way", func() {
			for range cocaine.InvokeEach[int](ctx, cocaine.AppOf(svc), "hang", 3, func(yield func(int, error) bool) {
				_ = yield(1, nil) && yield(2, nil)
				panic("boom")
			}) {
				t.Error("an answer of hang")
			}
		}, []cocaine.Outcome{cocaine.OutcomeCanceled, cocaine.OutcomeCanceled}},
		{"InvokeEach, decoding", func() {
			for range cocaine.InvokeEach[explosive](ctx, cocaine.AppOf(svc).With(inJSON), "echo", 1, upTo(5)) {
				t.Error("an answer without harm")
			}
		}, []cocaine.Outcome{panicked}},
		{"InvokeEach, token", func() {
			for range cocaine.InvokeEach[int](ctx, cocaine.AppOf(svc).With(badly), "echo", 1, upTo(5)) {
				t.Error("an answer without a token")
			}
		}, []cocaine.Outcome{cocaine.OutcomeCanceled}},
		{"Invoke, decoding", func() {
			_, _ = cocaine.Invoke[explosive](ctx, cocaine.AppOf(svc).With(inJSON), "echo", 1)
		}, []cocaine.Outcome{panicked}},
		{"Invoke, token", func() {
			_, _ = cocaine.Invoke[int](ctx, cocaine.AppOf(svc).With(badly), "echo", 1)
		}, []cocaine.Outcome{panicked}},
		{"Call, token", func() {
			_, _ = svc.With(badly).Call(ctx, "enqueue", "echo")
		}, []cocaine.Outcome{panicked}},
	} {
		func() {
			defer func() {
				if v := recover(); v != "boom" {
					t.Errorf("%s: panicked with %v", c.name, v)
				}
			}()
			c.call()
		}()
		for i, want := range c.want {
			got := heard.take(t)
			p, isPanic := errors.AsType[*cocaine.PanicError](got.Err)
			switch {
			case want != panicked:
				if got.Outcome() != want || isPanic {
					t.Errorf("%s: call %d is %v: %v", c.name, i, got.Outcome(), got.Err)
				}
			case !isPanic || p.Value != "boom" || len(p.Stack) == 0 || got.Outcome() != cocaine.OutcomeCanceled:
				t.Errorf("%s: call %d is %v: %v", c.name, i, got.Outcome(), got.Err)
			}
			if got.Attempts != 1 {
				t.Errorf("%s: heard of %+v", c.name, got)
			}
		}
		heard.none(t, c.name)
	}
	settle(t, "the channels to be free", func() bool { return client.Stats().UnderWay == 0 })
}

// Neither is a call lost whose caller ends its goroutine, as t.FailNow does, or breaks
// out of the loop.
func TestObserverOfALoopThatIsLeft(t *testing.T) {
	r := standin.New(t)
	r.Serve("app", app(endings))
	heard := newObserved()
	client := newClient(t, r, func(o *cocaine.Options) { o.Observer = heard.hear })
	ctx := patient(t)
	loop := func(leave func() bool) {
		for range cocaine.InvokeStream[string](ctx, client.App("app"), "echo", "x") {
			if leave() {
				break
			}
		}
	}
	background(func() (any, error) {
		loop(func() bool { runtime.Goexit(); return true })
		return nil, io.EOF
	})
	if got := heard.take(t); got.Outcome() != cocaine.OutcomeCanceled || !errors.Is(got.Err, context.Canceled) || got.Err.(*cocaine.CallError).Method != "echo" {
		t.Errorf("the goroutine ended: %v: %v", got.Outcome(), got.Err)
	}
	loop(func() bool { return true })
	if got := heard.take(t); got.Outcome() != cocaine.OutcomeOK || got.Err != nil {
		t.Errorf("break: %v: %v", got.Outcome(), got.Err)
	}
	heard.none(t, "once is enough")
	if got := client.Stats(); got.OK != 2 || got.Canceled != 1 { // the name was found, once
		t.Errorf("counted %+v", got)
	}
}
