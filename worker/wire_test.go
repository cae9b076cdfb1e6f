package worker_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/worker"
)

// frames reads bytes as hexadecimal digits and "text".
func frames(t *testing.T, line string) []byte {
	t.Helper()
	var out []byte
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			out = append(out, part...)
			continue
		}
		b, err := hex.DecodeString(strings.ReplaceAll(part, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b...)
	}
	return out
}

// wantBytes reads exactly these bytes.
func (s *scene) wantBytes(line string) {
	s.t.Helper()
	want := frames(s.t, line)
	got := make([]byte, len(want))
	_ = s.Conn().SetReadDeadline(time.Now().Add(wait))
	if n, err := io.ReadFull(s.Conn(), got); err != nil || !bytes.Equal(got, want) {
		s.t.Fatalf("got  %x, %v\nwant %x (%s)", got[:n], err, want, line)
	}
}

// handshakeBytes is how a worker introduces itself. It says that it understands revoke.
const handshakeBytes = `94 01 00 91 da0024 "` + uuid + `" 91 93 c2 b0 "x-cocaine-revoke" a1 "1"`

// docs/PROTOCOL.md, section "Worker protocol": the worker talks first.
func TestWorkerHandshakeBytes(t *testing.T) {
	s := launch(t, func(*worker.Worker) {})
	s.wantBytes(handshakeBytes)
	s.wantBytes(`94 01 00 90 90`)
	s.Write(frames(t, `93 01 01 92 01 a3 "bye"`))
	s.wantBytes(`94 01 01 92 01 a3 "bye" 90`)
	s.Peer.Close()
	if err := s.end(); err != nil {
		t.Error(err)
	}
}

// One conversation with everything in it, frame by frame, as runtimes that send
// frames of three elements and of four lead it.
func TestWorkerV1Conversation(t *testing.T) {
	failed := make(chan error, 1)
	s := launch(t, func(w *worker.Worker) {
		w.HandleStream("ping", func(ctx context.Context, s *worker.Stream) error {
			chunk, err := s.Recv(ctx)
			if err != nil {
				return err
			}
			return s.Send(ctx, chunk)
		})
		w.HandleStream("bad", func(context.Context, *worker.Stream) error { return errors.New("whoops") })
		w.HandleStream("forgetful", func(ctx context.Context, s *worker.Stream) error { return s.Encode(ctx, "x") })
		w.HandleStream("listen", func(ctx context.Context, s *worker.Stream) error {
			_, err := s.Recv(ctx)
			failed <- err
			return nil
		})
	})
	for _, step := range []struct{ from, bytes string }{
		{"worker", handshakeBytes},
		{"worker", `94 01 00 90 90`},
		{"runtime", `93 01 00 90`},
		{"runtime", `94 02 00 91 a4 "ping" 90  93 02 00 91 a2 "hi"  93 02 02 90`},
		{"worker", `94 02 00 91 a2 "hi" 90  94 02 02 90 90`},
		{"runtime", `93 03 00 91 a6 "nobody"  93 03 00 91 a2 "hi"  93 03 02 90`},
		{"worker", `94 03 01 92 92 2a ccc8 da0026 "there is no handler for event \"nobody\"" 90`},
		{"runtime", `93 04 00 91 a3 "bad"  93 04 00 91 a2 "hi"  93 04 02 90`},
		{"worker", `94 04 01 92 92 2a 64 a6 "whoops" 90`},
		{"runtime", `93 05 00 91 a9 "forgetful"  93 05 02 90`},
		{"worker", `94 05 00 91 a2 a1 "x" 90  94 05 02 90 90`},
		{"runtime", `93 06 01 92 92 05 02 a3 "eof"`}, // a request that does not begin with invoke
		{"worker", `94 06 01 92 92 07 05 da0030 "a request begins with invoke, not with message 1" 90`},
		{"runtime", `93 07 00 91 a6 "listen"  93 07 09 90  93 07 01 92 92 2b 64 a6 "reason"`}, // 9 is no message
		{"worker", `94 07 02 90 90`},
		{"runtime", `93 02 00 91 a5 "stray"  93 02 02 90`}, // long over
		{"runtime", `93 01 01 92 0b a4 "stop"`},
		{"worker", `94 01 01 92 0b a4 "stop" 90`},
	} {
		step.bytes = strings.ReplaceAll(step.bytes, `\"`, `" 22 "`)
		if step.from == "runtime" {
			s.Write(frames(t, step.bytes))
		} else {
			s.wantBytes(step.bytes)
		}
	}
	s.Peer.Close()
	if err := s.end(); err != nil {
		t.Errorf("Run returned %v", err)
	}
	err := await(t, failed, "the handler that listens")
	e, ok := errors.AsType[*worker.RequestError](err)
	if !ok || *e.Err != (cocaine.Error{Category: 43, Code: 100, Message: "reason"}) || err.Error() != "caller ended the request: reason [43, 100]" {
		t.Errorf("the caller's error came as %v", err)
	}
}

// A value is encoded, and travels as one raw: clients decode it out of the chunk.
func TestEncodeIsDoubleEncoded(t *testing.T) {
	s := launch(t, func(w *worker.Worker) {
		w.HandleStream("ping", func(ctx context.Context, s *worker.Stream) error {
			return errors.Join(s.Encode(ctx, "hello"), s.Encode(ctx, []byte("\x00\xff\xc1")), s.Encode(ctx, ""), s.Send(ctx, []byte("raw")))
		})
	})
	s.wantBytes(handshakeBytes + `  94 01 00 90 90`)
	s.Write(frames(t, `93 02 00 91 a4 "ping"  93 02 02 90`))
	s.wantBytes(`94 02 00 91 a6 a5 "hello" 90  94 02 00 91 a4 a3 00ffc1 90  94 02 00 91 a1 a0 90`)
	s.wantBytes(`94 02 00 91 a3 "raw" 90  94 02 02 90 90`)
	s.stopBytes()
}

// stopBytes is stop for a test that reads bytes.
func (s *scene) stopBytes() {
	s.t.Helper()
	s.Write(frames(s.t, `93 01 01 92 0b a4 "stop"`))
	s.wantBytes(`94 01 01 92 0b a4 "stop" 90`)
	s.Peer.Close()
	if err := s.end(); err != nil {
		s.t.Errorf("Run returned %v", err)
	}
}
