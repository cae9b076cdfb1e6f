package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/engine"
	"github.com/cocaine/cocaine-go/internal/faultnet"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/isolate"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
)

// Codes of the original's slave category, as crash records hold them.
const (
	codeSpawnLate = 1
	codeShakeLate = 4
	codeUnready   = 5
	codeSealLate  = 6
	codeHeartLate = 8
	codeConnLost  = 10
	codeStopped   = 11
	codeSuicide   = 12
	codeSealed    = 14
)

// wantCrash fails the test unless the only crash is as wanted; exit is how the
// process ended.
func (r *rig) wantCrash(code int, exit string) engine.Crash {
	r.t.Helper()
	c := r.wantCrashes(1)[0]
	if c.Code != code || c.Exit != exit {
		r.t.Fatalf("crash has code %d (%s) and exit %q, want %d and %q", c.Code, c.Reason, c.Exit, code, exit)
	}
	r.wantCount(1, "pool", "total:crashed")
	return c
}

// wantSignals fails the test unless the process got these signals at these times
// after its start.
func (p *process) wantSignals(t *testing.T, want ...sent) {
	t.Helper()
	synctest.Wait()
	if got := p.got(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("process got signals %v, want %v", got, want)
	}
}

// The limits of the states, and what becomes of the process: SIGTERM at once, as it
// was late already, SIGKILL when KillGrace has passed.
func TestLateWorkers(t *testing.T) {
	tests := []struct {
		name    string
		profile map[string]any
		deaf    bool
		live    func(r *rig, p *process)
		code    int
		exit    string
		signals []sent
	}{
		{"no handshake", map[string]any{"handshake-timeout": 3}, false, func(*rig, *process) {},
			codeShakeLate, "killed by SIGTERM", []sent{{"SIGTERM", 3 * time.Second}}},
		{"no handshake, deaf", map[string]any{"handshake-timeout": 3}, true, func(*rig, *process) {},
			codeShakeLate, "killed by SIGKILL", []sent{{"SIGTERM", 3 * time.Second}, {"SIGKILL", 8 * time.Second}}},
		{"connected, no handshake", map[string]any{"handshake-timeout": 3}, false, func(r *rig, p *process) { r.connect(p) },
			codeShakeLate, "killed by SIGTERM", []sent{{"SIGTERM", 3 * time.Second}}},
		{"no heartbeat", map[string]any{"heartbeat-timeout": 10}, false, func(r *rig, p *process) { r.connect(p).shake() },
			codeHeartLate, "killed by SIGTERM", []sent{{"SIGTERM", 10 * time.Second}}},
		{"one heartbeat", map[string]any{"heartbeat-timeout": 10}, false, func(r *rig, p *process) {
			w := r.connect(p)
			w.shake()
			wait(6 * time.Second)
			w.Send(1, idl.WorkerHeartbeat)
			w.Want(1, idl.WorkerHeartbeat)
		}, codeHeartLate, "killed by SIGTERM", []sent{{"SIGTERM", 16 * time.Second}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, tt.profile, func(r *rig) {
				p := r.single()
				p.change(func(p *process) { p.deaf = tt.deaf })
				tt.live(r, p)
				wait(tt.signals[len(tt.signals)-1].After - time.Since(p.born) - time.Millisecond)
				if !tt.deaf {
					p.wantSignals(t)
				}
				wait(time.Millisecond)
				p.wantSignals(t, tt.signals...)
				r.wantCrash(tt.code, tt.exit)
			})
		})
	}
}

// single starts a worker that is not replaced when it ends: no request has come.
func (r *rig) single() *process {
	r.t.Helper()
	r.SetTarget(1)
	p := r.spawned()
	r.SetTarget(0)
	return p
}

