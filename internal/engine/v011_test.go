package engine_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/engine"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/isolate"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Messages of v0.11.
const (
	oldHandshake = 0
	oldHeartbeat = 1
	oldTerminate = 2
	oldInvoke    = 3
	oldChunk     = 4
	oldError     = 5
	oldChoke     = 6
)

// tells sends a message of v0.11, which has exactly three elements.
func (w *worker) tells(typ, session uint64, args ...any) {
	b := msgpack.AppendUint(msgpack.AppendUint(msgpack.AppendArray(nil, 3), typ), session)
	w.Write(append(b, w.Args(args...)...))
	synctest.Wait()
}

// hears reads a message of v0.11.
func (w *worker) hears(t *testing.T, typ, session uint64, args ...any) {
	t.Helper()
	w.Want(typ, session, args...)
}

// ready11 takes the next process and makes a worker of v0.11 of it.
func (r *rig) ready11() *worker {
	r.t.Helper()
	w := r.connect(r.spawned())
	w.tells(oldHandshake, 0, w.Worker)
	w.tells(oldHeartbeat, 0)
	w.Want(oldHeartbeat, 0)
	return w
}

// The example conversation of the v0.11 Python worker, byte for byte.
func TestV011Bytes(t *testing.T) {
	virtual(t, nil, func(r *rig) {
		c := r.call("ping")
		r.client.Send(c, idl.Write, "hello")
		r.client.Send(c, idl.Close)
		w := r.connect(r.spawned())
		w.Write([]byte("\x93\x00\x00\x91\xda\x00\x24" + w.Worker))
		w.WantIdle()
		r.wantStates(map[string]int{"handshaking": 1}) // ready is who has sent a heartbeat
		w.Write([]byte("\x93\x01\x00\x90"))
		r.wantStates(map[string]int{"active": 1})
		_ = w.Conn().SetReadDeadline(time.Time{}) // WantIdle has set one
		for _, want := range []string{"93010090", "93030191a470696e67", "93040191a568656c6c6f", "93060190"} {
			got := make([]byte, len(want)/2)
			if _, err := w.Conn().Read(got); err != nil || hex.EncodeToString(got) != want {
				// The messages come in one piece: Read takes as much as is wanted.
				t.Fatalf("worker reads %x, %v; want %s", got, err, want)
			}
		}
		w.Write([]byte("\x93\x04\x01\x91\xa6\xa5hello"))
		w.Write([]byte("\x93\x06\x01\x90"))
		r.client.Want(c, idl.Write, "\xa5hello")
		r.client.Want(c, idl.Close)
		r.wantCount(0, "load")
	})
}

// A worker that says nothing after its handshake is late, as one that does not
// connect.
func TestV011NoHeartbeat(t *testing.T) {
	virtual(t, map[string]any{"startup-timeout": 10}, func(r *rig) {
		p := r.single()
		w := r.connect(p)
		w.tells(oldHandshake, 0, w.Worker)
		wait(10*time.Second - time.Millisecond)
		p.wantSignals(t)
		wait(time.Millisecond)
		p.wantSignals(t, sent{"SIGTERM", 10 * time.Second})
		r.wantCrash(codeShakeLate, "killed by SIGTERM")
	})
}

// Heartbeats are answered, whatever the session they come on, and their absence is
// noticed; other messages are none.
func TestV011Heartbeats(t *testing.T) {
	virtual(t, map[string]any{"heartbeat-timeout": 30}, func(r *rig) {
		p := r.single()
		w := r.connect(p)
		w.tells(oldHandshake, 0, w.Worker)
		w.tells(oldHeartbeat, 0)
		w.hears(t, oldHeartbeat, 0)
		for range 5 {
			wait(20 * time.Second)
			w.tells(oldHeartbeat, 0)
			w.hears(t, oldHeartbeat, 0)
			w.WantIdle()
		}
		wait(29 * time.Second)
		w.tells(oldChunk, 1, "x")
		wait(time.Second)
		r.wantCrash(codeHeartLate, "killed by SIGTERM")
	})
}

