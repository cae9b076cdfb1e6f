package daemon_test

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// A pythonApp serves the events of the application, written in Python, that clients of
// the original runtime were heard with. It speaks for itself, without the framework:
// what is compared is the runtime alone.
type pythonApp struct {
	mu       sync.Mutex // guards conn's writing
	conn     net.Conn
	requests map[uint64]chan wire.Frame
	dying    chan struct{} // taken by a request of "slow"
}

// runPythonApp is the process of a worker.
func runPythonApp() int {
	p := puppetOf(os.Args)
	conn, err := net.Dial("unix", p.Endpoint)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	a := &pythonApp{conn: conn, requests: make(map[uint64]chan wire.Frame), dying: make(chan struct{})}
	a.send(1, idl.WorkerHandshake, p.UUID)
	go func() {
		for ; ; time.Sleep(5 * time.Second) {
			a.send(1, idl.WorkerHandshake)
		}
	}()
	return a.serve()
}

// serve hands frames to their requests until the runtime has had enough.
func (a *pythonApp) serve() int {
	r := frameReader{conn: a.conn, scan: wire.NewScanner(wire.Limits{})}
	for {
		b, err := r.next()
		if err != nil {
			return 0
		}
		f, _, err := wire.Parse(b, wire.Limits{})
		if err != nil {
			fmt.Println(err)
			return 1
		}
		switch in := a.requests[f.Channel]; {
		case f.Channel > 1 && in == nil:
			in = make(chan wire.Frame, 64)
			a.requests[f.Channel] = in
			go a.request(f.Channel, firstText(f), in)
		case f.Channel > 1:
			in <- f
		case f.Type == idl.WorkerTerminate:
			a.write(1, idl.WorkerTerminate, f.Args)
			return 0
		}
	}
}

// request serves one event.
func (a *pythonApp) request(channel uint64, event string, in <-chan wire.Frame) {
	switch event {
	case "ping":
		a.send(channel, idl.Write, firstText(<-in))
	case "multi":
		for i := range 3 {
			a.send(channel, idl.Write, fmt.Sprintf("part%d", i))
		}
	case "readall":
		a.readAll(channel, in)
	case "mute":
	case "slow":
		seconds, _ := strconv.ParseFloat(firstText(<-in), 64)
		select {
		case <-time.After(time.Duration(seconds * float64(time.Second))):
		case <-a.dying:
			select {}
		}
		a.send(channel, idl.Write, "slept")
	case "die":
		<-in
		a.dying <- struct{}{} // when nothing is left to read, or the end would be a reset
		os.Exit(3)
	case "fail":
		a.send(channel, idl.StreamError, []any{42, 100}, "handler blew up")
		return
	case "err":
		a.send(channel, idl.StreamError, []any{42, 517}, "app says no")
		return
	default:
		a.send(channel, idl.StreamError, []any{42, 200}, "there is no handler for event b'"+event+"'")
		return
	}
	a.send(channel, idl.Close)
}

func (a *pythonApp) readAll(channel uint64, in <-chan wire.Frame) {
	for n := 0; ; n++ {
		switch f := <-in; f.Type {
		case idl.Write:
			a.send(channel, idl.Write, "got "+firstText(f))
		case idl.StreamError:
			r := msgpack.NewReader(f.Args)
			r.Array()
			r.Skip()
			a.send(channel, idl.Write, fmt.Sprintf("end after %d: RequestError b'%s'", n, r.String()))
			return
		default:
			a.send(channel, idl.Write, fmt.Sprintf("end after %d: ChokeEvent ", n))
			return
		}
	}
}

func (a *pythonApp) send(channel, typ uint64, args ...any) {
	if args == nil {
		args = []any{}
	}
	b, err := msgpack.AppendValue(nil, args)
	if err != nil {
		panic(err)
	}
	a.write(channel, typ, b)
}

func (a *pythonApp) write(channel, typ uint64, args []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, _ = a.conn.Write(wire.AppendFrame(nil, wire.Frame{Channel: channel, Type: typ, Args: args})) // its end is read
}

// firstText gives the first argument, a copy.
func firstText(f wire.Frame) string {
	r := msgpack.NewReader(f.Args)
	r.Array()
	return r.String()
}
