package process

import (
	"bytes"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cocaine/cocaine-go/internal/isolate"
)

// output reads what a worker prints. One goroutine reads each stream; they take
// turns in calling deliver, so that its calls never overlap.
type output struct {
	deliver func(line []byte, stderr bool) // nil: nobody listens, there are no pipes
	read    [2]*os.File                    // stdout, stderr
	write   [2]int                         // the worker's ends
	turn    chan struct{}                  // capacity 1: the right to call deliver
	stopped atomic.Bool                    // no further call
	left    atomic.Int32                   // streams that have not ended
	ended   chan struct{}                  // closed when left is zero
}

func newOutput(deliver func([]byte, bool)) (*output, error) {
	o := &output{deliver: deliver, turn: make(chan struct{}, 1), write: [2]int{-1, -1}, ended: make(chan struct{})}
	if deliver == nil {
		close(o.ended)
		return o, nil
	}
	o.left.Store(int32(len(o.read)))
	for i := range o.read {
		// Not os.Pipe: the worker's end has to block, as programs expect of
		// their output, and only ours is for the poller.
		var fds [2]int
		if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
			o.closeChildEnds()
			o.abandon()
			return nil, os.NewSyscallError("pipe2", err)
		}
		unix.SetNonblock(fds[0], true)
		o.read[i], o.write[i] = os.NewFile(uintptr(fds[0]), "output"), fds[1]
	}
	return o, nil
}

// childEnds are the descriptors that become the worker's stdout and stderr.
func (o *output) childEnds(null int) (stdout, stderr int) {
	if o.deliver == nil {
		return null, null
	}
	return o.write[0], o.write[1]
}

// closeChildEnds closes the runtime's copies, so that the streams end with the worker.
func (o *output) closeChildEnds() {
	for i, fd := range o.write {
		if fd >= 0 {
			unix.Close(fd)
			o.write[i] = -1
		}
	}
}

// abandon closes the reading ends before start.
func (o *output) abandon() {
	for _, f := range o.read {
		if f != nil {
			f.Close()
		}
	}
}

func (o *output) start() {
	for i, f := range o.read {
		if f != nil {
			go o.pump(f, i == 1)
		}
	}
}

// firstBuffer is what a stream's buffer starts with; long lines make it grow to
// isolate.MaxLine.
const firstBuffer = 4 << 10

// pump delivers a stream line by line until it ends, fails or is stopped.
func (o *output) pump(f *os.File, stderr bool) {
	defer func() {
		f.Close()
		if o.left.Add(-1) == 0 {
			close(o.ended)
		}
	}()
	buf := make([]byte, 0, firstBuffer)
	for {
		n, err := f.Read(buf[len(buf):cap(buf)])
		start := len(buf)
		buf = buf[:start+n]
		rest := o.lines(buf, start, stderr)
		buf = append(buf[:0], rest...)
		if err != nil {
			if len(buf) > 0 { // a last line without its newline
				o.call(buf, stderr)
			}
			return
		}
		switch {
		case len(buf) == isolate.MaxLine:
			o.call(buf, stderr)
			buf = buf[:0]
		case len(buf) == cap(buf):
			buf = append(make([]byte, 0, min(2*cap(buf), isolate.MaxLine)), buf...)
		}
	}
}

// lines delivers the complete lines of buf, whose first `searched` bytes are known
// to hold no newline, and returns what remains.
func (o *output) lines(buf []byte, searched int, stderr bool) []byte {
	for {
		end := bytes.IndexByte(buf[searched:], '\n')
		if end < 0 {
			return buf
		}
		o.call(buf[:searched+end], stderr)
		buf, searched = buf[searched+end+1:], 0
	}
}

// call delivers one line in its turn.
func (o *output) call(line []byte, stderr bool) {
	o.turn <- struct{}{}
	defer func() { <-o.turn }()
	if !o.stopped.Load() {
		o.deliver(line, stderr)
	}
}

// wait returns when both streams have ended.
func (o *output) wait() { <-o.ended }

// finish returns when everything was delivered, or when that takes longer than
// delay: then something else holds the streams open, or deliver does not return.
func (o *output) finish(delay time.Duration) {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-o.ended:
		return
	case <-timer.C:
	}
	o.stopped.Store(true)
	for _, f := range o.read {
		f.SetReadDeadline(time.Now())
	}
	// A call that is going on may return yet; none begins any more.
	timer.Reset(delay)
	select {
	case <-o.ended:
	case <-timer.C:
	}
}
