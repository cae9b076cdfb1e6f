package engine_test

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/isolate"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
)

// Workers of every old framework, as they were heard to speak. A file of
// testdata/conversations has one framework, and a conversation for each process; a
// frame there is its first two elements and the arguments in hex.
//
//	worker v0.11                  a process is started as soon as it is needed; or v0.12
//	client N WHAT ARGS            a v0.12 client sends a frame of its Nth call: enqueue, write, close, error
//	gets N TYPE ARGS              and receives one
//	tells A B ARGS                the worker sends a frame, with headers if it is of v0.12; its handshake is "uuid"
//	tells3 A B ARGS               the same without headers
//	tellsnil A B ARGS             the same with nil in their place
//	tellsids A B ARGS             the same with zero ids of a trace, as indices of 64 bits
//	hears A B ARGS                it receives one; heartbeats have an order of their own
//	pass N                        seconds pass
//	stop                          the app stops: the worker hears terminate
//	closes                        the worker closes its connection
//	exit N                        its process ends, without a signal
//	term                          its process gets SIGTERM, and no other signal
//	crashes                       its end is a crash, which it is not otherwise
func TestConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/conversations/*.txt")
	if err != nil || len(files) < 10 {
		t.Fatalf("have %d conversations, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, part := range strings.Split(string(text), "\nworker ")[1:] {
			t.Run(fmt.Sprintf("%s/%d", strings.TrimSuffix(filepath.Base(file), ".txt"), i+1), func(t *testing.T) {
				virtual(t, map[string]any{"startup-timeout": 30}, func(r *rig) {
					lines := strings.Split(strings.TrimSpace(part), "\n")
					(&conversation{rig: r, old: lines[0] == "v0.11", calls: map[string]uint64{}}).hold(lines[1:])
				})
			})
		}
	}
}

// A conversation is one worker's life, as a file tells it.
type conversation struct {
	*rig
	old   bool
	w     *worker
	calls map[string]uint64 // the client's channels
	beats int               // heartbeats the worker has received and not yet heard
	heard []rpctest.Frame   // the rest
	last  uint64            // the highest channel that the worker has heard of
	over  chan struct{}     // closed when Stop has returned
}

func (c *conversation) hold(lines []string) {
	crashes := 0
	for _, line := range lines {
		f := strings.Fields(line)
		if f[0] == "crashes" {
			crashes++
			continue
		}
		c.step(f)
	}
	if c.over != nil {
		<-c.over
	}
	c.wantCrashes(crashes)
	c.client.WantIdle()
	if len(c.heard) > 0 || c.beats > 0 {
		c.t.Errorf("worker was told %v and %d heartbeats more", c.heard, c.beats)
	}
}

func (c *conversation) step(f []string) {
	c.t.Helper()
	switch f[0] {
	case "client":
		c.say(f[1], f[2], args(c.t, f[3]))
	case "gets":
		got := c.client.Recv()
		if want := fmt.Sprintf("%d %s %s", c.calls[f[1]], f[2], f[3]); fmt.Sprintf("%d %d %x", got.Channel, got.Type, got.Args) != want {
			c.t.Fatalf("client gets %v, want %s", got, want)
		}
	case "tells", "tells3", "tellsnil", "tellsids":
		c.tells(f[0], f[1], f[2], f[3])
	case "hears":
		c.hears(f[1], f[2], f[3])
	case "pass":
		wait(time.Duration(number(c.t, f[1])) * time.Second)
	case "stop":
		c.terminated()
	case "closes":
		c.w.Close()
		synctest.Wait()
	case "exit":
		c.w.wantSignals(c.t)
		c.w.end(isolate.Exit{Code: int(number(c.t, f[1]))})
		synctest.Wait()
	case "term":
		<-c.over
		if got := c.w.got(); len(got) != 1 || got[0].Name != isolate.SignalName(syscall.SIGTERM) {
			c.t.Fatalf("process got signals %v", got)
		}
	default:
		c.t.Fatalf("what is %q?", f)
	}
}

// say sends a frame of a client's call.
func (c *conversation) say(call, what string, args []byte) {
	c.t.Helper()
	typ := map[string]uint64{"enqueue": idl.AppEnqueue, "write": idl.Write, "error": idl.StreamError, "close": idl.Close}[what]
	if what == "enqueue" {
		c.rig.calls++
		c.calls[call] = c.rig.calls
	}
	c.client.Write(append(message(4, c.calls[call], typ, args), 0x90))
	synctest.Wait()
}

// worker is the process, which connects when it first has something to say.
func (c *conversation) worker() *worker {
	c.t.Helper()
	if c.w == nil {
		if len(c.calls) == 0 {
			c.SetTarget(1)
		}
		c.w = c.connect(c.spawned())
	}
	return c.w
}

func (c *conversation) tells(how, a, b, what string) {
	c.t.Helper()
	w := c.worker()
	size, headers := 3, []byte(nil)
	switch {
	case how == "tellsnil":
		size, headers = 4, []byte{0xc0}
	case how == "tellsids":
		size, headers = 4, args(c.t, "93cf0000000000000050cf0000000000000051cf0000000000000052")
	case how == "tells" && !c.old:
		size, headers = 4, []byte{0x90}
	}
	arguments := []byte("\x91\xda\x00\x24" + w.Worker)
	if what != "uuid" {
		arguments = args(c.t, what)
	}
	w.Write(append(message(size, number(c.t, a), number(c.t, b), arguments), headers...))
	synctest.Wait()
}

// hears takes the next frame that the worker was sent. Heartbeats may come between the
// frames of requests in another order.
func (c *conversation) hears(a, b, args string) {
	c.t.Helper()
	w := c.worker()
	for {
		f, err := w.Poll()
		if err != nil {
			break
		}
		if f.Channel == 1 && f.Type == 0 {
			c.beats++
		} else {
			c.heard = append(c.heard, f)
		}
	}
	if a == "1" && b == "0" {
		if c.beats--; c.beats < 0 {
			c.t.Fatal("worker heard no heartbeat")
		}
		return
	}
	if len(c.heard) == 0 {
		c.t.Fatalf("worker heard nothing, want %s %s %s", a, b, args)
	}
	f := c.heard[0]
	c.heard = c.heard[1:]
	if f.Channel > c.last {
		c.last = f.Channel
		if !c.old && (len(f.Headers) < 3 || len(f.Headers[0].Value) != 8 || len(f.Headers[1].Value) != 8 || len(f.Headers[2].Value) != 8) {
			c.t.Fatalf("invoke has headers %v, want three ids first: the native framework cannot do without", f.Headers)
		}
	}
	if got, want := fmt.Sprintf("%d %d %x", f.Channel, f.Type, f.Args), a+" "+b+" "+args; got != want {
		c.t.Fatalf("worker heard %s, want %s", got, want)
	}
}

// terminated stops the app, so that the worker is told to terminate.
func (c *conversation) terminated() {
	c.t.Helper()
	c.over = make(chan struct{})
	go func() {
		defer close(c.over)
		c.stop()
	}()
	synctest.Wait()
	got := c.w.Recv()
	channel, typ, code := uint64(1), uint64(idl.WorkerTerminate), int64(11)
	if c.old {
		channel, typ, code = oldTerminate, 0, 1
	}
	if got.Channel != channel || got.Type != typ || got.Values()[0] != any(code) {
		c.t.Fatalf("worker heard %v, want terminate", got)
	}
}

// message is a frame of so many elements up to its arguments.
func message(size int, a, b uint64, args []byte) []byte {
	return append(msgpack.AppendUint(msgpack.AppendUint(msgpack.AppendArray(nil, size), a), b), args...)
}

func args(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatalf("cannot read %q: %v", s, err)
	}
	return b
}

func number(t *testing.T, s string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
