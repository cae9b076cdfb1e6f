//go:build linux

// Package echo is a worker that answers every call with what it was sent,
// written straight on the socket: batches of frames in, batches of answers out,
// no goroutine and no allocation per call.
//
// It obeys the worker protocol (PROTOCOL.md, "Workers"), so the runtime, the
// original one and the bare forwarder drive it alike. Run has one goroutine that
// reads and answers; one more sends heartbeats and ends with it.
package echo

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/cocaine/cocaine-go/bench/internal/frame"
	"github.com/cocaine/cocaine-go/bench/internal/sock"
)

const (
	heartbeatEvery = 5 * time.Second
	readSize       = 256 << 10
	// flushAt is where answers are written although more input is buffered, so
	// that the next process has something to do meanwhile.
	flushAt = 64 << 10
)

// Options of a worker, as its command line gives them.
type Options struct {
	Endpoint string // path of the unix socket
	UUID     string
}

// Run serves until the runtime ends the connection or asks to terminate, both of
// which are a success.
func Run(o Options) error {
	conn, err := sock.Dial("unix", o.Endpoint)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetBlocking(); err != nil {
		return fmt.Errorf("cannot set up the socket: %w", err)
	}
	w := &worker{conn: conn, last: frame.ControlChannel}
	if err := w.write(frame.AppendTail(nil, frame.ControlChannel, frame.Tail(frame.Handshake, frame.Raw(o.UUID)))); err != nil {
		return err
	}
	stop := w.beat()
	defer stop()
	return w.serve()
}

type worker struct {
	conn *sock.Conn
	mu   sync.Mutex // writes: answers and heartbeats come from two goroutines
	last uint64     // highest channel opened; only serve uses it
	done bool       // the runtime asked to terminate
}

// beat sends the first heartbeat at once, as the original frameworks do, and
// then one every five seconds until stop is called.
func (w *worker) beat() (stop func()) {
	heartbeat := frame.AppendTail(nil, frame.ControlChannel, frame.Tail(frame.Heartbeat))
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(heartbeatEvery)
		defer tick.Stop()
		for w.write(heartbeat) == nil {
			select {
			case <-tick.C:
			case <-quit:
				return
			}
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}

func (w *worker) serve() error {
	in := make([]byte, readSize)
	out := make([]byte, 0, 2*flushAt)
	have := 0
	for !w.done {
		n, err := w.conn.Read(in[have:])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot read from the runtime: %w", err)
		}
		have += n
		rest := in[:have]
		for {
			f, n, err := frame.Next(rest)
			if errors.Is(err, frame.ErrShort) {
				break
			}
			if err != nil {
				return fmt.Errorf("cannot read from the runtime: %w", err)
			}
			out = w.answer(out, f)
			rest = rest[n:]
			if len(out) >= flushAt {
				if err := w.write(out); err != nil {
					return err
				}
				out = out[:0]
			}
		}
		have = copy(in, rest)
		if have == len(in) {
			in = append(in, make([]byte, len(in))...)
		}
		if len(out) > 0 {
			if err := w.write(out); err != nil {
				return err
			}
			out = out[:0]
		}
	}
	return nil
}

// answer appends what f calls for. A channel above all before it opens a call;
// on an open one a chunk is sent back and a close is answered by a close.
func (w *worker) answer(out []byte, f frame.Frame) []byte {
	switch {
	case f.Channel == frame.ControlChannel:
		if f.Type == frame.Terminate {
			w.done = true
			return frame.AppendForward(out, f, f.Channel)
		}
		return out // the echo of a heartbeat
	case f.Channel > w.last:
		w.last = f.Channel
		return out
	case f.Type == frame.Write || f.Type == frame.Close:
		return frame.AppendForward(out, f, f.Channel)
	}
	return out // an error: the caller is gone
}

func (w *worker) write(b []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(b) > 0 {
		n, err := w.conn.Write(b)
		if err != nil {
			return fmt.Errorf("cannot write to the runtime: %w", err)
		}
		b = b[n:]
	}
	return nil
}