// spawn-timeout covers whatever the isolate does until the process runs.
func TestSpawnTimeout(t *testing.T) {
	t.Run("interrupted", func(t *testing.T) {
		virtual(t, map[string]any{"spawn-timeout": 2}, func(r *rig) {
			r.iso.before(func(ctx context.Context, _ *process) error {
				<-ctx.Done()
				return fmt.Errorf("cannot start: %w", ctx.Err())
			})
			r.call("e")
			wait(2*time.Second - time.Millisecond)
			r.wantStates(map[string]int{"spawning": 1})
			wait(time.Millisecond)
			r.wantCrash(codeSpawnLate, "cannot start: context canceled")
		})
	})
	t.Run("process comes all the same", func(t *testing.T) {
		virtual(t, map[string]any{"spawn-timeout": 2}, func(r *rig) {
			r.iso.before(func(context.Context, *process) error { time.Sleep(5 * time.Second); return nil })
			r.SetTarget(1)
			r.SetTarget(0)
			wait(5 * time.Second)
			p := r.spawned()
			p.wantSignals(t, sent{"SIGTERM", 5 * time.Second})
			r.wantCrash(codeSpawnLate, "killed by SIGTERM")
		})
	})
	t.Run("token takes too long", func(t *testing.T) {
		virtualWith(t, map[string]any{"spawn-timeout": 2}, func(o *engine.Options) {
			o.Token = func(ctx context.Context) (string, string, error) { <-ctx.Done(); return "", "", ctx.Err() }
		}, func(r *rig) {
			r.call("e")
			wait(2 * time.Second)
			r.notSpawned()
			r.wantCrash(codeSpawnLate, `cannot get a token for app "app": context canceled`)
		})
	})
}

func TestToken(t *testing.T) {
	virtualWith(t, nil, func(o *engine.Options) {
		o.Token = func(context.Context) (string, string, error) { return "OAUTH", "secret", nil }
	}, func(r *rig) {
		r.call("e")
		if env := r.spawned().Env; fmt.Sprint(env) != "[A=1 B=2 COCAINE_APP_TOKEN_TYPE=OAUTH COCAINE_APP_TOKEN_BODY=secret]" {
			t.Errorf("environment is %q", env)
		}
	})
}

// A worker whose process cannot be started, or ends before it is ready.
func TestUnreadyWorkers(t *testing.T) {
	t.Run("cannot be started", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			boom := errors.New("no such file")
			r.iso.before(func(context.Context, *process) error {
				return &isolate.SpawnError{App: "app", Slave: "run", Reason: boom.Error(), Err: boom}
			})
			r.call("e")
			c := r.wantCrash(codeUnready, `cannot start worker: no such file (slave "run" of app "app")`)
			if s := c.Sentence(); !strings.Contains(s, "ended before it was ready") || !strings.Contains(s, "no such file") {
				t.Errorf("sentence is %q", s)
			}
		})
	})
	t.Run("exits at once", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			r.call("e")
			p := r.spawned()
			p.say("cannot import module")
			p.end(isolate.Exit{Code: 3})
			c := r.wantCrash(codeUnready, "exit status 3")
			if c.Status != 3 || len(c.Lines) != 1 || c.Lines[0] != "cannot import module" || c.PID != 4711 || c.App != "app" || c.Release != "7" || c.Worker != p.Worker {
				t.Errorf("crash is %+v", c)
			}
			p.wantSignals(t)
		})
	})
}

// node-engine 12.3 case 9: a worker may be faster than the isolate.
func TestHandshakeBeforeSpawnReturns(t *testing.T) {
	virtual(t, map[string]any{"spawn-timeout": 10, "heartbeat-timeout": 5}, func(r *rig) {
		var w *worker
		r.iso.before(func(_ context.Context, p *process) error {
			w = r.connect(p)
			w.Send(1, idl.WorkerHandshake, p.Worker)
			time.Sleep(3 * time.Second)
			return nil
		})
		r.call("e")
		wait(2 * time.Second)
		r.wantStates(map[string]int{"spawning": 1})
		w.Send(1, idl.WorkerHeartbeat) // answered already
		w.Want(1, idl.WorkerHeartbeat)
		w.WantIdle()
		wait(time.Second)
		r.wantStates(map[string]int{"active": 1})
		w.Want(2, idl.WorkerInvoke, "e")
		wait(5*time.Second - 2*time.Second)
		r.wantStates(map[string]int{"active": 1})
		wait(time.Second)
		r.wantCrash(codeHeartLate, "killed by SIGTERM")
	})
}

