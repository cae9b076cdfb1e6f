package logging

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
)

// Format is how a Writer shows records.
type Format int

const (
	// Text is a line of key=value pairs, as of slog.TextHandler.
	Text Format = iota
	// JSON is an object per line, as of slog.JSONHandler.
	JSON
)

// writerQueue is how many bytes of lines wait for a slow output.
const writerQueue = 1 << 20

// Writer is a Sink that shows records as lines. An output that blocks, such as a
// terminal on hold, costs records and nothing else: they wait in a bounded queue,
// which drops the oldest.
type Writer struct {
	out    io.Writer
	format Format
	queue  queue
	wake   chan struct{}
	stop   chan struct{}
	done   chan struct{}
	once   sync.Once
}

var _ Sink = (*Writer)(nil)

// NewWriter starts a Writer on an output. Close ends it.
func NewWriter(out io.Writer, format Format) *Writer {
	w := &Writer{out: out, format: format, queue: queue{limit: writerQueue},
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	go w.run()
	return w
}

// Emit implements Sink.
func (w *Writer) Emit(r Record) {
	w.queue.push(w.line(r))
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Close writes what is queued and waits until the output has taken it. Records
// that come later are lost.
func (w *Writer) Close() error {
	w.once.Do(func() { close(w.stop) })
	<-w.done
	return nil
}

func (w *Writer) run() {
	defer close(w.done)
	for {
		select {
		case <-w.wake:
			w.flush()
		case <-w.stop:
			w.flush()
			return
		}
	}
}

func (w *Writer) flush() {
	lines, dropped := w.queue.take()
	if dropped > 0 {
		// An output that fails, e.g. a closed terminal, has nobody to tell.
		_, _ = w.out.Write(w.line(droppedRecord(dropped)))
	}
	if len(lines) > 0 {
		_, _ = w.out.Write(bytes.Join(lines, nil))
	}
}

// line formats a record.
func (w *Writer) line(r Record) []byte {
	var b bytes.Buffer
	o := &slog.HandlerOptions{Level: slog.LevelDebug}
	var h slog.Handler = slog.NewTextHandler(&b, o)
	if w.format == JSON {
		h = slog.NewJSONHandler(&b, o)
	}
	s := slog.NewRecord(r.Time, level(r.Severity), r.Message, 0)
	for _, a := range []slog.Attr{slog.String("app", r.App), slog.String("worker", r.Worker), slog.String("source", r.Source)} {
		if a.Value.String() != "" {
			s.AddAttrs(a)
		}
	}
	for _, a := range r.Attrs {
		s.AddAttrs(slog.Any(a.Name, a.Value))
	}
	_ = h.Handle(context.Background(), s) // a bytes.Buffer does not fail
	return b.Bytes()
}
