package worker

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"github.com/cocaine/cocaine-go/internal/codec"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// A reader that is relieved serves the call that it has taken and none of those that
// the crew or the next reader have, wherever it was: here before its first call.
func TestBriefRelievedAtOnce(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	w, err := New(Options{App: "a"})
	if err != nil {
		t.Fatal(err)
	}
	r := &run{Worker: w, gate: newGate(), session: rpc.NewSession(near, rpc.SessionOptions{}), base: context.Background()}
	r.crew.flush = func() {}
	defer r.crew.close()
	succeeded := 0
	s := &r.intake.brief
	s.crew, s.succeed = &r.crew, func() { succeeded++ }
	defer s.close()

	const calls = 2 * fewest
	var served [2 * calls]atomic.Int32
	echo := func(_ context.Context, q *request, _ []byte, _ *codec.Buffer) ([]byte, error) {
		served[q.channel].Add(1)
		return []byte{0x90}, nil
	}
	b := &binding{event: "e", value: echo}
	batch := func(from uint64) {
		for channel := from; channel < from+calls; channel++ {
			r.gate.enter()
			s.calls = append(s.calls, &call{request: request{run: r, binding: b, channel: channel}, in: codec.NewBuffer()})
		}
	}

	batch(0)
	late := s.take()
	if !s.relieve(late.number) {
		t.Fatal("the reader cannot be relieved")
	}
	if s.relieve(late.number) || succeeded != 1 {
		t.Fatalf("it can be relieved again, %d times", succeeded)
	}
	batch(calls) // the next reader's
	if s.serveAll(late) {
		t.Error("the one who was relieved has the rest")
	}
	if !s.serve() {
		t.Error("the next reader was relieved")
	}
	r.gate.close()
	<-r.gate.empty
	for channel := range served {
		if n := served[channel].Load(); n != 1 {
			t.Errorf("call %d was served %d times", channel, n)
		}
	}
}
