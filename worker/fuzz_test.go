package worker_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/faultnet"
	"github.com/cocaine/cocaine-go/worker"
)

// Whatever the runtime sends: the worker does not panic, and ends when the
// connection does.
func FuzzInput(f *testing.F) {
	f.Add([]byte("\x94\x02\x00\x91\xa5greet\x90\x94\x02\x00\x91\xaa\x81\xa4name\xa3Ann\x90\x94\x02\x02\x90\x90"))
	f.Add([]byte("\x94\x02\x00\x91\xa4echo\x90\x94\x02\x00\x91\xa1x\x90\x94\x02\x01\x92\x92\x05\x02\xa1e\x90"))
	f.Add([]byte("\x94\x01\x00\x90\x90\x94\x01\x01\x92\x0b\xa4stop\x90"))
	f.Add([]byte("\x94\x02\x00\x91\xa5greet\x91\x93\xc2\xafrequest_timeout\xa8\x01\x00\x00\x00\x00\x00\x00\x00\x94\x02\x02\x90\x90"))
	f.Add([]byte("\x94\x02\x00\x91\xa5greet\x91\x93\xc2\xaccontent-type\xb0application/json\x94\x02\x00\x91\xa2{}\x90"))
	f.Add([]byte("\x94\x02\x00\x91\xa3raw\x90\x94\x02\x00\x91\xa1x\x90\x94\x02\x02\x90\x90\x94\x03\x00\x91\xa3raw\x90\x94\x03\x02\x90\x90"))
	f.Add([]byte("\x94\x02\x00\x91\xa7wrapped\x90\x94\x02\x00\x91\xa1\x80\x90\x94\x02\x02\x90\x90\x94\x03\x00\x91\xa1?\x90\x94\x03\x00\x91\xa1x\x90\x94\x03\x01\x92\x92\x05\x02\xa1e\x90"))
	f.Fuzz(func(t *testing.T, input []byte) {
		mine, its := faultnet.Pipe(faultnet.PipeOptions{})
		w, err := worker.New(worker.Options{
			UUID: uuid, Endpoint: "/in/memory", Heartbeat: time.Hour, Disown: time.Hour, Drain: time.Nanosecond,
			Signals: []os.Signal{}, Logger: slog.New(slog.DiscardHandler),
			Dial: func(context.Context, string, string) (net.Conn, error) { return its, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		worker.Handle(w, "greet", greet)
		w.HandleStream("echo", echo)
		w.HandleRaw("raw", func(_ context.Context, in []byte) ([]byte, error) { return in, nil }, worker.Limit(1), worker.Timeout(time.Hour))
		worker.Handle(w, "wrapped", greet, worker.With(worker.Recover()))
		w.HandleDefault(worker.HandlerFunc(func(ctx context.Context, s *worker.Stream) error {
			_, err := io.Copy(s.Writer(ctx), s.Reader(ctx))
			return err
		}))
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = w.Run(context.Background()) // lost, or stopped
		}()
		go func() { _, _ = io.Copy(io.Discard, mine) }()
		_, _ = mine.Write(input)
		_ = mine.CloseWrite()
		await(t, ended, "the end of Run")
		mine.Close()
	})
}
