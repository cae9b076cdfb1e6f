package cocaine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/cocaine/cocaine-go"
)

// A LogHandler puts the attributes of the context into the record; what the record
// says itself stays, and groups are not for them.
func TestLogAttrsOfTheContext(t *testing.T) {
	onLogStage(t, func(t *testing.T, s *logStage) {
		s.start()
		h := s.handler()
		ctx := cocaine.WithLogAttrs(t.Context(), slog.String("user", "Ann"))
		ctx = cocaine.WithLogAttrs(ctx, slog.Int("order", 7), slog.Group("g", "x", 1))
		ctx = cocaine.WithTrace(ctx, cocaine.Trace{ID: 0xabc, Span: 1})
		log := slog.New(h)
		log.InfoContext(ctx, "all", "a", 1)
		log.WithGroup("in").InfoContext(ctx, "group", "a", 1)
		log.InfoContext(ctx, "own", "user", "Bob", "trace_id", "mine")
		log.Info("none")
		got := s.records()
		for i, want := range [][]string{
			{"a", "user", "order", "g.x", "trace_id"},
			{"in.a", "user", "order", "g.x", "trace_id"},
			{"user", "trace_id", "order", "g.x"},
			nil,
		} {
			if !slices.Equal(got[i].names, want) {
				t.Errorf("%s: got %q, want %q", got[i].message, got[i].names, want)
			}
		}
		if got[2].attrs["user"] != "Bob" || got[2].attrs["trace_id"] != "mine" || got[0].attrs["user"] != "Ann" {
			t.Errorf("got %v and %v", got[0].attrs, got[2].attrs)
		}
		s.close(h)
	})
}

func TestContextHandler(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(cocaine.NewContextHandler(slog.NewJSONHandler(&out, nil)))
	ctx := cocaine.WithLogAttrs(t.Context(), slog.String("user", "Ann"), slog.Int("order", 7))
	log.With("app", "shop").InfoContext(cocaine.WithTrace(ctx, cocaine.Trace{ID: 5, Span: 1}), "sold", "order", 8)
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	delete(got, "time")
	want := map[string]any{"level": "INFO", "msg": "sold", "app": "shop", "user": "Ann", "order": 8.0, "trace_id": "0000000000000005"}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s is %v, want %v", k, got[k], v)
		}
	}
	if n := strings.Count(out.String(), `"order"`); n != 1 || len(got) != len(want) {
		t.Errorf("got %s", out.String())
	}
	if log.Enabled(ctx, slog.LevelDebug) {
		t.Error("the level of the handler behind it does not count")
	}
}

// It is a slog.Handler as any other.
func TestContextHandlerConforms(t *testing.T) {
	var out bytes.Buffer
	slogtest.Run(t, func(*testing.T) slog.Handler {
		out.Reset()
		return cocaine.NewContextHandler(slog.NewJSONHandler(&out, nil))
	}, func(t *testing.T) map[string]any {
		m := map[string]any{}
		if err := json.Unmarshal(out.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		return m
	})
}

// The attributes of a context are its own: siblings do not see each other's.
func TestLogAttrsBranch(t *testing.T) {
	base := cocaine.WithLogAttrs(context.Background(), slog.Int("a", 1))
	left, right := cocaine.WithLogAttrs(base, slog.Int("l", 2)), cocaine.WithLogAttrs(base, slog.Int("r", 3))
	for ctx, want := range map[context.Context]string{base: "[a=1]", left: "[a=1 l=2]", right: "[a=1 r=3]", context.Background(): "[]"} {
		if got := slog.AnyValue(cocaine.LogAttrs(ctx)).String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// What LogCalls writes of a call, and how loud.
func TestLogCalls(t *testing.T) {
	for _, c := range []struct {
		call cocaine.CallInfo
		want string
	}{
		{cocaine.CallInfo{Service: "node", Method: "list", Duration: time.Millisecond, Attempts: 1},
			"level=DEBUG msg=\"call ok\" service=node method=list outcome=ok duration=1ms\n"},
		{cocaine.CallInfo{Service: "shop", Method: "enqueue", Event: "sell", Attempts: 3, Trace: cocaine.Trace{ID: 1, Span: 2},
			Err: &cocaine.CallError{Service: "shop", Method: "sell", Err: cocaine.Errorf(43, 7, "sold out")}},
			"level=WARN msg=\"call error\" service=shop method=enqueue event=sell outcome=error duration=0s attempts=3 " +
				"trace_id=0000000000000001 span_id=0000000000000002 category=43 code=7 error=\"cannot call shop.sell: sold out [43, 7]\"\n"},
		{cocaine.CallInfo{Service: "a", Method: "m", Err: context.DeadlineExceeded},
			"level=WARN msg=\"call timeout\" service=a method=m outcome=timeout duration=0s error=\"context deadline exceeded\"\n"},
		{cocaine.CallInfo{Service: "a", Method: "m", Err: cocaine.ErrNoMethod},
			"level=ERROR msg=\"call invalid\" service=a method=m outcome=invalid duration=0s error=\"service has no such method\"\n"},
		{cocaine.CallInfo{Service: "a", Method: "m", Err: cocaine.ErrClosed},
			"level=DEBUG msg=\"call canceled\" service=a method=m outcome=canceled duration=0s error=\"client or stream is closed\"\n"},
	} {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: withoutTime}))
		cocaine.LogCalls(log)(t.Context(), &c.call)
		if out.String() != c.want {
			t.Errorf("got  %swant %s", &out, c.want)
		}
	}
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
