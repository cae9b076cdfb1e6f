package engine_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/engine"
	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// node-engine 12.3 case 1: an enqueue to a fresh app starts exactly one worker,
// waits in the queue, and what was sent meanwhile follows invoke in order.
func TestFirstRequestStartsOneWorker(t *testing.T) {
	virtual(t, nil, func(r *rig) {
		r.notSpawned()
		ch := r.call("greet")
		r.client.Send(ch, idl.Write, "one")
		r.client.Send(ch, idl.Write, "two")
		r.client.Send(ch, idl.Close)
		p := r.spawned()
		r.notSpawned()
		r.wantCount(1, "queue", "depth")
		r.wantCount(0, "load")
		w := r.connect(p)
		w.shake()
		w.Want(2, idl.WorkerInvoke, "greet")
		w.Want(2, idl.Write, "one")
		w.Want(2, idl.Write, "two")
		w.Want(2, idl.Close)
		r.wantCount(0, "queue", "depth")
		r.wantCount(1, "load")
		w.Send(2, idl.Write, "hello")
		w.Send(2, idl.Close)
		r.client.Want(ch, idl.Write, "hello")
		r.client.Want(ch, idl.Close)
		r.wantCount(0, "load")
		r.client.WantIdle()
		w.WantIdle()
	})
}

// What the process is started with (docs/PROTOCOL.md, Worker protocol).
func TestProcessArguments(t *testing.T) {
	virtual(t, map[string]any{"isolate": map[string]any{"args": map[string]any{"memory-limit": 1 << 20, "x": "y"}}}, func(r *rig) {
		r.call("e")
		p := r.spawned()
		want := []string{"--app", "app", "--endpoint", "/run/app.1", "--locator", "127.0.0.1:10053", "--protocol", "1", "--uuid", p.Worker}
		if fmt.Sprint(p.Args) != fmt.Sprint(want) {
			t.Errorf("arguments are %q, want %q", p.Args, want)
		}
		if p.App != "app" || p.Dir != "/spool/app" || p.Path != "run" || len(p.Worker) != 36 || strings.ToLower(p.Worker) != p.Worker {
			t.Errorf("spawn is %+v", p.Spawn)
		}
		if fmt.Sprint(p.Env) != "[A=1 B=2]" {
			t.Errorf("environment is %q", p.Env)
		}
		if p.Limits.Memory != 1<<20 || p.Settings["x"] != "y" {
			t.Errorf("limits are %+v, settings %v", p.Limits, p.Settings)
		}
	})
}

// node-engine 12.3 case 2: a request holds its place until both halves are closed,
// whichever closes first, and a place is freed by close, disconnect and timeout.
func TestBothHalvesHoldThePlace(t *testing.T) {
	timeout := func(d time.Duration) hpack.Header { return timeoutHeader(uint64(d.Milliseconds())) }
	tests := []struct {
		name string
		free func(r *rig, ch uint64)
	}{
		{"close", func(r *rig, ch uint64) { r.client.Send(ch, idl.Close) }},
		{"error", func(r *rig, ch uint64) { r.client.Send(ch, idl.StreamError, []any{43, 1}, "no more") }},
		{"disconnect", func(r *rig, _ uint64) { r.client.Close() }},
		{"timeout", func(r *rig, _ uint64) { wait(5 * time.Second) }},
		{"protocol mistake", func(r *rig, ch uint64) { r.client.Send(ch, 9) }},
		{"revoke", func(r *rig, ch uint64) { r.client.Send(ch+1, idl.Revoke, ch, []any{43, 1}) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, nil, func(r *rig) {
				w := r.pool(1)[0]
				ch := r.call("e", timeout(5*time.Second))
				w.Want(2, idl.WorkerInvoke, "e")
				w.Send(2, idl.Close)
				r.client.Want(ch, idl.Close)
				wait(time.Second)
				r.wantCount(1, "load")
				if tx, rx := r.half(w, "load:tx"), r.half(w, "load:rx"); tx != 1 || rx != 0 {
					t.Errorf("open halves are %d to the worker and %d from it, want 1 and 0", tx, rx)
				}
				tt.free(r, ch)
				r.wantCount(0, "load")
				r.wantStates(map[string]int{"active": 1})
			})
		})
	}
	t.Run("client first", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			w := r.pool(1)[0]
			ch := r.call("e")
			r.client.Send(ch, idl.Close)
			r.wantCount(1, "load")
			w.Want(2, idl.WorkerInvoke, "e")
			w.Want(2, idl.Close)
			w.Send(2, idl.StreamError, []any{42, 100}, "oops")
			r.client.WantError(ch, 42, 100)
			r.wantCount(0, "load")
		})
	})
}

