package worker_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/faultnet"
	"github.com/cocaine/cocaine-go/internal/logtest"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
	"github.com/cocaine/cocaine-go/internal/standin"
	"github.com/cocaine/cocaine-go/worker"
)

func TestMain(m *testing.M) {
	if standin.AsProcess() {
		runAsWorker()
	}
	goleak.VerifyTestMain(m)
}

const (
	uuid = "5d2c7a10-0000-4000-8000-000000000001"
	wait = 20 * time.Second // for what must happen
)

// Messages, by the direction they are read in.
const (
	heartbeat, terminate         = 0, 1       // channel 1
	invoke, write, fail, closing = 0, 0, 1, 2 // other channels
)

// A scene is a worker under test and the runtime's end of its connection, which
// the test plays.
type scene struct {
	*rpctest.Peer
	t      *testing.T
	worker *worker.Worker
	cancel context.CancelFunc
	result chan error
	log    *logtest.Buffer
}

// play starts a worker on a connection in memory. Its handshake has been read.
func play(t *testing.T, bind func(w *worker.Worker), opts ...func(*worker.Options)) *scene {
	t.Helper()
	s := launch(t, bind, opts...)
	s.Want(1, heartbeat, uuid) // the handshake has the same number
	s.Want(1, heartbeat)
	return s
}

// launch is play before anything has been read.
func launch(t *testing.T, bind func(w *worker.Worker), opts ...func(*worker.Options)) *scene {
	t.Helper()
	mine, its := faultnet.Pipe(faultnet.PipeOptions{Buffer: 1 << 20})
	s := &scene{t: t, result: make(chan error, 1), log: new(logtest.Buffer)}
	o := worker.Options{
		App: "app", UUID: uuid, Endpoint: "/in/memory", Heartbeat: time.Hour, Disown: 2 * time.Hour,
		Signals: []os.Signal{},
		Logger:  slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Dial:    func(context.Context, string, string) (net.Conn, error) { return its, nil },
	}
	for _, f := range opts {
		f(&o)
	}
	var err error
	if s.worker, err = worker.New(o); err != nil {
		t.Fatal(err)
	}
	bind(s.worker)
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.Peer = rpctest.Play(t, mine)
	var running sync.WaitGroup
	running.Go(func() { s.result <- s.worker.Run(ctx) })
	t.Cleanup(func() {
		s.Peer.Close()
		cancel()
		running.Wait()
		if t.Failed() {
			t.Logf("the worker's log:\n%s", s.log)
		}
	})
	return s
}

// ask sends a whole request of one chunk.
func (s *scene) ask(channel uint64, event, chunk string) {
	s.t.Helper()
	s.Send(channel, invoke, event)
	s.Send(channel, write, chunk)
	s.Send(channel, closing)
}

// answer reads a whole answer of one chunk.
func (s *scene) answer(channel uint64, chunk string) {
	s.t.Helper()
	s.Want(channel, write, chunk)
	s.Want(channel, closing)
}

// end waits for Run to return.
func (s *scene) end() error {
	s.t.Helper()
	return await(s.t, s.result, "the end of Run")
}

// stop tells the worker to stop, as the runtime does, and wants a clean end.
func (s *scene) stop() {
	s.t.Helper()
	s.Send(1, terminate, 11, "overseer is shutting down")
	s.Want(1, terminate, 11, "overseer is shutting down")
	s.Peer.Close()
	if err := s.end(); err != nil {
		s.t.Errorf("Run returned %v", err)
	}
}

func await[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(wait):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// packed gives the msgpack of a short string.
func packed(s string) string {
	if len(s) > 31 {
		panic("too long")
	}
	return string([]byte{0xa0 | byte(len(s))}) + s
}

// greet is a typed handler for tests.
type person struct {
	Name string `json:"name"`
}

type greeting struct {
	Text string `json:"text"`
}

func greet(_ context.Context, p person) (greeting, error) {
	if p.Name == "" {
		return greeting{}, errors.New("whom?")
	}
	return greeting{"hello " + p.Name}, nil
}

// cocaineTimeout is the header of a deadline: two bytes of milliseconds, the lower
// one first.
func cocaineTimeout(ms string) cocaine.Headers {
	return cocaine.Headers{{Name: "request_timeout", Value: ms + "\x00\x00\x00\x00\x00\x00"}}
}
