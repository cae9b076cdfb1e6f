package logging_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/logging"
)

// collector is a Sink that remembers.
type collector struct {
	mu      sync.Mutex
	records []logging.Record
}

func (c *collector) Emit(r logging.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.records = append(c.records, r)
}

func (c *collector) take() []logging.Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.records
	c.records = nil
	return r
}

func TestWriter(t *testing.T) {
	r := logging.Record{
		Time: time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC), Severity: logging.Warning,
		Source: "stderr", App: "hello", Worker: "0f8b", Message: "it broke", Attrs: []logging.Attr{{Name: "n", Value: int64(3)}},
	}
	for format, want := range map[logging.Format]string{
		logging.Text: `time=2026-03-14T15:09:26.000Z level=WARN msg="it broke" app=hello worker=0f8b source=stderr n=3` + "\n" +
			`time=2026-03-14T15:09:26.000Z level=DEBUG msg=bare` + "\n",
		logging.JSON: `{"time":"2026-03-14T15:09:26Z","level":"WARN","msg":"it broke","app":"hello","worker":"0f8b","source":"stderr","n":3}` + "\n" +
			`{"time":"2026-03-14T15:09:26Z","level":"DEBUG","msg":"bare"}` + "\n",
	} {
		var out bytes.Buffer
		w := logging.NewWriter(&out, format)
		w.Emit(r)
		w.Emit(logging.Record{Time: r.Time, Message: "bare"})
		w.Close()
		if out.String() != want {
			t.Errorf("got\n%s\nwant\n%s", &out, want)
		}
		w.Close() // once more does no harm
	}
}

func TestWriterDoesNotWaitForItsOutput(t *testing.T) {
	in, out := io.Pipe()
	w := logging.NewWriter(out, logging.Text)
	const records = 30_000
	for i := range records { // nobody reads
		w.Emit(logging.Record{Time: epoch, Message: fmt.Sprint(i, " ", strings.Repeat("x", 100))})
	}
	var got bytes.Buffer
	var reading sync.WaitGroup
	reading.Go(func() { io.Copy(&got, in) })
	w.Close()
	out.Close()
	reading.Wait()
	seen, dropped := 0, 0
	for line := range strings.Lines(got.String()) {
		var n int
		if _, rest, ok := strings.Cut(line, "dropped "); ok {
			fmt.Sscanf(rest, "%d records", &n)
			dropped += n
		} else {
			seen++
		}
	}
	if seen+dropped != records || dropped == 0 || !strings.Contains(got.String(), fmt.Sprintf("%d xxx", records-1)) {
		t.Errorf("%d lines are written and %d dropped, of %d", seen, dropped, records)
	}
}

func TestTee(t *testing.T) {
	var a, b collector
	logging.Tee(&a, &b).Emit(logging.Record{Message: "x"})
	if len(a.take()) != 1 || len(b.take()) != 1 {
		t.Error("not every sink has got the record")
	}
}

type secret struct{}

func (secret) LogValue() slog.Value { return slog.StringValue("hidden") }

func TestHandler(t *testing.T) {
	var c collector
	log := slog.New(logging.NewHandler(&c, "runtime", slog.LevelInfo))
	log.Debug("not wanted")
	log.With("app", "hello", "release", 3).WithGroup("worker").With("pid", uint64(7)).
		Error("worker died", "app", "not an app", slog.Group("exit", "code", 1, "core", true), slog.Group("", "ratio", 0.5))
	log.Info("plain", "worker", "0f8b", "who", secret{}, "err", io.EOF, slog.Attr{})
	log.Warn("warning")
	got := c.take()
	for i := range got {
		if time.Since(got[i].Time) > time.Minute {
			t.Errorf("record %d is of %v", i, got[i].Time)
		}
		got[i].Time = time.Time{}
		got[i].Attrs = append([]logging.Attr(nil), got[i].Attrs...)
	}
	want := []logging.Record{
		{Severity: logging.Error, Source: "runtime", App: "hello", Message: "worker died", Attrs: []logging.Attr{
			{Name: "release", Value: int64(3)}, {Name: "worker.pid", Value: uint64(7)}, {Name: "worker.app", Value: "not an app"},
			{Name: "worker.exit.code", Value: int64(1)}, {Name: "worker.exit.core", Value: true}, {Name: "worker.ratio", Value: 0.5},
		}},
		{Severity: logging.Info, Source: "runtime", Worker: "0f8b", Message: "plain", Attrs: []logging.Attr{{Name: "who", Value: "hidden"}, {Name: "err", Value: "EOF"}}},
		{Severity: logging.Warning, Source: "runtime", Message: "warning"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	if h := log.Handler(); h.Enabled(context.Background(), slog.LevelDebug) || !h.Enabled(context.Background(), slog.LevelInfo) {
		t.Error("the level is not obeyed")
	}
}

func TestSeverityName(t *testing.T) {
	for severity, want := range map[int]string{-1: "debug", logging.Debug: "debug", logging.Info: "info", logging.Warning: "warning", logging.Error: "error", 9: "error"} {
		if got := logging.SeverityName(severity); got != want {
			t.Errorf("severity %d is called %q", severity, got)
		}
	}
}