func (r *rig) half(w *worker, key string) int {
	return r.count("pool", "slaves", w.Worker, key)
}

func timeoutHeader(ms uint64) hpack.Header {
	return hpack.Header{Name: "request_timeout", Value: string(binary.LittleEndian.AppendUint64(nil, ms))}
}

// A timeout after the worker's half has ended tells the worker, and the client
// nothing: it has its last frame.
func TestTimeoutAfterAnswer(t *testing.T) {
	virtual(t, nil, func(r *rig) {
		w := r.pool(1)[0]
		ch := r.call("e", timeoutHeader(1000))
		w.Want(2, idl.WorkerInvoke, "e")
		w.Send(2, idl.Close)
		r.client.Want(ch, idl.Close)
		wait(time.Second)
		w.WantError(2, idl.CategoryNode, idl.NodeWorkerTimeout)
		r.client.Send(ch, idl.Write, "late")
		r.client.Send(ch, idl.Close)
		r.client.WantIdle()
		w.WantIdle()
		r.wantCount(1, "requests", "timeouts")
	})
}

// node-engine 12.3 case 15: a frame of a worker behind its last one is ignored, and
// so is one for a request that is over; nobody else notices.
func TestLateFramesOfWorker(t *testing.T) {
	virtual(t, nil, func(r *rig) {
		w := r.pool(1)[0]
		a, b, c := r.call("a"), r.call("b"), r.call("c", timeoutHeader(1000))
		for i, event := range []string{"a", "b", "c"} {
			w.Want(uint64(2+i), idl.WorkerInvoke, event)
		}
		w.Send(2, idl.Close)
		w.Send(2, idl.Write, "after close")
		w.Send(2, idl.Close)
		r.client.Want(a, idl.Close)
		wait(time.Second)
		r.client.WantError(c, idl.CategoryNode, idl.NodeWorkerTimeout)
		w.WantError(4, idl.CategoryNode, idl.NodeWorkerTimeout)
		w.Send(4, idl.Write, "after timeout")
		w.Send(4, idl.StreamError, []any{42, 1}, "after timeout")
		w.Send(3, idl.Write, "neighbour")
		r.client.Want(b, idl.Write, "neighbour")
		r.client.WantIdle()
		w.WantIdle()
		r.wantStates(map[string]int{"active": 1})
	})
}

// A client's frames behind its own last one, and for a request that was refused or
// has failed, are swallowed.
func TestLateFramesOfClient(t *testing.T) {
	virtual(t, map[string]any{"queue-limit": 1}, func(r *rig) {
		r.call("queued", timeoutHeader(1000))
		refused := r.call("refused")
		r.client.WantError(refused, idl.CategoryOverseer, idl.OverseerQueueFull)
		r.client.Send(refused, idl.Write, "x")
		r.client.Send(refused, idl.Write, "y")
		r.client.Send(refused, idl.Close)
		r.client.Send(refused, idl.Close)
		r.client.WantIdle()
		wait(time.Second)
		r.client.WantError(1, idl.CategoryNode, idl.NodeDeadline)
		r.client.Send(1, idl.Write, "x")
		r.client.Send(1, idl.StreamError, []any{1, 1}, "x")
		r.client.Send(1, idl.Write, "y")
		r.client.WantIdle()
		r.wantCount(0, "queue", "depth")
	})
}

