//go:build linux

package echo

import (
	"bytes"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/bench/internal/frame"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// engine is the runtime's end of a worker connection.
type engine struct {
	t    *testing.T
	conn net.Conn
	buf  []byte
	exit chan error
}

// start runs a worker and reads its handshake and first heartbeat.
func start(t *testing.T) *engine {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	e := &engine{t: t, exit: make(chan error, 1)}
	go func() { e.exit <- Run(Options{Endpoint: path, UUID: "5d2c"}) }()
	if e.conn, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	e.conn.SetDeadline(time.Now().Add(10 * time.Second))
	t.Cleanup(func() { e.conn.Close() })
	if f := e.next(); f.Channel != 1 || f.Type != frame.Handshake || !bytes.Equal(f.Args(), []byte("\x91\xa45d2c\x90")) {
		t.Fatalf("the handshake is %+v", f)
	}
	if f := e.next(); f.Channel != 1 || f.Type != frame.Heartbeat || !bytes.Equal(f.Args(), []byte{0x90, 0x90}) {
		t.Fatalf("the first heartbeat is %+v", f)
	}
	return e
}

func (e *engine) next() frame.Frame {
	e.t.Helper()
	for {
		f, n, err := frame.Next(e.buf)
		if err == nil {
			e.buf = e.buf[n:]
			return f
		}
		if !errors.Is(err, frame.ErrShort) {
			e.t.Fatal(err)
		}
		b := make([]byte, 64<<10)
		n, err = e.conn.Read(b)
		if err != nil {
			e.t.Fatal(err)
		}
		e.buf = append(e.buf, b[:n]...)
	}
}

func (e *engine) write(b []byte) {
	e.t.Helper()
	if _, err := e.conn.Write(b); err != nil {
		e.t.Fatal(err)
	}
}

func (e *engine) wantExit() {
	e.t.Helper()
	select {
	case err := <-e.exit:
		if err != nil {
			e.t.Errorf("the worker ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		e.t.Fatal("the worker goes on")
	}
}

func invoke(channel uint64, payload []byte) []byte {
	b := frame.AppendTail(nil, channel, frame.Tail(0, frame.Raw("echo")))
	b = frame.AppendTail(b, channel, frame.Tail(frame.Write, frame.Raw(payload)))
	return frame.AppendTail(b, channel, frame.Tail(frame.Close))
}

func (e *engine) wantEcho(channel uint64, payload []byte) {
	e.t.Helper()
	if f := e.next(); f.Channel != channel || f.Type != frame.Write || !bytes.Equal(f.Args(), frame.Tail(0, frame.Raw(payload))[1:]) {
		e.t.Fatalf("the answer on channel %d is %+v", channel, f)
	}
	if f := e.next(); f.Channel != channel || f.Type != frame.Close {
		e.t.Fatalf("the end of channel %d is %+v", channel, f)
	}
}

func TestEchoesBatchesHoweverSplit(t *testing.T) {
	e := start(t)
	var all []byte
	payload := bytes.Repeat([]byte("x"), 3000)
	const calls = 100
	for i := range uint64(calls) {
		all = append(all, invoke(2+i, payload[:30*i])...)
	}
	go func() {
		for len(all) > 0 {
			n := min(777, len(all))
			if _, err := e.conn.Write(all[:n]); err != nil {
				return // the reader below fails then
			}
			all = all[n:]
		}
	}()
	for i := range uint64(calls) {
		e.wantEcho(2+i, payload[:30*i])
	}
	e.conn.Close()
	e.wantExit()
}

func TestFrameLargerThanTheBuffer(t *testing.T) {
	e := start(t)
	payload := bytes.Repeat([]byte("y"), 3*readSize)
	go e.conn.Write(invoke(2, payload))
	e.wantEcho(2, payload)
	e.conn.Close()
	e.wantExit()
}

// The answer to a heartbeat looks like one; a client's error wants no answer.
func TestSilentOnHeartbeatAndError(t *testing.T) {
	e := start(t)
	b := frame.AppendTail(nil, 1, frame.Tail(0))
	b = frame.AppendTail(b, 2, frame.Tail(0, frame.Raw("echo")))
	b = frame.AppendTail(b, 2, frame.Tail(frame.StreamErr, []byte{0x92, 5, 2}, frame.Raw("End of file")))
	e.write(append(b, invoke(3, []byte("hi"))...))
	e.wantEcho(3, []byte("hi"))
	e.conn.Close()
	e.wantExit()
}

func TestAcknowledgesTerminate(t *testing.T) {
	e := start(t)
	e.write(frame.AppendTail(nil, 1, frame.Tail(frame.Terminate, []byte{11}, frame.Raw("overseer is shutting down"))))
	if f := e.next(); f.Channel != 1 || f.Type != frame.Terminate {
		t.Fatalf("the acknowledgement is %+v", f)
	}
	e.wantExit()
}

func TestBrokenFrameIsAnError(t *testing.T) {
	e := start(t)
	e.write([]byte{0xc1, 0xc1, 0xc1, 0xc1, 0xc1})
	if err := <-e.exit; !errors.Is(err, frame.ErrBroken) {
		t.Errorf("the worker ended with %v", err)
	}
}

func TestNoRuntimeIsAnError(t *testing.T) {
	if err := Run(Options{Endpoint: filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("connected to nothing")
	}
}
