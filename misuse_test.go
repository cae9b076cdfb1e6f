package cocaine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/standin"
)

// one gives the first item of a sequence and fails the test if there are more.
func one[T any](t *testing.T, seq func(func(T, error) bool)) error {
	t.Helper()
	var errs []error
	for _, err := range seq {
		errs = append(errs, err)
	}
	if len(errs) != 1 {
		t.Errorf("%d items, want one", len(errs))
		return nil
	}
	return errs[0]
}

// What is nil or was never made is told as an error, not by a panic somewhere else,
// and not by silence.
func TestMisuse(t *testing.T) {
	r := standin.New(t)
	r.Serve("app", app(echo))
	client := newClient(t, r)
	svc, app := client.Service("app"), client.App("app")
	ctx := patient(t)
	var none context.Context
	stream := func() *cocaine.Stream {
		st, err := svc.Call(ctx, "enqueue", "e")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { st.Close() })
		return st
	}
	conversation := func() *cocaine.AppStream {
		st, err := app.Enqueue(ctx, "e")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { st.Close() })
		return st
	}
	seven := func(context.Context) (int, error) { return 7, nil }
	id := func(_ context.Context, v int) (int, error) { return v, nil }
	values := cocaine.Values(1, 2)
	never := make(chan int)
	in, out := cocaine.Pipe[int](1)
	var unmade cocaine.Client
	for name, err := range map[string]error{
		"Call, nil context":         second(svc.Call(none, "enqueue", "e")),
		"Enqueue, nil context":      second(app.Enqueue(none, "e")),
		"Invoke, nil context":       second(cocaine.Invoke[int](none, app, "e", 1)),
		"Exec, nil context":         cocaine.Exec(none, svc, "enqueue", "e"),
		"Chunks, nil context":       one(t, cocaine.Chunks[int](none, svc, "enqueue", "e")),
		"Methods, nil context":      second(svc.Methods(none)),
		"Version, nil context":      second(svc.Version(none)),
		"Recv, nil context":         second(stream().Recv(none)),
		"Peek, nil context":         second(stream().Peek(none)),
		"Send, nil context":         stream().Send(none, "x"),
		"CloseSend, nil context":    stream().CloseSend(none),
		"Fail, nil context":         stream().Fail(none, errItem),
		"Messages, nil context":     one(t, stream().All(none)),
		"Decode, nil context":       stream().Decode(none, new(int)),
		"Decode, nil":               stream().Decode(ctx, nil),
		"Decode, no pointer":        stream().Decode(ctx, 5),
		"Decode, nil pointer":       stream().Decode(ctx, (*int)(nil)),
		"Message, no pointer":       cocaine.Message{Args: cocaine.Raw{0x91, 5}}.Decode(5),
		"nil stream":                second((*cocaine.Stream)(nil).Recv(ctx)),
		"zero stream":               second(new(cocaine.Stream).Peek(ctx)),
		"chunk, nil context":        second(conversation().Recv(none)),
		"chunk, Peek, nil context":  second(conversation().Peek(none)),
		"chunk, Send, nil context":  conversation().Send(none, nil),
		"chunk, All, nil context":   one(t, conversation().All(none)),
		"chunk, Encode a function":  conversation().Encode(ctx, func() {}),
		"chunk, Decode into nil":    conversation().Decode(ctx, nil),
		"chunk, Decode, no context": conversation().Decode(none, new(int)),
		"InvokeStream, nil context": one(t, cocaine.InvokeStream[int](none, app, "e", 1)),
		"InvokeStream, zero app":    one(t, cocaine.InvokeStream[int](ctx, cocaine.App{}, "e", 1)),
		"InvokeStream, function":    one(t, cocaine.InvokeStream[int](ctx, app, "e", func() {})),
		"zero conversation":         second(new(cocaine.AppStream).Recv(ctx)),
		"zero conversation, Send":   new(cocaine.AppStream).Send(ctx, nil),
		"zero conversation, Encode": new(cocaine.AppStream).Encode(ctx, 5),
		"zero conversation, Decode": new(cocaine.AppStream).Decode(ctx, new(int)),
		"zero conversation, end":    new(cocaine.AppStream).CloseSend(ctx),
		"zero conversation, Fail":   new(cocaine.AppStream).Fail(ctx, errItem),
		"zero conversation, Writer": second(new(cocaine.AppStream).Writer(ctx).Write([]byte("x"))),
		"zero conversation, Reader": second(new(cocaine.AppStream).Reader(ctx).Read(make([]byte, 1))),
		"zero stream, Send":         new(cocaine.Stream).Send(ctx, 5),
		"zero stream, SendMessage":  new(cocaine.Stream).SendMessage(ctx, "write"),
		"zero stream, CloseSend":    new(cocaine.Stream).CloseSend(ctx),
		"zero stream, Fail":         new(cocaine.Stream).Fail(ctx, errItem),
		"function as argument":      cocaine.Exec(ctx, svc, "enqueue", func() {}),
		"channel as argument":       cocaine.Exec(ctx, svc, "enqueue", never),
		"method as argument":        second(cocaine.Invoke[int](ctx, app, "e", svc.Name)),

		"zero client":             cocaine.Exec(ctx, unmade.Service("app"), "enqueue"),
		"nil client":              cocaine.Exec(ctx, (*cocaine.Client)(nil).Service("app"), "enqueue"),
		"zero client, App":        second(unmade.App("app").Info(ctx)),
		"zero client, Locator":    second(unmade.Locator().UUID(ctx)),
		"nil service, With":       cocaine.Exec(ctx, (*cocaine.Service)(nil).With(cocaine.CallOptions{}), "x"),
		"zero app":                second(cocaine.App{}.Enqueue(ctx, "e")),
		"zero app, With":          second(cocaine.App{}.With(cocaine.CallOptions{}).Info(ctx)),
		"zero app, Control":       second(cocaine.App{}.Control(ctx)),
		"zero node":               second(cocaine.Node{}.List(ctx)),
		"zero logging":            cocaine.Logging{}.Emit(ctx, cocaine.SeverityInfo, "s", "m"),
		"zero unicorn":            second(cocaine.Unicorn{}.Get(ctx, "/a")),
		"zero unicorn, Lock":      second(cocaine.Unicorn{}.Lock(ctx, "/a")),
		"zero unicorn, Subscribe": one(t, cocaine.Unicorn{}.Subscribe(ctx, "/a")),
		"zero locator, Routing":   one(t, cocaine.Locator{}.Routing(ctx, "r")),
		"zero locator, Publish":   second(cocaine.Locator{}.Publish(ctx, cocaine.Resolution{Name: "a"})),
		"publish nothing":         second(client.Locator().Publish(ctx, cocaine.Resolution{})),
		"publish a host's name":   second(client.Locator().Publish(ctx, cocaine.Resolution{Name: "a", Endpoints: []string{"host:1"}})),
		"bad locator":             second(cocaine.New(cocaine.Options{Locators: []string{"a:b:c"}})),
		"no locator":              second(cocaine.ParseLocators(" , ")),

		"Go, nil context":          second(cocaine.Go(none, seven).Wait(ctx)),
		"Go, nil function":         second(cocaine.Go[int](ctx, nil).Wait(ctx)),
		"Then, nil context":        second(cocaine.Then(none, cocaine.Ready(1), id).Wait(ctx)),
		"Then, nil function":       second(cocaine.Then[int, int](ctx, cocaine.Ready(1), nil).Wait(ctx)),
		"Then, nil future":         second(cocaine.Then(ctx, nil, id).Wait(ctx)),
		"nil future":               second((*cocaine.Future[int])(nil).Wait(ctx)),
		"zero future":              second(new(cocaine.Future[int]).Wait(ctx)),
		"Wait, nil context":        second(cocaine.Go(ctx, func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, nil }).Wait(none)),
		"AsCompleted, nil future":  completed(t, cocaine.AsCompleted(ctx, nil, new(cocaine.Future[int]))),
		"AsCompleted, nil context": completed(t, cocaine.AsCompleted(none, cocaine.Ready(1), cocaine.Ready(2))),
		"Gather, nil context":      second(cocaine.Gather(none, seven, seven)),
		"Gather, nil function":     second(cocaine.Gather(ctx, seven, nil)),
		"Gather2, nil function":    third(cocaine.Gather2[int, int](ctx, seven, nil)),
		"First, nil context":       second(cocaine.First(none, seven)),
		"First, nil function":      second(cocaine.First[int](ctx, nil)),
		"First of none":            second(cocaine.First[int](ctx)),

		"Map, nil sequence":         one(t, cocaine.Map(nil, double)),
		"Map, nil function":         one(t, cocaine.Map[int, int](values, nil)),
		"MapResult, nil function":   one(t, cocaine.MapResult[int, int](values, nil)),
		"Filter, nil sequence":      one(t, cocaine.Filter(nil, func(int) bool { return true })),
		"Filter, nil function":      one(t, cocaine.Filter(values, nil)),
		"MapParallel, nil context":  one(t, cocaine.MapParallel(none, 1, values, id)),
		"MapParallel, nil sequence": one(t, cocaine.MapParallel(ctx, 1, nil, id)),
		"MapParallel, nil function": one(t, cocaine.MapParallel[int, int](ctx, 1, values, nil)),
		"Collect, nil sequence":     second(cocaine.Collect[int](nil)),
		"Chan, nil sequence":        (<-cocaine.Chan[int](ctx, nil)).Err,
		"Chan, nil context":         (<-cocaine.Chan(none, values)).Err,
		"FromChan, nil context":     one(t, cocaine.FromChan(none, never)),
		"pipe, Send, nil context":   in.Send(none, 1),
		"pipe, Fail, nil context":   in.Fail(none, errItem),
		"pipe, Recv, nil context":   second(out.Recv(none)),
		"pipe, Peek, nil context":   second(out.Peek(none)),
		"zero sender":               new(cocaine.Sender[int]).Send(ctx, 1),
		"zero receiver":             second(new(cocaine.Receiver[int]).Recv(ctx)),
		"zero receiver, All":        one(t, new(cocaine.Receiver[int]).All(ctx)),
	} {
		if !errors.Is(err, cocaine.ErrBadArgument) {
			t.Errorf("%s: got %v, want ErrBadArgument", name, err)
		}
		if _, ok := errors.AsType[*cocaine.PanicError](err); ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func third[A, B any](_ A, _ B, err error) error { return err }

// completed wants two results that are errors, and gives one of them.
func completed(t *testing.T, seq func(func(int, cocaine.Result[int]) bool)) (err error) {
	t.Helper()
	seen := map[int]bool{}
	for i, r := range seq {
		if r.Err == nil {
			t.Errorf("future %d came to %d", i, r.Value)
		}
		seen[i], err = true, r.Err
	}
	if len(seen) != 2 {
		t.Errorf("%d results, want 2", len(seen))
	}
	return err
}

// What ends something that was never made does nothing.
func TestMisuseIsHarmless(t *testing.T) {
	new(cocaine.Future[int]).Cancel()
	<-new(cocaine.Future[int]).Done()
	var client cocaine.Client
	var stream *cocaine.Stream
	for name, err := range map[string]error{
		"conversation": (*cocaine.AppStream)(nil).Close(), "zero conversation": new(cocaine.AppStream).Close(),
		"stream": stream.Close(), "zero stream": new(cocaine.Stream).Close(), "client": client.Close(), "nil client": (*cocaine.Client)(nil).Close(),
		"sender": new(cocaine.Sender[int]).Close(), "receiver": new(cocaine.Receiver[int]).Close(),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if client.Stats() != (cocaine.Stats{}) || new(cocaine.Receiver[int]).Buffered() != 0 || new(cocaine.AppStream).Buffered() != 0 || new(cocaine.AppStream).Trailer() != nil {
		t.Error("there is something in nothing")
	}
	if n, err := cocaine.LineWriter(nil).Write([]byte("a\nb\n")); n != 4 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	for what, f := range map[string]func(){
		"there is no client": func() { cocaine.NewLogHandler(nil, cocaine.LogHandlerOptions{}) },
		"the handler is nil": func() { cocaine.NewContextHandler(nil) },
	} {
		func() {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.Contains(text, what) {
					t.Errorf("want a panic about %s, got %s", what, text)
				}
			}()
			f()
		}()
	}
}

// A target that cannot be decoded into costs no message.
func TestDecodeTakesNothingForABadTarget(t *testing.T) {
	st := enqueue(t, "1")
	if err := st.Decode(patient(t), nil); !errors.Is(err, cocaine.ErrBadArgument) || errors.Is(err, cocaine.ErrBadAnswer) {
		t.Errorf("got %v", err)
	}
	if got := next(t, st); got != "0" {
		t.Errorf("then came %q", got)
	}
}