// What a handler answers, and what the client gets of it.
func TestV011Answers(t *testing.T) {
	virtual(t, nil, func(r *rig) {
		r.SetTarget(1)
		w := r.ready11()
		session := uint64(0)
		request := func(event string) uint64 {
			c := r.call(event)
			r.client.Send(c, idl.Write, "x")
			r.client.Send(c, idl.Close)
			session++
			w.hears(t, oldInvoke, session, event)
			w.hears(t, oldChunk, session, "x")
			w.hears(t, oldChoke, session)
			return c
		}
		c := request("many")
		for _, x := range []string{"\xa1a", "\xc0", ""} {
			w.tells(oldChunk, session, x)
			r.client.Want(c, idl.Write, x)
		}
		w.tells(oldChoke, session)
		r.client.Want(c, idl.Close)

		for _, code := range []int{-100, 1, 2, 42, 0, 70000, -70000} {
			c = request("fails")
			w.tells(oldError, session, code, "text")
			w.tells(oldChoke, session)
			if got := r.client.WantError(c, idl.CategoryWorker, code); got != "text" {
				t.Errorf("text is %q", got)
			}
		}
		c = request("fails without a choke")
		w.tells(oldError, session, 1, "text")
		r.client.WantError(c, idl.CategoryWorker, 1)
		c = request("fails late")
		w.tells(oldChunk, session, "part")
		w.tells(oldError, session, 1, "text")
		w.tells(oldChunk, session, "more")
		w.tells(oldChoke, session)
		r.client.Want(c, idl.Write, "part")
		r.client.WantError(c, idl.CategoryWorker, 1)
		c = request("malformed error")
		w.tells(oldError, session, "code", "text")
		r.client.WantError(c, idl.CategoryDispatch, idl.DispatchBadArgs)
		c = request("malformed chunk")
		w.tells(oldChunk, session, 5)
		w.tells(oldChoke, session)
		r.client.WantError(c, idl.CategoryDispatch, idl.DispatchBadArgs)

		r.wantCount(0, "load")
		w.WantIdle()
		r.client.WantIdle()
		r.wantStates(map[string]int{"active": 1})
		r.wantCrashes(0)
	})
}

// A client of v0.12 may send any number of chunks, at any time, in any msgpack, and
// an error. A worker gets neither chunks for a session that it has ended nor anything
// behind the one choke that frees its memory of it.
func TestV011Requests(t *testing.T) {
	virtual(t, nil, func(r *rig) {
		r.SetTarget(1)
		w := r.ready11()
		c := r.call("none")
		w.hears(t, oldInvoke, 1, "none")
		r.client.Send(c, idl.Close)
		w.hears(t, oldChoke, 1)
		w.tells(oldChoke, 1)
		r.client.Want(c, idl.Close)

		c = r.call("some")
		w.hears(t, oldInvoke, 2, "some")
		r.client.Write([]byte("\x94\x02\x00\x91\xd9\x01a\x90\x94\x02\x00\x91\xc4\x01b\x90"))
		w.hears(t, oldChunk, 2, "a")
		w.hears(t, oldChunk, 2, "b")
		w.tells(oldChunk, 2, "early")
		w.tells(oldChoke, 2)
		r.client.Want(c, idl.Write, "early")
		r.client.Want(c, idl.Close)
		r.client.Send(c, idl.Write, "late")
		w.WantIdle()
		r.wantCount(1, "load") // both halves hold the place
		r.client.Send(c, idl.Close)
		w.hears(t, oldChoke, 2)
		r.wantCount(0, "load")

		for i, tt := range []struct{ category, code, want int }{
			{idl.CategoryUser, 7, 7}, {idl.CategoryWorker, 7, 7}, {idl.CategoryUnknown, 7, 7}, {77, 5, 5},
			{idl.CategoryNode, idl.NodeDeadline, 4}, {idl.CategoryNode, idl.NodeWorkerTimeout, 3}, {idl.CategoryStream, 2, 2}, {idl.CategoryGeneric, 5, 1},
		} {
			c, session := r.call("fails"), uint64(3+i)
			w.hears(t, oldInvoke, session, "fails")
			r.client.Send(c, idl.StreamError, []any{tt.category, tt.code}, "text")
			w.hears(t, oldError, session, tt.want, "text")
			w.hears(t, oldChoke, session)
			w.tells(oldChunk, session, "still")
			w.tells(oldChoke, session)
			r.client.Want(c, idl.Write, "still")
			r.client.Want(c, idl.Close)
		}

		c = r.call("fails after its answer")
		w.hears(t, oldInvoke, 11, "fails after its answer")
		w.tells(oldChoke, 11)
		r.client.Want(c, idl.Close)
		r.client.Send(c, idl.StreamError, []any{42, 1}, "text")
		w.hears(t, oldChoke, 11)
		r.wantCount(0, "load")
		w.WantIdle()
		r.wantCrashes(0)
	})
}

