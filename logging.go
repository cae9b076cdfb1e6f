package cocaine

import (
	"context"
	"log/slog"
	"strconv"
	"time"
)

// Logging is the typed client of the logging service. Programs that log with
// log/slog want a LogHandler instead.
type Logging struct{ service *Service }

// Logging gives the typed client of the service "logging".
func (c *Client) Logging() Logging { return Logging{c.Service("logging")} }

// Severity is how much a log record matters.
type Severity int

// The severities.
const (
	SeverityDebug Severity = iota
	SeverityInfo
	SeverityWarning
	SeverityError
)

// String gives the name: debug, info, warning, error.
func (s Severity) String() string {
	switch s {
	case SeverityDebug:
		return "debug"
	case SeverityInfo:
		return "info"
	case SeverityWarning:
		return "warning"
	case SeverityError:
		return "error"
	}
	return "severity " + strconv.Itoa(int(s))
}

// Emit logs a record. The source says where it comes from: a record of "app/NAME"
// is shown with the log of that app. Values of attributes that are neither text,
// number nor bool are written as text, groups as attributes with the group's name
// and a dot in front.
//
// There is no answer: the error is about the connection, and nil says that the
// record has been sent.
func (l Logging) Emit(ctx context.Context, severity Severity, source, message string, attrs ...slog.Attr) error {
	args := []any{int(severity), source, message}
	if list := attrPairs(attrs); len(list) > 0 {
		args = append(args, list)
	}
	return Exec(ctx, l.service, "emit", args...)
}

// Verbosity tells the least severity that is kept. Records below it need not be
// sent, unless their trace is a verbose one.
func (l Logging) Verbosity(ctx context.Context) (Severity, error) {
	least, err := Get[levelAnswer](ctx, l.service, "verbosity")
	return Severity(least), err
}

// SetVerbosity sets the least severity that is kept, for everybody. Services of
// this runtime refuse it, with an *Error; others may not.
func (l Logging) SetVerbosity(ctx context.Context, severity Severity) error {
	return Exec(ctx, l.service, "set_verbosity", int(severity))
}

// attrPairs turns attributes into the pairs that emit takes.
func attrPairs(attrs []slog.Attr) (pairs []any) {
	var plain []slog.Attr
	for _, a := range attrs {
		plain = appendPlain(plain, "", a)
	}
	for _, a := range plain {
		pairs = append(pairs, []any{a.Key, a.Value.Any()})
	}
	return pairs
}

// attrValue gives a value as the service takes it (docs/PROTOCOL.md, logging).
func attrValue(v slog.Value) any {
	switch v.Kind() {
	case slog.KindBool:
		return v.Bool()
	case slog.KindInt64:
		return v.Int64()
	case slog.KindUint64:
		return v.Uint64()
	case slog.KindFloat64:
		return v.Float64()
	case slog.KindTime:
		return v.Time().UTC().Format(time.RFC3339Nano)
	case slog.KindAny:
		if b, ok := v.Any().([]byte); ok {
			return string(b)
		}
	}
	return v.String()
}