// A worker that is gone again when the isolate says that it runs.
func TestHangUpBeforeSpawnReturns(t *testing.T) {
	virtual(t, map[string]any{"spawn-timeout": 10}, func(r *rig) {
		r.iso.before(func(_ context.Context, p *process) error {
			w := r.connect(p)
			w.Send(1, idl.WorkerHandshake, p.Worker)
			time.Sleep(time.Millisecond)
			w.Close()
			time.Sleep(time.Second)
			return nil
		})
		r.SetTarget(1)
		r.SetTarget(0)
		wait(500 * time.Millisecond)
		r.wantCount(1, "pool", "total:crashed")
		r.wantStates(nil)
		wait(10 * time.Second)
		r.wantCrash(codeConnLost, "killed by SIGTERM")
	})
}

// newcomer connects to the workers' socket.
func (r *rig) newcomer() *rpctest.Peer {
	r.t.Helper()
	conn, err := r.ln.Dial(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return rpctest.Play(r.t, conn)
}

// A worker that nobody waits for is told nothing and hung up on when it goes on, as by
// the original; the pool is not touched.
func TestStrangers(t *testing.T) {
	tests := []struct {
		name string
		left bool // its connection is, until it goes on
		say  func(r *rig, p *rpctest.Peer, w *worker)
	}{
		{"unknown uuid", true, func(_ *rig, p *rpctest.Peer, _ *worker) { p.Send(1, 0, "00000000-0000-0000-0000-000000000000") }},
		{"uuid of a worker that is connected", true, func(_ *rig, p *rpctest.Peer, w *worker) { p.Send(1, 0, w.Worker) }},
		{"no uuid", false, func(_ *rig, p *rpctest.Peer, _ *worker) { p.Send(1, 0) }},
		{"number for a uuid", false, func(_ *rig, p *rpctest.Peer, _ *worker) { p.Send(1, 0, 5) }},
		{"garbage", false, func(_ *rig, p *rpctest.Peer, _ *worker) { p.Write([]byte{0xc1}) }},
		{"uuid of a worker that has died", true, func(r *rig, p *rpctest.Peer, w *worker) {
			r.SetTarget(2)
			dead := r.spawned()
			dead.end(isolate.Exit{Code: 1})
			synctest.Wait()
			r.SetTarget(0)
			p.Send(1, 0, dead.Worker)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, nil, func(r *rig) {
				w := r.pool(1)[0]
				p := r.newcomer()
				tt.say(r, p, w)
				if tt.left {
					p.WantIdle()
					p.Send(1, idl.WorkerHeartbeat)
				}
				p.WantClosed()
				r.call("e")
				w.Want(2, idl.WorkerInvoke, "e")
				r.wantStates(map[string]int{"active": 1})
			})
		})
	}
}

// Strangers that say nothing more are left alone, but not without bound, and those
// that are gone do not count. They do not hold up the end of the engine.
func TestStrangersLimit(t *testing.T) {
	virtual(t, nil, func(r *rig) {
		r.pool(1)
		come := func() *rpctest.Peer {
			p := r.newcomer()
			p.Send(1, idl.WorkerHandshake, "nobody")
			return p
		}
		var all []*rpctest.Peer
		for range 64 {
			all = append(all, come())
		}
		wait(time.Second) // so many at once are not accepted at once
		for _, p := range all {
			p.WantIdle()
		}
		come().WantClosed()
		all[7].Close()
		synctest.Wait()
		come().WantIdle()
		come().WantClosed()
		r.wantStates(map[string]int{"active": 1})
	})
}