// A client that goes away, and time that runs out.
func TestV011Abandoned(t *testing.T) {
	virtual(t, map[string]any{"request-timeout": 5}, func(r *rig) {
		r.SetTarget(1)
		w := r.ready11()
		other := r.dial()
		other.Send(1, idl.AppEnqueue, "gone")
		w.hears(t, oldInvoke, 1, "gone")
		other.Close()
		w.hears(t, oldError, 1, 2, "End of file")
		w.hears(t, oldChoke, 1)
		w.tells(oldChunk, 1, "nobody")
		w.tells(oldChoke, 1)

		c := r.call("slow")
		w.hears(t, oldInvoke, 2, "slow")
		wait(4 * time.Second)
		w.tells(oldHeartbeat, 0)
		w.hears(t, oldHeartbeat, 0)
		wait(time.Second)
		r.client.WantError(c, idl.CategoryNode, idl.NodeWorkerTimeout)
		w.hears(t, oldError, 2, 3, "invocation has timed out")
		w.hears(t, oldChoke, 2)
		w.tells(oldChoke, 2)
		r.wantCount(0, "load")
		w.WantIdle()
		r.client.WantIdle()
	})
}

// Messages out of turn cost nothing but themselves, and are counted.
func TestV011Stray(t *testing.T) {
	stats := new(rpc.Stats)
	virtualWith(t, nil, func(o *engine.Options) { o.Session.Stats = stats }, func(r *rig) {
		r.SetTarget(1)
		w := r.ready11()
		c := r.call("e")
		w.hears(t, oldInvoke, 1, "e")
		r.client.Send(c, idl.Close)
		w.hears(t, oldChoke, 1)
		for _, session := range []uint64{0, 2, 7, 1 << 63, ^uint64(0)} {
			w.tells(oldChunk, session, "x")
			w.tells(oldError, session, 1, "x")
			w.tells(oldChoke, session)
		}
		if got := stats.LateFrames.Load(); got != 15 {
			t.Errorf("%d messages on sessions that are not open, want 15", got)
		}
		for _, typ := range []uint64{oldHandshake, oldInvoke, 7, 65535} {
			w.tells(typ, 0, "x")
		}
		if got := stats.Violations.Load(); got != 4 {
			t.Errorf("%d unknown messages, want 4", got)
		}
		w.tells(oldChoke, 1)
		r.client.Want(c, idl.Close)
		w.tells(oldChoke, 1)
		w.tells(oldHeartbeat, 9)
		w.hears(t, oldHeartbeat, 0)
		w.WantIdle()
		r.call("next")
		w.hears(t, oldInvoke, 2, "next")
		r.client.WantIdle()
		r.wantStates(map[string]int{"active": 1})
	})
}