// Clients that never close the stream of a call that has failed do not fill their
// connection with open channels.
func TestFailedCallsAreForgotten(t *testing.T) {
	virtual(t, map[string]any{"queue-limit": 10, "request-timeout": 1, "concurrency": 1, "pool-limit": 1}, func(r *rig) {
		w := r.pool(1)[0]
		for range 100 {
			r.call("e")
		}
		w.Want(2, idl.WorkerInvoke, "e")
		w.Send(2, idl.Close) // its client does not care
		wait(20 * time.Second)
		if n := r.client.Session().Channels(); n != 0 {
			t.Errorf("client has %d open channels", n)
		}
		r.wantCount(0, "load")
		r.wantCount(0, "queue", "depth")
		r.client.Send(50, idl.Write, "x")
		r.client.Send(1, idl.Close)
		r.call("e")
		w.WantError(2, idl.CategoryNode, idl.NodeWorkerTimeout)
	})
}

// Errors of either side pass with their code; a category that the other side may
// not know becomes 255 (the original v0.12 runtime does the same).
func TestErrorsPass(t *testing.T) {
	tests := []struct {
		name           string
		args           []any
		category, code int
		text           string
	}{
		{"worker's", []any{[]any{42, 517}, "app says no"}, 42, 517, "app says no"},
		{"user's", []any{[]any{43, -3}, "mine"}, 43, -3, "mine"},
		{"unknown category", []any{[]any{4242, 7}, "who?"}, 255, 7, "who?"},
		{"category 0", []any{[]any{0, 0}, "zero error"}, 255, 0, "zero error"},
		{"no text", []any{[]any{42, 7}}, 42, 7, ""},
		{"nil text", []any{[]any{42, 7}, nil}, 42, 7, ""},
		{"no pair", []any{42, "error without a category pair"}, idl.CategoryDispatch, idl.DispatchBadArgs, ""},
		{"nothing", nil, idl.CategoryDispatch, idl.DispatchBadArgs, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, nil, func(r *rig) {
				w := r.pool(1)[0]
				ch := r.call("e")
				w.Want(2, idl.WorkerInvoke, "e")
				r.client.Send(ch, idl.StreamError, tt.args...)
				if text := w.WantError(2, tt.category, tt.code); tt.text != "" && text != tt.text {
					t.Errorf("worker got text %q, want %q", text, tt.text)
				}
				w.Send(2, idl.StreamError, tt.args...)
				if text := r.client.WantError(ch, tt.category, tt.code); tt.text != "" && text != tt.text {
					t.Errorf("client got text %q, want %q", text, tt.text)
				}
				r.wantCount(0, "load")
			})
		})
	}
}

// What a side sends that its stream does not allow costs that request only.
func TestMistakesOnARequest(t *testing.T) {
	mistakes := []struct {
		name string
		typ  uint64
		args []any
		code int
	}{
		{"unknown message", 5, []any{"x"}, idl.DispatchUnbound},
		{"write of a number", idl.Write, []any{17}, idl.DispatchBadArgs},
		{"write of nothing", idl.Write, nil, idl.DispatchBadArgs},
		{"write of nil", idl.Write, []any{nil}, idl.DispatchBadArgs},
	}
	for _, m := range mistakes {
		t.Run("client/"+m.name, func(t *testing.T) {
			virtual(t, nil, func(r *rig) {
				w := r.pool(1)[0]
				ch := r.call("e")
				w.Want(2, idl.WorkerInvoke, "e")
				r.client.Send(ch, m.typ, m.args...)
				r.client.WantError(ch, idl.CategoryDispatch, m.code)
				w.WantError(2, idl.CategoryDispatch, m.code)
				w.Send(2, idl.Close)
				r.client.Send(ch, idl.Close)
				r.client.WantIdle()
				r.wantCount(0, "load")
			})
		})
		t.Run("queued client/"+m.name, func(t *testing.T) {
			virtual(t, nil, func(r *rig) {
				ch := r.call("e")
				r.client.Send(ch, m.typ, m.args...)
				r.client.WantError(ch, idl.CategoryDispatch, m.code)
				r.wantCount(0, "queue", "depth")
				w := r.ready()
				w.WantIdle()
				r.client.WantIdle()
			})
		})
		t.Run("worker/"+m.name, func(t *testing.T) {
			virtual(t, nil, func(r *rig) {
				w := r.pool(1)[0]
				bad, good := r.call("bad"), r.call("good")
				w.Want(2, idl.WorkerInvoke, "bad")
				w.Want(3, idl.WorkerInvoke, "good")
				w.Send(2, m.typ, m.args...)
				r.client.WantError(bad, idl.CategoryDispatch, m.code)
				w.Send(3, idl.Write, "fine")
				r.client.Want(good, idl.Write, "fine")
				r.client.Send(bad, idl.Close)
				r.wantCount(1, "load")
			})
		})
	}
}

