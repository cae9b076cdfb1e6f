package cocaine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/cocainetest"
	"github.com/cocaine/cocaine-go/worker"
)

// contentApp is an app whose typed event "which" tells in which format it was called,
// once for each content type that the call carries.
func contentApp(t *testing.T) cocaine.App {
	rt := cocainetest.NewRuntime(t)
	kinds := func(ctx context.Context) string {
		var all []string
		for _, h := range worker.Headers(ctx) {
			if strings.EqualFold(h.Name, "content-type") {
				all = append(all, h.Value)
			}
		}
		return strings.Join(all, ", ")
	}
	rt.Worker("app", func(w *worker.Worker) {
		worker.Handle(w, "which", func(ctx context.Context, in string) (string, error) {
			return in + " as " + kinds(ctx), nil
		})
		w.HandleStream("chunk", func(ctx context.Context, s *worker.Stream) error {
			chunk, err := s.Recv(ctx)
			if err != nil {
				return err
			}
			return s.Send(ctx, fmt.Appendf(nil, "%q as %s", chunk, kinds(ctx)))
		})
		w.HandleStream("decode", func(ctx context.Context, s *worker.Stream) error {
			var v any
			return s.Decode(ctx, &v)
		})
		w.HandleStream("encode", func(ctx context.Context, s *worker.Stream) error { return s.Encode(ctx, 1) })
	})
	return rt.Client().App("app")
}

func named(name, value string) cocaine.CallOptions {
	return cocaine.CallOptions{Headers: cocaine.Headers{{Name: name, Value: value}, {Name: "x", Value: "y"}}}
}

// A content type among the headers is as good as one in its own field: both ends use
// it, and there is only one.
func TestContentTypeHeader(t *testing.T) {
	app := contentApp(t)
	inJSON := cocaine.CallOptions{ContentType: cocaine.ContentJSON}
	for _, c := range []struct {
		name  string
		opts  []cocaine.CallOptions
		chunk string // that the worker gets
		kind  string
	}{
		{"none", nil, `\xa1a`, ""},
		{"JSON", []cocaine.CallOptions{named("content-type", "application/json")}, `\"a\"`, "application/json"},
		{"as in HTTP", []cocaine.CallOptions{named("Content-Type", "application/json; charset=utf-8")}, `\"a\"`, "application/json; charset=utf-8"},
		{"msgpack", []cocaine.CallOptions{named("content-type", "application/msgpack")}, `\xa1a`, "application/msgpack"},
		{"bytes", []cocaine.CallOptions{named("content-type", "application/octet-stream")}, `a`, "application/octet-stream"},
		{"the field first", []cocaine.CallOptions{{ContentType: cocaine.ContentJSON, Headers: named("content-type", "application/msgpack").Headers}}, `\"a\"`, "application/json"},
		{"a later handle", []cocaine.CallOptions{inJSON, named("content-type", "application/msgpack")}, `\xa1a`, "application/msgpack"},
		{"a later field", []cocaine.CallOptions{named("content-type", "application/msgpack"), inJSON}, `\"a\"`, "application/json"},
		{"a later handle says nothing", []cocaine.CallOptions{inJSON, named("z", "z")}, `\"a\"`, "application/json"},
		{"twice", []cocaine.CallOptions{{Headers: cocaine.Headers{
			{Name: "content-type", Value: "application/json"}, {Name: "Content-type", Value: "text/html"},
		}}}, `\"a\"`, "application/json"},
	} {
		a := app
		for _, o := range c.opts {
			before := slices.Clone(o.Headers)
			a = a.With(o)
			if !slices.Equal(o.Headers, before) {
				t.Errorf("%s: the caller's headers have become %q", c.name, o.Headers)
			}
		}
		ctx, want := t.Context(), "a as "+c.kind
		if got, err := cocaine.Invoke[string](ctx, a, "which", "a"); got != want || err != nil {
			t.Errorf("%s: Invoke gave %q, %v", c.name, got, err)
		}
		for got, err := range cocaine.InvokeStream[string](ctx, a, "which", "a") {
			if got != want || err != nil {
				t.Errorf("%s: InvokeStream gave %q, %v", c.name, got, err)
			}
		}
		for got, err := range cocaine.InvokeEach[string](ctx, a, "which", 2, cocaine.Values("a", "a")) {
			if got != want || err != nil {
				t.Errorf("%s: InvokeEach gave %q, %v", c.name, got, err)
			}
		}
		st, err := a.Enqueue(ctx, "which")
		if err != nil {
			t.Fatal(err)
		}
		var got string
		if err := errors.Join(st.Encode(ctx, "a"), st.CloseSend(ctx), st.Decode(ctx, &got)); got != want || err != nil {
			t.Errorf("%s: the conversation gave %q, %v", c.name, got, err)
		}
		st.Close()
		if st, err = a.Enqueue(ctx, "chunk"); err != nil {
			t.Fatal(err)
		}
		if err := st.Encode(ctx, "a"); err != nil {
			t.Error(err)
		}
		if chunk, err := st.Recv(ctx); string(chunk) != `"`+c.chunk+`" as `+c.kind || err != nil {
			t.Errorf("%s: the worker got %s, %v", c.name, chunk, err)
		}
		st.Close()
	}
}

// A content type that nobody knows how to write is refused before anything is sent;
// chunks of the caller's own making go with whatever it says.
func TestUnknownContentType(t *testing.T) {
	app, ctx := contentApp(t), t.Context()
	for _, o := range []cocaine.CallOptions{named("content-type", "text/html"), {ContentType: "text/html"}} {
		a := app.With(o)
		check := func(what string, err error) {
			t.Helper()
			call, ok := err.(*cocaine.CallError)
			if !ok || call.Method == "" || !errors.Is(err, cocaine.ErrBadArgument) || !strings.Contains(err.Error(), "application/json") {
				t.Errorf("%s: %v", what, err)
			}
		}
		check("Invoke", second(cocaine.Invoke[string](ctx, a, "which", "a")))
		check("InvokeStream", firstError(cocaine.InvokeStream[string](ctx, a, "which", "a")))
		check("InvokeEach", firstError(cocaine.InvokeEach[string](ctx, a, "which", 2, cocaine.Values("a"))))
		st, err := a.Enqueue(ctx, "chunk", []byte("<p>"))
		if err != nil {
			t.Fatal(err)
		}
		check("Encode", st.Encode(ctx, "a"))
		var v any
		check("Decode", st.Decode(ctx, &v))
		if chunk, err := st.Recv(ctx); string(chunk) != `"<p>" as text/html` || err != nil {
			t.Errorf("the worker got %s, %v", chunk, err)
		}
		st.Close()
		for _, event := range []string{"which", "decode", "encode"} { // the worker says so, too
			if st, err = a.Enqueue(ctx, event, []byte("<p>")); err != nil {
				t.Fatal(err)
			}
			if _, err := st.Recv(ctx); !errors.Is(err, &cocaine.Error{Category: 12, Code: 22}) || !strings.Contains(err.Error(), "text/html") {
				t.Errorf("%s: %v", event, err)
			}
			st.Close()
		}
	}
}