// The end of a worker, from both sides. In v0.11 a worker answers terminate with the
// same message and exits at once, with status 1.
func TestV011Terminate(t *testing.T) {
	t.Run("asked", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			r.SetTarget(2)
			w, gone := r.ready11(), r.ready11()
			r.SetTarget(1)
			synctest.Wait()
			if r.slaves()[w.Worker] == "active" {
				w, gone = gone, w
			}
			w.hears(t, oldTerminate, 0, 1, "slave is sealing")
			w.tells(oldTerminate, 0, 1, "slave is sealing")
			w.end(isolate.Exit{Code: 1})
			r.wantCrashes(0)
			w.wantSignals(t)

			stopped := make(chan struct{})
			go func() { defer close(stopped); r.stop() }()
			synctest.Wait()
			gone.hears(t, oldTerminate, 0, 1, "overseer is shutting down")
			gone.end(isolate.Exit{}) // others just end
			<-stopped
			gone.wantSignals(t)
			r.wantCrashes(0)
		})
	})
	t.Run("deaf", func(t *testing.T) {
		virtual(t, map[string]any{"terminate-timeout": 5}, func(r *rig) {
			p := r.single()
			w := r.connect(p)
			w.tells(oldHandshake, 0, w.Worker)
			w.tells(oldHeartbeat, 0)
			w.hears(t, oldHeartbeat, 0)
			stopped := make(chan struct{})
			go func() { defer close(stopped); r.stop() }()
			synctest.Wait()
			w.hears(t, oldTerminate, 0, 1, "overseer is shutting down")
			<-stopped
			p.wantSignals(t, sent{"SIGTERM", 5 * time.Second})
			r.wantCrashes(0)
		})
	})
	// A plain handler of the Python framework that raises ends its worker when the
	// chunk of its request comes, having answered. The app is none the worse for it.
	t.Run("its own wish", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			c := r.call("plain_raises")
			r.client.Send(c, idl.Write, "x")
			r.client.Send(c, idl.Close)
			w := r.ready11()
			w.hears(t, oldInvoke, 1, "plain_raises")
			w.hears(t, oldChunk, 1, "x")
			w.hears(t, oldChoke, 1)
			w.tells(oldError, 1, 1, "Invocation error")
			w.tells(oldChoke, 1)
			w.tells(oldTerminate, 0, 1, "Push error: 1")
			w.end(isolate.Exit{Code: 1})
			r.client.WantError(c, idl.CategoryWorker, 1)
			r.call("next")
			w = r.ready11() // at once
			w.hears(t, oldInvoke, 1, "next")
			r.wantCrashes(0)
		})
	})
	for code, crashes := range map[int]int{1: 0, 2: 1} {
		t.Run(fmt.Sprintf("code %d", code), func(t *testing.T) {
			virtual(t, nil, func(r *rig) {
				c := r.call("e")
				w := r.ready11()
				w.hears(t, oldInvoke, 1, "e")
				r.client.Send(c, idl.Close)
				w.tells(oldChoke, 1)
				r.client.Want(c, idl.Close)
				w.tells(oldTerminate, 0, code, "text")
				w.end(isolate.Exit{Code: 1})
				r.wantCrashes(crashes)
				r.call("next")        // the app goes on all the same
				wait(2 * time.Second) // a crash costs a pause
				w = r.ready11()
				w.hears(t, oldInvoke, 1, "next")
			})
		})
	}
	t.Run("with requests", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			c := r.call("e")
			w := r.ready11()
			w.hears(t, oldInvoke, 1, "e")
			w.tells(oldTerminate, 0, 1, "Push error: 9")
			w.end(isolate.Exit{Code: 1})
			r.client.WantError(c, idl.CategorySocket, idl.SocketCanceled)
			r.wantCrash(codeSuicide, "exit status 1")
		})
	})
	t.Run("before it is ready", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			c := r.call("e")
			p := r.spawned()
			w := r.connect(p)
			w.tells(oldHandshake, 0, w.Worker)
			w.tells(oldTerminate, 0, 2, "Bad code")
			w.WantClosed()
			p.end(isolate.Exit{Code: 1})
			r.wantCrash(codeUnready, "exit status 1")
			wait(2 * time.Second)
			w = r.ready11() // the request has waited
			w.hears(t, oldInvoke, 1, "e")
			w.tells(oldChoke, 1)
			r.client.Want(c, idl.Close)
		})
	})
}

// A worker that nobody waits for is hung up on when it says that it is ready.
func TestV011Unknown(t *testing.T) {
	virtual(t, nil, func(r *rig) {
		w := r.connect(r.single())
		w.tells(oldHandshake, 0, strings.Repeat("0", 36))
		w.tells(oldHeartbeat, 0)
		w.WantClosed()
		w = r.connect(w.process)
		w.tells(oldHandshake, 0, 5)
		w.tells(oldHeartbeat, 0)
		w.WantClosed()
		r.wantStates(map[string]int{"handshaking": 1})
	})
}