// What a worker may not send on its connection does not cost its neighbours
// anything as long as the framing is intact.
func TestMistakesOfAWorker(t *testing.T) {
	t.Run("opens a channel", func(t *testing.T) { // captured from the original: taken in silence, numbers go on above it
		virtual(t, nil, func(r *rig) {
			w := r.pool(1)[0]
			w.Send(999, 0, "who?")
			w.WantError(999, idl.CategoryDispatch, idl.DispatchUnbound)
			w.Send(1001, 0, w.Worker)
			w.WantError(1001, idl.CategoryDispatch, idl.DispatchUnbound)
			r.call("e")
			w.Want(1002, idl.WorkerInvoke, "e")
		})
	})
	t.Run("takes the last channel number", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			w := r.pool(1)[0]
			w.Send(1<<64-1, 0, "who?")
			w.WantError(1<<64-1, idl.CategoryDispatch, idl.DispatchUnbound)
			r.call("e")
			w.WantClosed() // it can carry no request any more
			wait(time.Second)
			next := r.ready()
			next.Want(2, idl.WorkerInvoke, "e")
		})
	})
	t.Run("unknown message on the control channel", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			w := r.pool(1)[0]
			w.Send(1, 7)
			w.WantError(1, idl.CategoryDispatch, idl.DispatchUnbound)
			w.Send(1, idl.WorkerHeartbeat)
			w.Want(1, idl.WorkerHeartbeat)
		})
	})
	t.Run("handshake on another channel", func(t *testing.T) { // captured: requests go on above it
		virtual(t, nil, func(r *rig) {
			r.call("e")
			w := r.connect(r.spawned())
			w.Send(7, idl.WorkerHandshake, w.Worker)
			w.Send(7, idl.WorkerHeartbeat)
			w.Want(8, idl.WorkerInvoke, "e")
			w.Want(7, idl.WorkerHeartbeat)
		})
	})
	t.Run("garbage after the handshake", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			w := r.pool(1)[0]
			ch := r.call("e")
			w.Want(2, idl.WorkerInvoke, "e")
			w.change(func(p *process) { p.deaf = true })
			w.Write([]byte{0xc1})
			if text := r.client.WantError(ch, idl.CategoryTransport, idl.TransportMsgpack); text != "slave has been discarded" {
				t.Errorf("text is %q", text)
			}
			wait(10 * time.Second)
			if c := r.crashOf(w); c.Inflight != 1 || c.Exit != "killed by SIGKILL" {
				t.Errorf("crash is %+v", c)
			}
			got := w.got() // a second to end by itself, then the usual
			if len(got) != 2 || got[0].Name != "SIGTERM" || got[0].After != time.Second || got[1].Name != "SIGKILL" || got[1].After != 6*time.Second {
				t.Errorf("process got %v", got)
			}
		})
	})
}

// A heartbeat is echoed at once (node-engine 12.3 case 8: the echo is [1, 0, []]).
func TestHeartbeatIsEchoed(t *testing.T) {
	virtual(t, map[string]any{"idle-timeout": 0}, func(r *rig) {
		w := r.pool(1)[0]
		w.Write([]byte{0x93, 1, 0, 0x90})
		b := make([]byte, 100)
		n, err := w.Conn().Read(b)
		if err != nil || fmt.Sprintf("%x", b[:n]) != "9401009090" {
			t.Errorf("echo is %x, %v", b[:n], err)
		}
		for range 100 {
			wait(29 * time.Second)
			w.Send(1, idl.WorkerHeartbeat)
			w.Want(1, idl.WorkerHeartbeat)
		}
		r.wantStates(map[string]int{"active": 1})
	})
}

