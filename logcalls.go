package cocaine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// LogCalls makes an Observer that writes one record for each call, with the context
// of the call: service, method, event, outcome, duration, attempts if there was more
// than one, trace_id and span_id, and of a failure category and code, if the service
// gave them, and the error. If l is nil, it is slog.Default().
//
// Calls that went well, or that the caller gave up, are logged at slog.LevelDebug;
// an error of the service and a timeout at LevelWarn; what should not happen, a
// service that is unavailable or does not fit, at LevelError.
//
// A handler with a minimum of LevelWarn leaves the failures.
func LogCalls(l *slog.Logger) Observer {
	return func(ctx context.Context, c *CallInfo) {
		logger := l
		if logger == nil {
			logger = slog.Default()
		}
		level := c.Outcome().level()
		if logger.Enabled(ctx, level) {
			logger.LogAttrs(ctx, level, "call "+c.Outcome().String(), c.attrs()...)
		}
	}
}

// level is how much an outcome matters to the log.
func (o Outcome) level() slog.Level {
	switch o {
	case OutcomeOK, OutcomeCanceled:
		return slog.LevelDebug
	case OutcomeError, OutcomeTimeout:
		return slog.LevelWarn
	}
	return slog.LevelError
}

func (c *CallInfo) attrs() []slog.Attr {
	as := make([]slog.Attr, 0, 12)
	as = append(as, slog.String("service", c.Service), slog.String("method", c.Method))
	if c.Event != "" {
		as = append(as, slog.String("event", c.Event))
	}
	as = append(as, slog.String("outcome", c.Outcome().String()), slog.Duration("duration", c.Duration))
	if c.Attempts > 1 {
		as = append(as, slog.Int("attempts", c.Attempts))
	}
	if c.Trace.ID != 0 {
		as = append(as, traceAttr(c.Trace), slog.String("span_id", fmt.Sprintf("%016x", c.Trace.Span)))
	}
	return append(as, errorAttrs(c.Err)...)
}

// errorAttrs show an error, with its code if it has one.
func errorAttrs(err error) (as []slog.Attr) {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		as = append(as, slog.Int("category", e.Category), slog.Int("code", e.Code))
	}
	return append(as, slog.String("error", err.Error()))
}