// Workers of both generations serve the same app.
func TestGenerationsSideBySide(t *testing.T) {
	virtual(t, map[string]any{"concurrency": 1}, func(r *rig) {
		r.SetTarget(2)
		old, young := r.ready11(), r.ready()
		for range 2 {
			r.call("e")
		}
		old.hears(t, oldInvoke, 1, "e")
		young.Want(2, idl.WorkerInvoke, "e")
		old.tells(oldChunk, 1, "old")
		young.Send(2, idl.Write, "young")
		got := map[any]bool{}
		for range 2 {
			got[r.client.Recv().Values()[0]] = true
		}
		if !got["old"] || !got["young"] {
			t.Errorf("clients got %v", got)
		}
	})
}

// Some workers of early v0.12 begin as those of v0.11 do, and then put the session
// first.
func TestEarlyV012(t *testing.T) {
	virtual(t, nil, func(r *rig) {
		c := r.call("e")
		w := r.connect(r.spawned())
		w.tells(0, oldHandshake, w.Worker)
		w.tells(0, oldHeartbeat)
		w.hears(t, 0, oldHeartbeat)
		w.hears(t, 1, oldInvoke, "e")
		r.client.Send(c, idl.Write, "x")
		r.client.Send(c, idl.Close)
		w.hears(t, 1, oldChunk, "x")
		w.hears(t, 1, oldChoke)
		w.tells(1, oldChunk, "answer")
		w.tells(1, oldError, 42, "text")
		w.tells(1, oldChoke)
		r.client.Want(c, idl.Write, "answer")
		r.client.WantError(c, idl.CategoryWorker, 42)
		w.tells(0, oldHeartbeat)
		w.hears(t, 0, oldHeartbeat)
		r.SetTarget(0)
		go r.stop()
		synctest.Wait()
		w.hears(t, 0, oldTerminate, 1, "overseer is shutting down")
		w.end(isolate.Exit{})
	})
}

// A worker that does not stand --protocol is started without it; nobody needs to say
// so anywhere, and no crash is recorded for what is none.
func TestProtocolFlag(t *testing.T) {
	const usage = "flag provided but not defined: -protocol"
	flagged := func(p *process) bool { return strings.Contains(strings.Join(p.Args, " "), " --protocol 1 --uuid ") }
	t.Run("minded", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			c := r.call("e")
			p := r.spawned()
			if !flagged(p) {
				t.Fatalf("first worker is started with %q", p.Args)
			}
			p.say(usage)
			p.say("  -uuid string")
			p.end(isolate.Exit{Code: 2})
			for range 3 {
				w := r.ready11() // at once
				if want := []string{"--app", "app", "--endpoint", "/run/app.1", "--locator", "127.0.0.1:10053", "--uuid", w.Worker}; fmt.Sprint(w.process.Args) != fmt.Sprint(want) {
					t.Errorf("worker is started with %q, want %q", w.process.Args, want)
				}
				w.hears(t, oldInvoke, 1, "e")
				r.client.Send(c, idl.Close)
				w.hears(t, oldChoke, 1)
				w.tells(oldChoke, 1)
				w.tells(oldTerminate, 0, 1, "enough")
				w.end(isolate.Exit{})
				c = r.call("e")
			}
			r.wantCrashes(0)
		})
	})
	t.Run("not the reason", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			r.call("e")
			p := r.spawned()
			p.say(usage)
			p.end(isolate.Exit{Code: 2})
			p = r.spawned()
			if flagged(p) {
				t.Errorf("second worker is started with %q", p.Args)
			}
			p.say(usage)
			p.end(isolate.Exit{Code: 2})
			r.wantCrash(codeUnready, "exit status 2")
			wait(time.Minute)
			if p = r.spawned(); !flagged(p) {
				t.Errorf("third worker is started with %q", p.Args)
			}
		})
	})
	t.Run("all arguments are shown", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			r.call("e")
			p := r.spawned()
			p.say(strings.Join(p.Args, " "))
			p.end(isolate.Exit{Code: 1})
			r.wantCrash(codeUnready, "exit status 1")
			wait(time.Minute)
			if p = r.spawned(); !flagged(p) {
				t.Errorf("second worker is started with %q", p.Args)
			}
		})
	})
}