// The ends of a worker that serves requests: what its clients see and what is
// recorded.
func TestDeathOfABusyWorker(t *testing.T) {
	tests := []struct {
		name           string
		die            func(w *worker)
		category, code int
		reason         int
		exit           string
	}{
		{"process exits", func(w *worker) { w.end(isolate.Exit{Code: 3}) }, idl.CategoryStream, idl.StreamEOF, codeConnLost, "exit status 3"},
		{"process is killed", func(w *worker) { w.end(isolate.Exit{Code: -1, Signal: syscall.SIGKILL}) }, idl.CategoryStream, idl.StreamEOF, codeConnLost, "killed by SIGKILL"},
		{"out of memory", func(w *worker) { w.end(isolate.Exit{Code: -1, Signal: syscall.SIGKILL, OOM: true}) }, idl.CategoryStream, idl.StreamEOF, codeConnLost, "out of memory"},
		{"closes its connection", func(w *worker) { w.Close() }, idl.CategoryStream, idl.StreamEOF, codeConnLost, "killed by SIGTERM"},
		{"closes its connection, then exits", func(w *worker) {
			w.Close()
			wait(500 * time.Millisecond)
			w.end(isolate.Exit{Code: 1})
		}, idl.CategoryStream, idl.StreamEOF, codeConnLost, "exit status 1"},
		{"connection is reset", func(w *worker) { w.Conn().(*faultnet.PipeConn).Reset() }, idl.CategorySocket, 104, codeConnLost, "killed by SIGTERM"},
		{"terminates by itself", func(w *worker) { w.Send(1, idl.WorkerTerminate, 3, "I am done") }, idl.CategorySocket, idl.SocketCanceled, codeSuicide, "killed by SIGTERM"},
		{"terminates by itself and exits", func(w *worker) {
			w.Send(1, idl.WorkerTerminate, 3, "I am done")
			wait(time.Second)
			w.end(isolate.Exit{})
		}, idl.CategorySocket, idl.SocketCanceled, codeSuicide, "exit status 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, nil, func(r *rig) {
				w := r.pool(1)[0]
				for i := range 3 {
					r.call("e")
					w.Want(uint64(2+i), idl.WorkerInvoke, "e")
				}
				w.say("last words")
				tt.die(w)
				seen := make(map[uint64]bool)
				for range 3 {
					f := r.client.Recv()
					seen[f.Channel] = true
					if v := fmt.Sprint(f.Values()); v != fmt.Sprintf("[[%d %d] slave has been discarded]", tt.category, tt.code) {
						t.Errorf("client got %v", f)
					}
				}
				if len(seen) != 3 {
					t.Errorf("channels %v were answered, want 3", seen)
				}
				r.wantCount(0, "load")
				wait(20 * time.Second)
				c := r.crashOf(w)
				if c.Code != tt.reason || c.Exit != tt.exit || c.Inflight != 3 || fmt.Sprint(c.Lines) != "[last words]" {
					t.Errorf("crash is %+v", c)
				}
			})
		})
	}
}

// crashOf is the crash of a worker.
func (r *rig) crashOf(w *worker) engine.Crash {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.crashes {
		if c.Worker == w.Worker {
			return c
		}
	}
	r.t.Fatal("no crash of the worker was recorded")
	return engine.Crash{}
}

// A worker that leaves by itself after its work is done is replaced at once and is
// no crash: programs that serve so many requests and then end are in order. One
// that has done nothing, or leaves requests behind, is, and the next one waits.
func TestTerminateByItself(t *testing.T) {
	t.Run("after work", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			w := r.pool(1)[0]
			ch := r.call("e")
			r.client.Send(ch, idl.Close)
			w.Want(2, idl.WorkerInvoke, "e")
			w.Send(2, idl.Close)
			w.Want(2, idl.Close)
			r.client.Want(ch, idl.Close)
			w.Send(1, idl.WorkerTerminate, 1, "enough")
			r.spawned()
			r.wantCount(0, "pool", "total:crashed")
			wait(4 * time.Second)
			w.wantSignals(t)
			w.end(isolate.Exit{})
			r.wantCrashes(0)
		})
	})
	for _, idle := range []bool{true, false} {
		t.Run(fmt.Sprintf("idle=%v", idle), func(t *testing.T) {
			virtual(t, nil, func(r *rig) {
				r.call("e", timeoutHeader(1))
				wait(time.Millisecond)
				w := r.ready()
				if !idle {
					r.call("e")
				}
				w.Send(1, idl.WorkerTerminate, 1, "enough")
				r.notSpawned()
				r.wantCount(1, "pool", "total:crashed")
				wait(time.Second)
				r.spawned()
			})
		})
	}
	t.Run("before it is ready", func(t *testing.T) {
		virtual(t, map[string]any{"spawn-timeout": 10}, func(r *rig) {
			r.iso.before(func(_ context.Context, p *process) error {
				w := r.connect(p)
				w.Send(1, idl.WorkerHandshake, p.Worker)
				w.Send(1, idl.WorkerTerminate, 1, "no")
				time.Sleep(time.Millisecond)
				return nil
			})
			r.call("e")
			r.wantCount(1, "pool", "total:crashed")
		})
	})
}

