package cocaine

import (
	"context"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/cocaine/cocaine-go/internal/logctx"
)

// LogHandlerOptions configure a LogHandler. The zero value is ready.
type LogHandlerOptions struct {
	// Service is the name of the logging service. If empty, "logging".
	Service string
	// Source says where the records come from: those of "app/NAME" are shown with
	// the log of that app. If empty, "app/standalone".
	Source string
	// Level is the least level that is logged at all. If nil, the service's
	// verbosity alone decides.
	Level slog.Leveler
	// Queue is how many records may wait to be sent. If zero, 4096. Whatever it is,
	// 8 MiB of them may.
	Queue int
	// Refresh is how often the service is asked for its verbosity. If zero, 30 s.
	Refresh time.Duration
	// Fallback gets the records, as lines of text, while the service is away. If
	// nil, os.Stderr.
	Fallback io.Writer
}

const (
	defaultLogService = "logging"
	defaultLogSource  = "app/standalone"
	defaultLogQueue   = 4096
	defaultLogRefresh = 30 * time.Second
)

func (o *LogHandlerOptions) complete() {
	if o.Service == "" {
		o.Service = defaultLogService
	}
	if o.Source == "" {
		o.Source = defaultLogSource
	}
	if o.Queue <= 0 {
		o.Queue = defaultLogQueue
	}
	if o.Refresh <= 0 {
		o.Refresh = defaultLogRefresh
	}
	if o.Fallback == nil {
		o.Fallback = os.Stderr
	}
}

// A LogHandler is a slog.Handler that logs to the logging service of a runtime.
//
// Whoever logs neither waits nor fails: records are queued, and a goroutine sends
// what has come together. When the queue is full the newest records are dropped; a
// record says how many as soon as there is room, and Dropped counts them. While the
// service is away records go to the fallback, and the service is tried again, first
// soon and then every 30 s. What was under way when a connection broke may be lost:
// the service does not acknowledge records.
//
//	idle ── first record ──▶ connecting ──▶ connected: to the service
//	                             │  ▲            │ lost
//	           failed, or 1 s up ▼  └────────────┘
//	                           away: to the fallback, trying again
//
// Levels become severities: debug below slog.LevelInfo, then info, warning and
// error. Records below the service's verbosity are dropped before anything is made
// of them, except in a verbose Trace. Attributes keep their type if it is text,
// number or bool and are formatted otherwise; names in groups get the group's name
// and a dot in front. Texts are cut at 64 KiB. A record has the attributes of its
// context too, see WithLogAttrs, unless it says something else under their names; that
// of a context with a trace has its id as attribute trace_id, 16 hex digits.
//
// A LogHandler and those made of it with WithAttrs and WithGroup may be used by any
// number of goroutines. It does no I/O before the first record. Its goroutine ends
// with Close or with the client; from then on records go to the fallback at once, on
// the goroutine of whoever logs.
type LogHandler struct {
	shipper *logShipper
	attrs   []slog.Attr // of With, plain
	prefix  string      // of WithGroup, ends with a dot
}

var _ slog.Handler = (*LogHandler)(nil)

// NewLogHandler makes a LogHandler over the client's connection to the logging
// service. Close it before the client: the client's Close waits for nothing that is
// still queued, which then goes to the fallback.
//
// It panics if the client is not one of New.
func NewLogHandler(client *Client, o LogHandlerOptions) *LogHandler {
	if !client.made() {
		panic("cannot make log handler: there is no client")
	}
	o.complete()
	return &LogHandler{shipper: startLogShipper(client, o)}
}

// Enabled reports whether a record of that level would be taken.
func (h *LogHandler) Enabled(ctx context.Context, level slog.Level) bool {
	s := h.shipper
	if s.opts.Level != nil && level < s.opts.Level.Level() {
		return false
	}
	return int64(severityOf(level)) >= s.verbosity.Load() || TraceOf(ctx).Verbose
}

// Handle queues a record. It returns nil.
func (h *LogHandler) Handle(ctx context.Context, r slog.Record) error {
	e := logEntry{time: r.Time, level: r.Level, message: clipText(r.Message), attrs: slices.Clip(h.attrs), trace: TraceOf(ctx)}
	r.Attrs(func(a slog.Attr) bool {
		e.attrs = appendPlain(e.attrs, h.prefix, a)
		return true
	})
	e.traced = slices.ContainsFunc(e.attrs, func(a slog.Attr) bool { return a.Key == traceAttrKey })
	for _, a := range others(logctx.Of(ctx), e.attrs) {
		e.attrs = appendPlain(e.attrs, "", a)
	}
	h.shipper.take(&e)
	return nil
}

// WithAttrs implements slog.Handler.
func (h *LogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.attrs = slices.Clip(c.attrs)
	for _, a := range attrs {
		c.attrs = appendPlain(c.attrs, h.prefix, a)
	}
	return &c
}

// WithGroup implements slog.Handler.
func (h *LogHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.prefix += name + "."
	return &c
}

// Dropped is how many records found the queue full.
func (h *LogHandler) Dropped() uint64 { return h.shipper.queue.total() }

// Close sends what is queued, or gives it to the fallback, and ends the handler's
// goroutine. It returns nil when the service has read everything or is away. It
// gives up when ctx ends, and returns its error; what is queued then goes to the
// fallback. Further calls wait likewise and return the same.
func (h *LogHandler) Close(ctx context.Context) error { return h.shipper.close(ctx) }

// severityOf is the severity of a level (docs/PROTOCOL.md, logging).
func severityOf(l slog.Level) Severity {
	switch {
	case l < slog.LevelInfo:
		return SeverityDebug
	case l < slog.LevelWarn:
		return SeverityInfo
	case l < slog.LevelError:
		return SeverityWarning
	}
	return SeverityError
}

// appendPlain appends an attribute as it is now: resolved, groups flattened, and
// nothing left in it that others could change.
func appendPlain(list []slog.Attr, prefix string, a slog.Attr) []slog.Attr {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, a := range v.Group() {
			list = appendPlain(list, prefix, a)
		}
		return list
	}
	if a.Equal(slog.Attr{}) {
		return list
	}
	plain := slog.AnyValue(attrValue(v))
	if plain.Kind() == slog.KindString {
		plain = slog.StringValue(clipText(plain.String()))
	}
	return append(list, slog.Attr{Key: prefix + a.Key, Value: plain})
}

// maxLogText is the longest text of a record; the service keeps no more.
const maxLogText = 64 << 10

func clipText(s string) string { return s[:min(len(s), maxLogText)] }
