package worker_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/standin"
	"github.com/cocaine/cocaine-go/worker"
)

// Handlers of every kind, and every way to end, are heard of once.
func TestObserve(t *testing.T) {
	var requests []*worker.RequestInfo
	s := play(t, func(w *worker.Worker) {
		w.Use(worker.Observe(func(ctx context.Context, r *worker.RequestInfo) {
			if worker.Event(ctx) != r.Event {
				t.Errorf("the context is of %q, the request of %q", worker.Event(ctx), r.Event)
			}
			requests = append(requests, r)
		}))
		worker.Handle(w, "greet", func(_ context.Context, name string) (string, error) { return "hello " + name, nil })
		w.HandleRaw("raw", func(_ context.Context, chunk []byte) ([]byte, error) { return chunk, nil })
		w.HandleStream("stream", func(ctx context.Context, s *worker.Stream) error { return s.Send(ctx, []byte("x")) })
		worker.Handle(w, "fail", func(context.Context, any) (any, error) { return nil, cocaine.Errorf(43, 7, "no") })
		worker.Handle(w, "panic", func(context.Context, any) (any, error) { panic("oh no") })
		worker.Handle(w, "exit", func(context.Context, any) (any, error) { runtime.Goexit(); return nil, nil })
		worker.Handle(w, "call", func(context.Context, any) (any, error) {
			return nil, &cocaine.CallError{Service: "s", Method: "m", Err: context.DeadlineExceeded}
		})
	})
	for i, c := range []struct {
		event, chunk, answer string
		code                 int
		outcome              cocaine.Outcome
	}{
		{"greet", packed("Ann"), packed("hello Ann"), 0, cocaine.OutcomeOK},
		{"raw", "x", "x", 0, cocaine.OutcomeOK},
		{"stream", "", "x", 0, cocaine.OutcomeOK},
		{"fail", "\xc0", "", 7, cocaine.OutcomeError},
		{"panic", "\xc0", "", 100, cocaine.OutcomeError},
		{"exit", "\xc0", "", 100, cocaine.OutcomeError},
		{"call", "\xc0", "", 100, cocaine.OutcomeError},
		{"greet", "\xc1", "", idl.GenericInvalid, cocaine.OutcomeError},
	} {
		channel := uint64(2 + i)
		s.ask(channel, c.event, c.chunk)
		category := 0
		if c.code == 0 {
			s.answer(channel, c.answer)
		} else {
			f := s.Recv()
			e, err := rpc.DecodeError(f.Args)
			if err != nil || e.Code != c.code {
				t.Errorf("%s: the caller got %v, %v", c.event, e, err)
			}
			category = e.Category
		}
		if len(requests) != i+1 { // heard of before the caller
			t.Fatalf("%s: heard of %d requests, want %d", c.event, len(requests), i+1)
		}
		got := requests[i]
		if got.Event != c.event || got.Channel != channel || got.Outcome() != c.outcome || got.InFlight != 1 || got.Start.IsZero() || got.Duration < 0 || got.Waited < 0 {
			t.Errorf("%s: %+v", c.event, got)
		}
		if reply := got.Reply(); (reply == nil) != (c.code == 0) || reply != nil && (reply.Code != c.code || reply.Category != category) {
			t.Errorf("%s: the reply is %v", c.event, reply)
		}
	}
	if e, ok := errors.AsType[*cocaine.PanicError](requests[4].Err); !ok || e.Value != "oh no" || !strings.Contains(string(e.Stack), "observe_test.go") {
		t.Errorf("the panic is %#v", requests[4].Err)
	}
	if log := s.log.String(); !strings.Contains(log, "handler panicked") || !strings.Contains(log, "observe_test.go") {
		t.Error("the panic and its stack are not in the log")
	}
	s.stop()
}

// A handler that has used up its time, and one whose caller has gone.
func TestObserveTheEndOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		heard := make(chan *worker.RequestInfo, 10)
		s := play(t, func(w *worker.Worker) {
			w.Use(worker.Observe(func(_ context.Context, r *worker.RequestInfo) { heard <- r }))
			hang := func(ctx context.Context, _ any) (any, error) { <-ctx.Done(); return nil, context.Cause(ctx) }
			worker.Handle(w, "slow", hang, worker.Timeout(3*time.Second))
			worker.Handle(w, "late", func(context.Context, any) (any, error) { time.Sleep(5 * time.Second); return 1, nil }, worker.Timeout(3*time.Second))
			worker.Handle(w, "hang", hang)
			worker.Handle(w, "one", func(context.Context, any) (any, error) { time.Sleep(time.Second); return nil, nil }, worker.Limit(1))
		})
		for _, c := range []struct {
			event   string
			took    time.Duration
			outcome cocaine.Outcome
		}{{"slow", 3 * time.Second, cocaine.OutcomeTimeout}, {"late", 5 * time.Second, cocaine.OutcomeTimeout}} {
			channel := uint64(c.took / time.Second) // 3, then 5
			s.ask(channel, c.event, "\xc0")
			s.WantError(channel, idl.CategoryGeneric, idl.GenericTimeout)
			if r := <-heard; r.Outcome() != c.outcome || r.Duration != c.took || r.Reply().Code != idl.GenericTimeout {
				t.Errorf("%s: %+v", c.event, r)
			}
		}
		s.Send(6, invoke, "hang")
		s.Send(6, write, "\xc0")
		synctest.Wait()
		s.Send(6, fail, []any{5, 2}, "gone")
		s.Recv()
		if r := <-heard; r.Outcome() != cocaine.OutcomeCanceled {
			t.Errorf("hang: %+v, %v", r, r.Err)
		}
		// Of two requests the second waits for the first.
		s.ask(7, "one", "\xc0")
		s.ask(8, "one", "\xc0")
		s.answer(7, "\xc0")
		s.answer(8, "\xc0")
		first, then := <-heard, <-heard
		if first.Waited != 0 || then.Waited != time.Second || then.Duration != time.Second || then.InFlight != 1 {
			t.Errorf("%+v, then %+v", first, then)
		}
		s.stop()
	})
}