// The forms in which workers acknowledge terminate: an echo (Python), "confirmed"
// with code 0 (native), no arguments, the bare end of the connection (Go), and a
// process that just exits. None is a crash.
func TestTerminateAcknowledged(t *testing.T) {
	acks := map[string]func(w *worker){
		"echo":      func(w *worker) { w.Send(1, idl.WorkerTerminate, codeStopped, "overseer is shutting down") },
		"confirmed": func(w *worker) { w.Send(1, idl.WorkerTerminate, 0, "confirmed") },
		"bare":      func(w *worker) { w.Send(1, idl.WorkerTerminate) },
		"nonsense":  func(w *worker) { w.Send(1, idl.WorkerTerminate, "x", []any{1}) },
		"end":       func(w *worker) { w.Close() },
		"reset":     func(w *worker) { w.Conn().(*faultnet.PipeConn).Reset() },
		"exit":      func(w *worker) { w.end(isolate.Exit{Code: 1}) },
	}
	for name, ack := range acks {
		t.Run(name, func(t *testing.T) {
			virtual(t, nil, func(r *rig) {
				w := r.pool(1)[0]
				start := time.Now()
				done := make(chan error, 1)
				go func() { done <- r.Stop(r.t.Context()) }()
				w.wantTerminate(t, codeStopped, "overseer is shutting down")
				wait(time.Second)
				ack(w)
				wait(time.Second)
				w.end(isolate.Exit{})
				if err := <-done; err != nil {
					t.Error(err)
				}
				if took := time.Since(start); took != 2*time.Second {
					t.Errorf("stop took %v, want 2 s", took)
				}
				w.wantSignals(t)
				r.wantCrashes(0)
				r.wantCount(0, "pool", "total:crashed")
			})
		})
	}
}

// A worker that does not care about terminate is given up after terminate-timeout
// and gets signals at once: it has had its time.
func TestTerminateTimeout(t *testing.T) {
	for _, limit := range []time.Duration{3 * time.Second, 0} {
		t.Run(limit.String(), func(t *testing.T) {
			virtual(t, map[string]any{"terminate-timeout": limit.Seconds()}, func(r *rig) {
				w := r.pool(1)[0]
				w.change(func(p *process) { p.deaf = true })
				if err := r.Stop(r.t.Context()); err != nil {
					t.Error(err)
				}
				w.wantSignals(t, sent{"SIGTERM", limit}, sent{"SIGKILL", limit + 5*time.Second})
				r.wantCrashes(0)
			})
		})
	}
}

// A worker that has acknowledged and does not go has KillGrace for it, then
// SIGTERM, then SIGKILL.
func TestStubbornAfterAcknowledgement(t *testing.T) {
	virtualWith(t, nil, func(o *engine.Options) { o.KillGrace = 2 * time.Second }, func(r *rig) {
		w := r.pool(1)[0]
		w.change(func(p *process) { p.deaf = true })
		go r.Stop(r.t.Context())
		w.wantTerminate(t, codeStopped, "overseer is shutting down")
		w.Send(1, idl.WorkerTerminate, 0, "confirmed")
		wait(time.Minute)
		w.wantSignals(t, sent{"SIGTERM", 2 * time.Second}, sent{"SIGKILL", 4 * time.Second})
	})
}

