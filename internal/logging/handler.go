package logging

import (
	"context"
	"log/slog"
	"slices"
)

// Handler is a slog.Handler that turns what the runtime logs into records. The
// attributes "app" and "worker" become the fields of the same name, so that what
// happens to an app stands beside what the app says itself. Attributes of groups
// get dotted names.
type Handler struct {
	sink   Sink
	level  slog.Leveler
	record Record // what With has set
	group  string // prefix of names
}

var _ slog.Handler = (*Handler)(nil)

// NewHandler makes a Handler for records of a level and up, with a source.
func NewHandler(sink Sink, source string, level slog.Leveler) *Handler {
	return &Handler{sink: sink, level: level, record: Record{Source: source}}
}

// Enabled implements slog.Handler.
func (h *Handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

// Handle implements slog.Handler.
func (h *Handler) Handle(_ context.Context, s slog.Record) error {
	r := h.record
	r.Attrs = slices.Clip(r.Attrs)
	r.Time, r.Severity, r.Message = s.Time, severity(s.Level), s.Message
	s.Attrs(func(a slog.Attr) bool {
		add(&r, h.group, a)
		return true
	})
	h.sink.Emit(r)
	return nil
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.record.Attrs = slices.Clip(c.record.Attrs)
	for _, a := range attrs {
		add(&c.record, h.group, a)
	}
	return &c
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.group += name + "."
	return &c
}

func add(r *Record, group string, a slog.Attr) {
	v := a.Value.Resolve()
	switch {
	case a.Equal(slog.Attr{}):
		return
	case v.Kind() == slog.KindGroup:
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, a := range v.Group() {
			add(r, group, a)
		}
		return
	case group == "" && a.Key == "app" && v.Kind() == slog.KindString:
		r.App = v.String()
		return
	case group == "" && a.Key == "worker" && v.Kind() == slog.KindString:
		r.Worker = v.String()
		return
	}
	r.Attrs = append(r.Attrs, Attr{Name: group + a.Key, Value: plain(v)})
}

// plain gives a value one of the types of Attr.
func plain(v slog.Value) any {
	switch v.Kind() {
	case slog.KindInt64:
		return v.Int64()
	case slog.KindUint64:
		return v.Uint64()
	case slog.KindFloat64:
		return v.Float64()
	case slog.KindBool:
		return v.Bool()
	}
	return v.String()
}

func severity(l slog.Level) int {
	switch {
	case l < slog.LevelInfo:
		return Debug
	case l < slog.LevelWarn:
		return Info
	case l < slog.LevelError:
		return Warning
	}
	return Error
}