// Requests that are served at once count each other.
func TestObserveInFlight(t *testing.T) {
	const n = 10
	var mu sync.Mutex
	most := 0
	var inside sync.WaitGroup
	inside.Add(n)
	s := play(t, func(w *worker.Worker) {
		w.Use(worker.Observe(func(_ context.Context, r *worker.RequestInfo) {
			mu.Lock()
			most = max(most, r.InFlight)
			mu.Unlock()
		}))
		worker.Handle(w, "meet", func(context.Context, any) (any, error) { inside.Done(); inside.Wait(); return nil, nil })
	})
	for i := range uint64(n) {
		s.ask(2+i, "meet", "\xc0")
	}
	for range 2 * n {
		s.Recv()
	}
	if most != n {
		t.Errorf("%d requests at most, want %d", most, n)
	}
	s.stop()
}

func TestObserveNil(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("nobody says that the observer is nil")
		}
	}()
	worker.Observe(nil)
}

func TestLogRequests(t *testing.T) {
	for _, c := range []struct {
		request worker.RequestInfo
		want    string
	}{
		{worker.RequestInfo{Event: "greet", Channel: 2, Duration: time.Millisecond},
			"level=INFO msg=\"request ok\" event=greet channel=2 outcome=ok duration=1ms\n"},
		{worker.RequestInfo{Event: "greet", Channel: 2, Waited: time.Second, Trace: cocaine.Trace{ID: 1, Span: 2}, Err: cocaine.Errorf(43, 7, "no")},
			"level=WARN msg=\"request error\" event=greet channel=2 outcome=error duration=0s waited=1s trace_id=0000000000000001 category=43 code=7 error=\"no [43, 7]\"\n"},
		{worker.RequestInfo{Event: "greet", Channel: 2, Err: &cocaine.PanicError{Value: "oh no"}},
			"level=ERROR msg=\"request error\" event=greet channel=2 outcome=error duration=0s category=42 code=100 error=\"panic: oh no\"\n"},
		{worker.RequestInfo{Event: "greet", Channel: 2, Err: context.Canceled},
			"level=INFO msg=\"request canceled\" event=greet channel=2 outcome=canceled duration=0s category=42 code=100 error=\"context canceled\"\n"},
	} {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
		worker.LogRequests(log)(t.Context(), &c.request)
		if out.String() != c.want {
			t.Errorf("got  %swant %s", &out, c.want)
		}
	}
}

// What a handler logs with its context says which request it is about.
func TestLogAttrsOfARequest(t *testing.T) {
	attrs := make(chan map[string]string, 1)
	s := play(t, func(w *worker.Worker) {
		worker.Handle(w, "greet", func(ctx context.Context, _ any) (any, error) {
			got := map[string]string{}
			for _, a := range cocaine.LogAttrs(cocaine.WithLogAttrs(ctx, slog.String("mine", "1"))) {
				got[a.Key] = a.Value.String()
			}
			attrs <- got
			return nil, nil
		})
	})
	trace := cocaine.Trace{ID: 0xabc, Span: 1}
	s.SendHeaders(trace.Headers(), 5, invoke, "greet")
	s.Send(5, write, "\xc0")
	s.Send(5, closing)
	s.answer(5, "\xc0")
	want := map[string]string{"event": "greet", "channel": "5", "app": "app", "worker": uuid, "trace_id": "0000000000000abc", "mine": "1"}
	got := await(t, attrs, "the attributes")
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s is %q, want %q", k, got[k], v)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %v", got)
	}
	s.stop()
}

// The runtime's token goes with what a worker calls, unless it has one of its own;
// and its calls may be observed.
func TestTokenOfTheEnvironment(t *testing.T) {
	r := standin.New(t)
	seen := make(chan string, 10)
	m := rpc.NewMux(idl.NodeService, rpc.MuxOptions{Authorize: func(_ context.Context, c *rpc.Call) error {
		v, _ := hpack.Lookup(c.Headers, "authorization")
		seen <- v
		return nil
	}})
	m.Unary("list", func(context.Context, *rpc.Call) ([]byte, error) { return standin.Value([]string{}), nil })
	r.Serve("node", m)
	t.Setenv(cocaine.TokenTypeVariable, "TVM")
	t.Setenv(cocaine.TokenBodyVariable, "ticket")
	for want, token := range map[string]cocaine.TokenSource{
		"TVM ticket": nil, "Bearer mine": cocaine.StaticToken("Bearer mine"), "": cocaine.StaticToken(""),
	} {
		calls := make(chan string, 10)
		w, err := worker.New(worker.Options{
			App: "app", UUID: uuid, Endpoint: "/nowhere", Locators: []string{r.Locator()}, Token: token,
			CallObserver: func(_ context.Context, c *cocaine.CallInfo) { calls <- c.Method },
		})
		if err != nil {
			t.Fatal(err)
		}
		client, err := w.Client()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		if _, err := client.Node().List(ctx); err != nil {
			t.Fatal(err)
		}
		cancel()
		if got := await(t, seen, "the call"); got != want {
			t.Errorf("the service saw %q, want %q", got, want)
		}
		if a, b := await(t, calls, "a call"), await(t, calls, "a call"); a != "resolve" || b != "list" {
			t.Errorf("heard of %s, then %s", a, b)
		}
		client.Close()
	}
}