// A missing heartbeat ends a worker that was told to go, but is no crash then.
func TestNoHeartbeatWhileTerminating(t *testing.T) {
	virtual(t, map[string]any{"terminate-timeout": 100, "heartbeat-timeout": 3}, func(r *rig) {
		w := r.pool(1)[0]
		wait(time.Second)
		if err := r.Stop(r.t.Context()); err != nil {
			t.Error(err)
		}
		w.wantSignals(t, sent{"SIGTERM", 3*time.Second + 5*time.Second})
		r.wantCount(0, "pool", "total:crashed")
	})
}

// Sealing: no new requests, the old ones are finished, then terminate [14]
// (node-engine 12.3 case 10).
func TestSealing(t *testing.T) {
	t.Run("finishes", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			ws := r.pool(2)
			for range 2 {
				r.call("e")
			}
			r.SetTarget(1)
			r.wantStates(map[string]int{"active": 1, "sealing": 1})
			states := r.slaves()
			sealed, other := ws[0], ws[1]
			if states[sealed.Worker] != "sealing" {
				sealed, other = other, sealed
			}
			sealed.Want(2, idl.WorkerInvoke, "e")
			other.Want(2, idl.WorkerInvoke, "e")
			r.call("new")
			sealed.WantIdle()
			other.Want(3, idl.WorkerInvoke, "new")
			wait(30 * time.Second / 2)
			sealed.Send(2, idl.Write, "result")
			sealed.Send(2, idl.Close)
			ch := r.client.Recv().Channel
			r.client.Want(ch, idl.Close)
			r.wantStates(map[string]int{"active": 1, "sealing": 1}) // the client's half is open
			r.client.Send(ch, idl.Close)
			sealed.Want(2, idl.Close)
			sealed.wantTerminate(t, codeSealed, "slave is sealing")
			sealed.leave()
			r.wantStates(map[string]int{"active": 1})
			r.wantCount(0, "pool", "total:crashed")
			sealed.wantSignals(t)
		})
	})
	for _, limit := range []time.Duration{7 * time.Second, 0} {
		t.Run("takes too long/"+limit.String(), func(t *testing.T) {
			virtual(t, map[string]any{"seal-timeout": limit.Seconds(), "terminate-timeout": 5}, func(r *rig) {
				r.pool(2)
				one, two := r.call("one"), r.call("two")
				r.SetTarget(1)
				if limit > 0 {
					r.wantStates(map[string]int{"active": 1, "sealing": 1})
					wait(limit - time.Millisecond)
					r.wantStates(map[string]int{"active": 1, "sealing": 1})
					wait(time.Millisecond)
				}
				r.wantStates(map[string]int{"active": 1, "terminating": 1})
				wait(5 * time.Second)
				f := r.client.Recv()
				if f.Channel != one && f.Channel != two || fmt.Sprint(f.Values()) != "[[2 125] slave has been discarded]" {
					t.Errorf("client got %v", f)
				}
				r.wantStates(map[string]int{"active": 1})
				r.wantCount(0, "pool", "total:crashed")
			})
		})
	}
	t.Run("dies", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			ws := r.pool(2)
			r.call("one")
			r.call("two")
			r.SetTarget(1)
			states := r.slaves()
			for _, w := range ws {
				if states[w.Worker] == "sealing" {
					w.end(isolate.Exit{Code: 1})
				}
			}
			r.client.Recv()
			r.wantCrash(codeConnLost, "exit status 1")
		})
	})
}

