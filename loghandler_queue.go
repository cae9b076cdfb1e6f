package cocaine

import (
	"log/slog"
	"sync"
	"time"

	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// A logEntry is a record that waits. Its attributes are plain.
type logEntry struct {
	time    time.Time
	level   slog.Level
	message string
	attrs   []slog.Attr
	trace   Trace
	traced  bool // there is a trace_id among the attributes
}

// logEntryOverhead is what a waiting record takes beside its texts, about.
const logEntryOverhead = 128

func (e *logEntry) size() int {
	n := logEntryOverhead + len(e.message)
	for _, a := range e.attrs {
		n += logEntryOverhead/2 + len(a.Key)
		if a.Value.Kind() == slog.KindString {
			n += len(a.Value.String())
		}
	}
	return n
}

// appendEmit appends the arguments of emit.
func (e *logEntry) appendEmit(b []byte, source string) []byte {
	attrs := e.attrs
	// The service shows the trace of a channel by itself; only of a verbose one it
	// needs to know.
	if e.trace.ID != 0 && !e.trace.Verbose && !e.traced {
		attrs = append(attrs[:len(attrs):len(attrs)], traceAttr(e.trace))
	}
	n := 4
	if len(attrs) == 0 {
		n = 3
	}
	b = msgpack.AppendArray(b, n)
	b = msgpack.AppendInt(b, int64(severityOf(e.level)))
	b = msgpack.AppendString(b, source)
	b = msgpack.AppendString(b, e.message)
	if n == 3 {
		return b
	}
	b = msgpack.AppendArray(b, len(attrs))
	for _, a := range attrs {
		b = msgpack.AppendArray(b, 2)
		b = msgpack.AppendString(b, a.Key)
		b = appendPlainValue(b, a.Value)
	}
	return b
}

func appendPlainValue(b []byte, v slog.Value) []byte {
	switch v.Kind() {
	case slog.KindBool:
		return msgpack.AppendBool(b, v.Bool())
	case slog.KindInt64:
		return msgpack.AppendInt(b, v.Int64())
	case slog.KindUint64:
		return msgpack.AppendUint(b, v.Uint64())
	case slog.KindFloat64:
		return msgpack.AppendFloat(b, v.Float64())
	}
	return msgpack.AppendString(b, v.String())
}

// maxLogBytes is how much of records may wait.
const maxLogBytes = 8 << 20

// A logQueue holds records between those who log and the goroutine that sends,
// which may have as many again in its hands.
type logQueue struct {
	limit int
	wake  chan struct{} // has a token when there is something new

	mu      sync.Mutex
	entries []logEntry
	bytes   int
	dropped uint64 // all of them
	told    uint64 // those that a record has told of
	closed  bool
}

// push adds a record, or counts it as dropped. It reports false when the queue is
// closed.
func (q *logQueue) push(e *logEntry) bool {
	size := e.size()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	if len(q.entries) >= q.limit || q.bytes+size > maxLogBytes {
		q.dropped++
		return true
	}
	q.entries = append(q.entries, *e)
	q.bytes += size
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return true
}

// pop takes all records, and behind them one that tells of those dropped.
func (q *logQueue) pop() []logEntry {
	q.mu.Lock()
	defer q.mu.Unlock()
	entries := q.entries
	q.entries, q.bytes = nil, 0
	if n := q.dropped - q.told; n > 0 {
		q.told = q.dropped
		entries = append(entries, logEntry{
			time: time.Now(), level: slog.LevelWarn, message: "log records dropped: the queue was full", attrs: []slog.Attr{slog.Uint64("dropped", n)},
		})
	}
	return entries
}

// close lets no more in.
func (q *logQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

func (q *logQueue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.entries) == 0
}

func (q *logQueue) total() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}
