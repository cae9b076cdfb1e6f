// Package logctx carries attributes for log records in contexts, from those who know
// what a context is about to the handlers of package cocaine.
package logctx

import (
	"context"
	"log/slog"
	"slices"
)

// Key is the key of the attributes, whose value is an Attrs. A context of a kind of
// its own may answer it by itself.
type Key struct{}

// Attrs are the attributes of a context. They are read only.
type Attrs []slog.Attr

// With returns a context that has more attributes than ctx.
func With(ctx context.Context, attrs ...slog.Attr) context.Context {
	return context.WithValue(ctx, Key{}, slices.Concat(Of(ctx), attrs))
}

// Of gives the attributes of a context.
func Of(ctx context.Context) Attrs {
	attrs, _ := ctx.Value(Key{}).(Attrs)
	return attrs
}