// A process that has ended but left something that holds its connection: the
// engine does not wait for that, sends it nothing new, and hangs up.
func TestOrphanHoldsTheConnection(t *testing.T) {
	virtual(t, nil, func(r *rig) {
		w := r.pool(1)[0]
		ch := r.call("e")
		w.Want(2, idl.WorkerInvoke, "e")
		w.change(func(p *process) { p.orphan = true })
		w.end(isolate.Exit{Code: 9})
		wait(500 * time.Millisecond)
		next := r.call("next")
		w.WantIdle()
		wait(500 * time.Millisecond)
		r.client.WantError(ch, idl.CategoryStream, idl.StreamEOF)
		w.WantClosed()
		r.wantCrash(codeConnLost, "exit status 9")
		wait(time.Second)
		r.ready().Want(2, idl.WorkerInvoke, "next")
		_ = next
	})
}

// What a worker has written before its end still reaches the clients.
func TestLastAnswersOfAnEndedProcess(t *testing.T) {
	virtual(t, nil, func(r *rig) {
		w := r.pool(1)[0]
		ch := r.call("e")
		w.Want(2, idl.WorkerInvoke, "e")
		w.Send(2, idl.Write, "done")
		w.Send(2, idl.Close)
		w.end(isolate.Exit{})
		r.client.Want(ch, idl.Write, "done")
		r.client.Want(ch, idl.Close)
		r.wantCount(0, "load")
	})
}

// Crash records hold the last lines, whatever came last.
func TestLastLines(t *testing.T) {
	tests := []struct {
		limit int
		say   int
		want  string
	}{
		{3, 2, "[0 1]"}, {3, 3, "[0 1 2]"}, {3, 4, "[1 2 3]"}, {3, 7, "[4 5 6]"}, {0, 2, "[]"}, {1, 2, "[1]"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%d of %d", tt.limit, tt.say), func(t *testing.T) {
			var mu sync.Mutex
			var seen []string
			virtualWith(t, map[string]any{"crashlog-limit": tt.limit}, func(o *engine.Options) {
				o.Output = func(worker string, line []byte, stderr bool) {
					mu.Lock()
					defer mu.Unlock()
					seen = append(seen, fmt.Sprintf("%d %s %v", len(worker), line, stderr))
				}
			}, func(r *rig) {
				r.call("e")
				p := r.spawned()
				for i := range tt.say - 1 {
					p.say(fmt.Sprint(i))
				}
				p.change(func(p *process) { p.lastWord = []string{fmt.Sprint(tt.say - 1)} })
				p.end(isolate.Exit{Code: 1})
				if c := r.wantCrashes(1)[0]; fmt.Sprint(c.Lines) != tt.want {
					t.Errorf("lines are %q, want %s", c.Lines, tt.want)
				}
				mu.Lock()
				defer mu.Unlock()
				if len(seen) != tt.say || seen[0] != fmt.Sprintf("36 0 %v", tt.say == 1) || seen[tt.say-1] != fmt.Sprintf("36 %d true", tt.say-1) {
					t.Errorf("Output got %q", seen)
				}
			})
		})
	}
	t.Run("long line", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			r.call("e")
			p := r.spawned()
			p.say(strings.Repeat("x", 1<<20))
			p.end(isolate.Exit{Code: 1})
			if c := r.wantCrashes(1)[0]; len(c.Lines[0]) != 4096 || len(c.Sentence()) > 500 {
				t.Errorf("kept %d bytes of a line, sentence has %d", len(c.Lines[0]), len(c.Sentence()))
			}
		})
	})
}

// The time and the uptime of a crash are those of the death, not of the record,
// which waits for a stubborn process.
func TestTimeOfDeath(t *testing.T) {
	virtual(t, map[string]any{"heartbeat-timeout": 10}, func(r *rig) {
		w := r.pool(1)[0]
		w.change(func(p *process) { p.deaf = true })
		died := time.Now().Add(10 * time.Second)
		wait(20 * time.Second)
		c := r.wantCrash(codeHeartLate, "killed by SIGKILL")
		if !c.Time.Equal(died) || c.Uptime != 10*time.Second || c.Signal != "SIGKILL" || c.Status != -1 {
			t.Errorf("crash is %+v, want it at %v", c, died)
		}
	})
}