// Surplus arguments are ignored and headers of any width accepted
// (docs/PROTOCOL.md, Frames), on enqueue and on write, both ways.
func TestSurplusArguments(t *testing.T) {
	virtual(t, nil, func(r *rig) {
		w := r.pool(1)[0]
		r.calls++
		r.client.Send(1, idl.AppEnqueue, "e", "tag", 3)
		w.Want(2, idl.WorkerInvoke, "e")
		r.client.Send(1, idl.Write, "x", "surplus")
		w.Want(2, idl.Write, "x")
		r.client.Write([]byte{0x94, 1, 0, 0xdc, 0, 1, 0xa1, 'y', 0x90}) // array16
		w.Want(2, idl.Write, "y")
		r.client.Write([]byte{0x94, 1, 0, 0x91, 0xc4, 1, 'z', 0x90}) // bin8 travels as it came
		if f := w.Recv(); !bytes.Equal(f.Args, []byte{0x91, 0xc4, 1, 'z'}) {
			t.Errorf("worker got %x", f.Args)
		}
		w.Send(2, idl.Write, "answer", nil)
		r.client.Want(1, idl.Write, "answer")
	})
}

func TestBadEnqueue(t *testing.T) {
	bad := hpack.Header{Name: "trace_bit", Value: "x"}
	tests := []struct {
		name string
		hs   []hpack.Header
		args []any
	}{
		{"no event", nil, nil},
		{"event is a number", nil, []any{1}},
		{"bad trace", []hpack.Header{bad}, []any{"e"}},
		{"request_timeout of 3 bytes", []hpack.Header{{Name: "request_timeout", Value: "abc"}}, []any{"e"}},
		{"request_timeout of 0 bytes", []hpack.Header{{Name: "request_timeout"}}, []any{"e"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, nil, func(r *rig) {
				r.calls++
				r.client.SendHeaders(tt.hs, 1, idl.AppEnqueue, tt.args...)
				r.client.WantError(1, idl.CategoryDispatch, idl.DispatchBadArgs)
				r.client.Send(1, idl.Write, "x")
				r.client.Send(1, idl.Close)
				r.client.WantIdle()
				r.wantCount(0, "queue", "depth")
				w := r.pool(1)[0] // and the queue is not blocked
				r.call("next")
				w.Want(2, idl.WorkerInvoke, "next")
			})
		})
	}
}

// node-engine 12.3 case 6: the clock of a request starts at enqueue. Queued for
// longer it is [node, 1], on a worker [node, 3] and the worker gets an error too.
func TestRequestTimeout(t *testing.T) {
	t.Run("queued", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			ch := r.call("e", timeoutHeader(1500))
			wait(1499 * time.Millisecond)
			r.client.WantIdle()
			wait(time.Millisecond)
			r.client.WantError(ch, idl.CategoryNode, idl.NodeDeadline)
			r.wantCount(0, "queue", "depth")
			r.wantCount(1, "requests", "expired")
			r.ready().WantIdle()
		})
	})
	t.Run("on the worker", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			ch := r.call("e", timeoutHeader(3000))
			wait(time.Second)
			w := r.ready()
			w.Want(2, idl.WorkerInvoke, "e")
			wait(2*time.Second - time.Millisecond)
			r.client.WantIdle()
			wait(time.Millisecond)
			r.client.WantError(ch, idl.CategoryNode, idl.NodeWorkerTimeout)
			if text := w.WantError(2, idl.CategoryNode, idl.NodeWorkerTimeout); text != "invocation has timed out" {
				t.Errorf("worker was told %q", text)
			}
			r.wantCount(0, "load")
			r.wantCount(1, "requests", "timeouts")
		})
	})
	t.Run("of the profile", func(t *testing.T) {
		virtual(t, map[string]any{"request-timeout": 2}, func(r *rig) {
			w := r.pool(1)[0]
			ch := r.call("e")
			w.Want(2, idl.WorkerInvoke, "e")
			r.client.Send(ch, idl.Close)
			w.Want(2, idl.Close)
			wait(2 * time.Second)
			r.client.WantError(ch, idl.CategoryNode, idl.NodeWorkerTimeout)
			w.WantIdle() // its client's half was closed before: it may not get an error
			r.wantCount(0, "load")
		})
	})
	t.Run("zero", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			ch := r.call("e", timeoutHeader(0))
			r.client.WantError(ch, idl.CategoryNode, idl.NodeDeadline)
		})
	})
	t.Run("for ever", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			ch := r.call("e", timeoutHeader(1<<64-1))
			wait(time.Second)
			w := r.ready()
			w.Want(2, idl.WorkerInvoke, "e")
			w.Send(2, idl.Write, "x")
			r.client.Want(ch, idl.Write, "x")
		})
	})
}

