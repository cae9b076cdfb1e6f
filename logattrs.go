package cocaine

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/cocaine/cocaine-go/internal/logctx"
)

// traceAttrKey is the attribute that shows the trace of a record.
const traceAttrKey = "trace_id"

// WithLogAttrs returns a context whose log records carry the attributes, beside those
// that ctx has already, wherever it is handed on to: the handlers LogHandler and
// NewContextHandler put them in. The context of a worker's handler has some from the
// start: event and channel of the request, app and worker that serve it.
func WithLogAttrs(ctx context.Context, attrs ...slog.Attr) context.Context {
	return logctx.With(ctx, attrs...)
}

// LogAttrs gives what the records of a context carry: the attributes, and trace_id, 16
// hex digits, if there is a Trace.
func LogAttrs(ctx context.Context) []slog.Attr {
	attrs := slices.Clip([]slog.Attr(logctx.Of(ctx)))
	if t := TraceOf(ctx); t.ID != 0 {
		attrs = append(attrs, traceAttr(t))
	}
	return attrs
}

func traceAttr(t Trace) slog.Attr { return slog.String(traceAttrKey, fmt.Sprintf("%016x", t.ID)) }

// NewContextHandler makes a slog.Handler that adds LogAttrs of a record's context to
// it and passes it on, for handlers that know nothing of contexts: slog.JSONHandler
// on the standard error of a worker, which the runtime keeps. A LogHandler needs none.
//
// What the record says itself under the same name stays as it is. After WithGroup the
// attributes stand in the group.
// It panics if next is nil.
func NewContextHandler(next slog.Handler) slog.Handler {
	if next == nil {
		panic("cannot add attributes of contexts: the handler is nil")
	}
	return contextHandler{next}
}

type contextHandler struct{ next slog.Handler }

func (h contextHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

func (h contextHandler) Handle(ctx context.Context, r slog.Record) error {
	attrs := LogAttrs(ctx)
	if len(attrs) == 0 {
		return h.next.Handle(ctx, r)
	}
	var own []slog.Attr
	r.Attrs(func(a slog.Attr) bool {
		own = append(own, a)
		return true
	})
	r = r.Clone()
	r.AddAttrs(others(attrs, own)...)
	return h.next.Handle(ctx, r)
}

func (h contextHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return contextHandler{h.next.WithAttrs(attrs)}
}

func (h contextHandler) WithGroup(name string) slog.Handler {
	return contextHandler{h.next.WithGroup(name)}
}

// others gives the attributes that have no namesake in own.
func others(attrs, own []slog.Attr) []slog.Attr {
	return slices.DeleteFunc(slices.Clone(attrs), func(a slog.Attr) bool {
		return slices.ContainsFunc(own, func(b slog.Attr) bool { return a.Key == b.Key })
	})
}
