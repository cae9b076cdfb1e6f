package daemon_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/daemon"
	"github.com/cocaine/cocaine-go/worker"
)

// child says what the test binary is when a test starts it again: a worker of an
// app, a runtime, or hostile peers of one.
const child = "DAEMON_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(child) {
	case "worker":
		runWorker()
	case "runtime":
		os.Exit(runRuntime())
	case "python":
		os.Exit(runPythonApp())
	case "puppet":
		os.Exit(runPuppet())
	case "hostile":
		os.Exit(runHostile())
	}
	// The race detector has every process linger for a second at its end.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	goleak.VerifyTestMain(m)
}

// runWorker serves "echo"; "token" and "headers", which tell those of the
// worker and of the request; "list", which calls the node; "wait" and "tick", which go on
// until their contexts end; "begun", which ends when one of the former has begun; "ended", which tells why one has ended; and "stuck", which
// nothing but SIGKILL ends.
func runWorker() {
	o := worker.Options{}
	if os.Getenv("STUBBORN") != "" {
		signal.Ignore(syscall.SIGTERM, os.Interrupt)
		o.Signals, o.Drain = []os.Signal{}, time.Hour
	}
	if os.Getenv("IMPATIENT") != "" {
		o.Heartbeat, o.Disown = 100*time.Millisecond, 3*time.Second
	}
	w, err := worker.New(o)
	if err != nil {
		log.Fatal(err)
	}
	w.HandleStream("echo", func(ctx context.Context, s *worker.Stream) error {
		for chunk, err := range s.All(ctx) {
			if err != nil {
				return err
			}
			if err := s.Send(ctx, chunk); err != nil {
				return err
			}
		}
		return nil
	})
	w.HandleStream("token", func(ctx context.Context, s *worker.Stream) error {
		return s.Send(ctx, []byte(os.Getenv("COCAINE_APP_TOKEN_TYPE")+" "+os.Getenv("COCAINE_APP_TOKEN_BODY")))
	})
	w.HandleStream("headers", func(ctx context.Context, s *worker.Stream) error {
		return s.Send(ctx, fmt.Append(nil, s.Headers()))
	})
	w.HandleStream("list", func(ctx context.Context, s *worker.Stream) error {
		c, err := w.Client()
		if err == nil {
			_, err = cocaine.Get[[]string](ctx, c.Service("node"), "list")
		}
		if err != nil {
			return err
		}
		return s.Send(ctx, []byte("ok"))
	})
	w.HandleStream("stuck", func(ctx context.Context, s *worker.Stream) error {
		if err := s.Send(ctx, []byte("stuck")); err != nil {
			return err
		}
		select {}
	})
	ends := make(chan string, 100)
	begun := make(chan struct{}, 100)
	worker.Handle(w, "wait", func(ctx context.Context, _ any) (any, error) {
		begun <- struct{}{}
		<-ctx.Done()
		ends <- context.Cause(ctx).Error()
		return nil, context.Cause(ctx)
	})
	w.HandleStream("tick", func(ctx context.Context, s *worker.Stream) error {
		defer func() { ends <- context.Cause(ctx).Error() }()
		for {
			if err := s.Encode(ctx, "tick"); err != nil {
				return err
			}
		}
	})
	worker.Handle(w, "begun", func(ctx context.Context, _ any) (any, error) {
		select {
		case <-begun:
			return nil, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	})
	worker.Handle(w, "ended", func(ctx context.Context, _ any) (string, error) {
		select {
		case why := <-ends:
			return why, nil
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	})
	w.Main()
}

// runRuntime runs a runtime in the directory that the environment names, says where
// it listens, and lives until its input ends.
func runRuntime() int {
	ctx := context.Background()
	d, err := daemon.New(ctx, daemon.Options{Config: configuration(os.Getenv("DIR"), nil), Version: "test"})
	if err == nil {
		err = d.Start(ctx)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("ready", d.Addr(), resident())
	_, _ = os.Stdin.Read(make([]byte, 1))
	if err := d.Stop(ctx); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// resident is how many KiB of memory this process has, 0 if the system does not
// tell.
func resident() (kib int) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			_, _ = fmt.Sscan(rest, &kib) // 0 if it is no number
		}
	}
	return kib
}
