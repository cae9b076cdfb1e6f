package cocaine

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"time"
)

type loggerKey struct{}

// WithLogger returns a context whose futures report the errors that nobody looks
// at to l. Without one they report to slog.Default.
func WithLogger(ctx context.Context, l *slog.Logger) context.Context {
	return context.WithValue(ctx, loggerKey{}, logger{l})
}

// logger is the logger of a context; the zero one is slog.Default.
type logger struct{ l *slog.Logger }

func loggerOf(ctx context.Context) logger {
	l, _ := ctx.Value(loggerKey{}).(logger)
	return l
}

// caller is where the function was called that calls it.
func caller() uintptr { return callerOf(1) }

// callerOf is where the function was called that calls it; of a larger depth, where
// that one's caller was called, and so on.
func callerOf(depth int) uintptr {
	var pc [1]uintptr
	runtime.Callers(3+depth, pc[:])
	return pc[0]
}

// place is the file and the line of a call.
func place(pc uintptr) string {
	frame, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	return fmt.Sprintf("%s:%d", frame.File, frame.Line)
}

// reportLost tells of an error that nobody has looked at. The record's source is
// the place where the future was made: nothing else of it is left.
func (l logger) reportLost(err error, made uintptr) {
	handler := slog.Default().Handler()
	if l.l != nil {
		handler = l.l.Handler()
	}
	ctx := context.Background()
	if !handler.Enabled(ctx, slog.LevelError) {
		return
	}
	r := slog.NewRecord(time.Now(), slog.LevelError, "nobody looked at the error of a future", made)
	r.AddAttrs(slog.Any("error", err), slog.String("made", place(made)))
	if panicked, ok := err.(*PanicError); ok {
		r.AddAttrs(slog.String("stack", string(panicked.Stack)))
	}
	_ = handler.Handle(ctx, r) // there is nobody left to tell
}