// The deadlines of many requests fire in their order, whatever the order in which
// they were given.
func TestManyDeadlines(t *testing.T) {
	virtual(t, map[string]any{"queue-limit": 1000}, func(r *rig) {
		const n = 200
		for i := range n {
			r.call("e", timeoutHeader(uint64(1+(i*77)%n)*10))
		}
		start := time.Now()
		seen := make(map[uint64]bool)
		for i := range n {
			f := r.client.Recv()
			if e, err := rpc.DecodeError(f.Args); err != nil || e.Code != idl.NodeDeadline {
				t.Fatalf("got %v", f)
			}
			if seen[f.Channel] {
				t.Fatalf("channel %d was answered twice", f.Channel)
			}
			seen[f.Channel] = true
			due := time.Duration(1+(int(f.Channel-1)*77)%n) * 10 * time.Millisecond
			if took := time.Since(start); took != due || due != time.Duration(i+1)*10*time.Millisecond {
				t.Fatalf("answer %d, of channel %d due after %v, came after %v", i, f.Channel, due, took)
			}
		}
		r.wantCount(0, "queue", "depth")
	})
}

// Headers of enqueue reach invoke, the trace first; the trace is on every frame of
// the client's answer and no other header is (docs/PROTOCOL.md, Calling an app).
func TestHeaders(t *testing.T) {
	trace := []hpack.Header{
		{Name: "trace_id", Value: "\x01\x00\x00\x00\x00\x00\x00\x00"},
		{Name: "span_id", Value: "\x02\x00\x00\x00\x00\x00\x00\x00"},
		{Name: "parent_id", Value: "\x01\x00\x00\x00\x00\x00\x00\x00"},
	}
	custom := hpack.Header{Name: "x-user", Value: "ann"}
	virtual(t, nil, func(r *rig) {
		ch := r.call("e", custom, trace[1], trace[0], trace[2], timeoutHeader(60000))
		r.client.SendHeaders([]hpack.Header{{Name: "x-chunk", Value: "v"}}, ch, idl.Write, "in")
		r.client.Send(ch, idl.Close)
		w := r.ready()
		f := w.Want(2, idl.WorkerInvoke, "e")
		want := append(append([]hpack.Header{}, trace...), custom, timeoutHeader(60000))
		if fmt.Sprint(f.Headers) != fmt.Sprint(want) {
			t.Errorf("invoke has headers %v, want %v", f.Headers, want)
		}
		if f := w.Want(2, idl.Write, "in"); fmt.Sprint(f.Headers) != fmt.Sprint(trace) {
			t.Errorf("chunk has headers %v, want the trace", f.Headers)
		}
		w.SendHeaders([]hpack.Header{{Name: "x-worker", Value: "v"}}, 2, idl.Write, "out")
		w.Send(2, idl.Close)
		for _, f := range []struct{ Headers []hpack.Header }{{r.client.Want(ch, idl.Write, "out").Headers}, {r.client.Want(ch, idl.Close).Headers}} {
			if fmt.Sprint(f.Headers) != fmt.Sprint(trace) {
				t.Errorf("answer has headers %v, want the trace", f.Headers)
			}
		}
	})
	// Workers of old frameworks are told zero ids when there is no trace: the native one
	// of v0.12 aborts without. Those of this repository are spared them.
	zero := "\x00\x00\x00\x00\x00\x00\x00\x00"
	none := []hpack.Header{{Name: "trace_id", Value: zero}, {Name: "span_id", Value: zero}, {Name: "parent_id", Value: zero}}
	for _, tt := range []struct {
		name   string
		worker func(*rig) *worker
		sent   []hpack.Header
		want   []hpack.Header
	}{
		{"untraced", (*rig).hearing, nil, nil},
		{"untraced, with others", (*rig).hearing, []hpack.Header{custom, none[0]}, []hpack.Header{custom}},
		{"untraced, old worker", (*rig).ready, nil, none},
		{"untraced, old worker, with others", (*rig).ready, []hpack.Header{custom, none[0]}, append(slices.Clip(none), custom)},
		{"zero trace, old worker", (*rig).ready, none, none},
	} {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, nil, func(r *rig) {
				r.SetTarget(1)
				w := tt.worker(r)
				for channel := uint64(2); channel < 4; channel++ {
					ch := r.call("e", tt.sent...)
					if f := w.Want(channel, idl.WorkerInvoke, "e"); fmt.Sprint(f.Headers) != fmt.Sprint(tt.want) {
						t.Errorf("invoke has headers %v, want %v", f.Headers, tt.want)
					}
					r.client.Send(ch, idl.Close)
					if f := w.Want(channel, idl.Close); len(f.Headers) > 0 {
						t.Errorf("close has headers %v", f.Headers)
					}
					w.Send(channel, idl.Close)
					if f := r.client.Want(ch, idl.Close); len(f.Headers) > 0 {
						t.Errorf("answer has headers %v", f.Headers)
					}
				}
			})
		})
	}
	t.Run("of a refusal", func(t *testing.T) {
		virtual(t, map[string]any{"queue-limit": 1}, func(r *rig) {
			r.call("e")
			r.call("e", trace...)
			f := r.client.Recv()
			if e, err := rpc.DecodeError(f.Args); err != nil || e.Code != idl.OverseerQueueFull || e.Message != "queue is full" || fmt.Sprint(f.Headers) != fmt.Sprint(trace) {
				t.Errorf("got %v with headers %v", f, f.Headers)
			}
			go r.Stop(r.t.Context())
			synctest.Wait()
			r.call("e", trace...)
			f = r.client.Recv()
			if e, err := rpc.DecodeError(f.Args); err != nil || e.Code != idl.GenericBrokenPipe || fmt.Sprint(f.Headers) != fmt.Sprint(trace) {
				t.Errorf("got %v with headers %v", f, f.Headers)
			}
			r.client.Close()
			wait(24 * time.Hour)
		})
	})
}

