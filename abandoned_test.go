package cocaine_test

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"testing"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/standin"
)

// records is a slog.Handler that hands on what is said about clients that were not
// closed.
type records struct {
	slog.Handler
	abandoned chan slog.Record
}

func (h records) Handle(ctx context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "was not closed") {
		h.abandoned <- r
	}
	return nil
}

func (h records) Enabled(context.Context, slog.Level) bool { return true }

func (h records) WithAttrs([]slog.Attr) slog.Handler { return h }

// A client that has connections, is not closed and that nobody can close any more is
// told of, once, with the place where it was made; no other is.
func TestAbandonedClient(t *testing.T) {
	r := standin.New(t) // its end is that of the connections which are left
	r.Serve("node", standin.NodeList("a"))
	ctx := patient(t)
	told := make(chan slog.Record, 10)
	makeOne := func(connect bool) *cocaine.Client {
		client, err := cocaine.New(cocaine.Options{
			Locators: []string{r.Locator()}, Logger: slog.New(records{slog.DiscardHandler, told}),
		})
		if err != nil {
			t.Fatal(err)
		}
		if connect {
			if err := client.Service("node").Connect(ctx); err != nil {
				t.Fatal(err)
			}
		}
		return client
	}
	makeOne(false)        // holds nothing
	makeOne(true).Close() // is closed
	node := makeOne(true).Node()
	app := makeOne(true).App("node").With(cocaine.CallOptions{Version: 1})
	handler := cocaine.NewLogHandler(makeOne(true), cocaine.LogHandlerOptions{})
	collect := func() {
		for range 3 {
			runtime.GC()
		}
	}
	collect()
	func() { // no variable of this frame holds it
		lost := makeOne(true)
		_ = lost.Stats()
	}()
	var got slog.Record
	for settled := false; !settled; {
		collect()
		select {
		case got = <-told:
			settled = true
		default:
			if ctx.Err() != nil {
				t.Fatal("nobody tells of it")
			}
			runtime.Gosched()
		}
	}
	made, open := "", int64(0)
	got.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "made":
			made = a.Value.String()
		case "connections":
			open = a.Value.Int64()
		}
		return true
	})
	if got.Level != slog.LevelWarn || open != 2 || !strings.Contains(made, "abandoned_test.go:") {
		t.Errorf("got %v %q, %d connections, made at %s", got.Level, got.Message, open, made)
	}
	collect()
	if _, err := node.List(ctx); err != nil { // the handles of the others have held them
		t.Error(err)
	}
	if err := app.Service().Connect(ctx); err != nil {
		t.Error(err)
	}
	if err := handler.Close(ctx); err != nil {
		t.Error(err)
	}
	select {
	case r := <-told:
		t.Errorf("told of another: %v", r)
	default:
	}
}