// A client that asks for the story gets it with the last frame.
func TestStory(t *testing.T) {
	story := hpack.Header{Name: engine.StoryHeader, Value: "1"}
	virtual(t, nil, func(r *rig) {
		ch := r.call("e", story)
		wait(time.Second)
		w := r.hearing()
		if f := w.Want(2, idl.WorkerInvoke, "e"); len(f.Headers) > 0 {
			t.Errorf("worker got headers %v", f.Headers)
		}
		wait(2 * time.Second)
		w.Send(2, idl.Write, "x")
		if f := r.client.Want(ch, idl.Write, "x"); len(f.Headers) > 0 {
			t.Errorf("chunk has headers %v", f.Headers)
		}
		w.Send(2, idl.Close)
		f := r.client.Want(ch, idl.Close)
		for name, want := range map[string]string{engine.ReleaseHeader: "7", engine.WorkerHeader: w.Worker, engine.QueueHeader: "1000000", engine.RunHeader: "2000000"} {
			if got, _ := hpack.Lookup(f.Headers, name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		ch = r.call("e", story, timeoutHeader(1000))
		wait(time.Second)
		f = r.client.Recv()
		if got, _ := hpack.Lookup(f.Headers, engine.RunHeader); f.Channel != ch || got != "1000000" {
			t.Errorf("error frame %v has headers %v", f, f.Headers)
		}
	})
}

// A client that goes away takes its request off the worker, which learns why
// (captured from the original: error [5, 2] "End of file").
func TestClientGone(t *testing.T) {
	t.Run("running", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			w := r.pool(1)[0]
			r.call("e")
			w.Want(2, idl.WorkerInvoke, "e")
			r.client.Close()
			if text := w.WantError(2, idl.CategoryStream, idl.StreamEOF); text != "End of file" {
				t.Errorf("worker was told %q", text)
			}
			r.wantCount(0, "load")
			w.Send(2, idl.Write, "into the void")
			w.Send(2, idl.Close)
			w.WantIdle()
		})
	})
	t.Run("running, its half closed", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			w := r.pool(1)[0]
			ch := r.call("e")
			r.client.Send(ch, idl.Close)
			w.Want(2, idl.WorkerInvoke, "e")
			w.Want(2, idl.Close)
			r.client.Close()
			w.WantIdle() // it has not said that it understands it
			r.wantCount(1, "load")
			w.Send(2, idl.Write, "into the void")
			w.Send(2, idl.Close)
			r.wantCount(0, "load")
		})
	})
	t.Run("queued", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			ch := r.call("e")
			r.client.Send(ch, idl.Write, "x")
			synctest.Wait()
			r.client.Close()
			r.wantCount(1, "queue", "depth") // it is served all the same
			w := r.ready()
			w.Want(2, idl.WorkerInvoke, "e")
			w.Want(2, idl.Write, "x")
			w.WantError(2, idl.CategoryStream, idl.StreamEOF)
			w.Send(2, idl.Write, "into the void")
			w.Send(2, idl.Close)
			r.wantCount(0, "load")
		})
	})
}

// Revoke ends the client's half only: the answer still comes (docs/PROTOCOL.md,
// Control messages).
func TestRevokeKeepsTheAnswer(t *testing.T) {
	for _, queued := range []bool{false, true} {
		t.Run(fmt.Sprintf("queued=%v", queued), func(t *testing.T) {
			virtual(t, nil, func(r *rig) {
				var w *worker
				if !queued {
					w = r.pool(1)[0]
				}
				ch := r.call("e")
				r.client.Send(ch+1, idl.Revoke, ch, []any{4242, 7})
				r.client.Want(ch+1, idl.Value)
				if queued {
					w = r.ready()
				}
				w.Want(2, idl.WorkerInvoke, "e")
				w.WantError(2, idl.CategoryUnknown, 7)
				w.Send(2, idl.Write, "still")
				w.Send(2, idl.Close)
				r.client.Want(ch, idl.Write, "still")
				r.client.Want(ch, idl.Close)
				r.wantCount(0, "load")
			})
		})
	}
}

// Golden bytes: what a worker sees of a request is byte for byte what the client
// sent, behind the worker's channel number. The invoke of one of an old framework has
// the ids of a trace, be they zero.
func TestBytesOnTheWire(t *testing.T) {
	virtual(t, nil, func(r *rig) {
		w := r.pool(1)[0]
		r.client.Write([]byte{0x93, 0x01, 0x00, 0x91, 0xa4, 'p', 'i', 'n', 'g'}) // without headers, as old clients do
		r.client.Write([]byte{0x93, 0x01, 0x00, 0x91, 0xa5, 'h', 'e', 'l', 'l', 'o'})
		r.client.Write([]byte{0x93, 0x01, 0x02, 0x90})
		want := "94020091a470696e679393c2a874726163655f6964a8000000000000000093c2a77370616e5f6964a8000000000000000093c2a9706172656e745f6964a80000000000000000" +
			"94020091a568656c6c6f90" + "9402029090"
		var got []byte
		for len(got)*2 < len(want) {
			b := make([]byte, 1000)
			n, err := w.Conn().Read(b)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, b[:n]...)
		}
		if fmt.Sprintf("%x", got) != want {
			t.Errorf("worker got %x, want %s", got, want)
		}
		w.Write(wire.AppendFrame(nil, wire.Frame{Channel: 2, Type: idl.Close}))
		r.client.Want(1, idl.Close)
	})
}
