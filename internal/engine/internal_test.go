package engine

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/cocaine/cocaine-go/internal/faultnet"
	"github.com/cocaine/cocaine-go/internal/isolate"
	"github.com/cocaine/cocaine-go/internal/manifest"
	"github.com/cocaine/cocaine-go/internal/relay"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
)

// noIsolate starts nothing.
type noIsolate struct{}

func (noIsolate) Spawn(ctx context.Context, _ isolate.Spawn) (isolate.Process, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func testRand(t *testing.T) *rand.Rand {
	seed := faultnet.Seed(t)
	return rand.New(rand.NewPCG(seed, seed))
}

type tally struct{ fired []*timer }

func (o *tally) expire(_ *rpc.Batch, t *timer) { o.fired = append(o.fired, t) }

// The timers fire as a sorted list of them would, whatever is armed, moved and
// disarmed before.
func TestTimersFireInOrder(t *testing.T) {
	r := testRand(t)
	for range 50 {
		ts := timers{wake: make(chan struct{}, 1)}
		owner := new(tally)
		all := make([]*timer, 1+r.IntN(100))
		for i := range all {
			all[i] = &timer{owner: owner}
		}
		now := instant(0)
		armed := func() (n int) {
			for _, x := range all {
				if x.pos != 0 {
					n++
				}
			}
			return n
		}
		for range 500 {
			x := all[r.IntN(len(all))]
			switch r.IntN(5) {
			case 4:
				ts.armInLine(x, now+instant(30+r.IntN(3)))
			case 0, 1:
				ts.arm(x, now+instant(r.IntN(100)))
			case 2:
				ts.disarm(x)
			case 3:
				now += instant(r.IntN(20))
				var due []instant
				for _, x := range all {
					if x.pos != 0 && x.at <= now {
						due = append(due, x.at)
					}
				}
				slices.Sort(due)
				var got []instant
				for x := ts.due(now); x != nil; x = ts.due(now) {
					got = append(got, x.at)
				}
				if !slices.Equal(got, due) {
					t.Fatalf("at %d fired %v, want %v", now, got, due)
				}
			}
			line := 0
			for x := ts.first; x != nil; x = x.next {
				line++
				if x.pos != inLine || x.next == nil && ts.last != x || x.next != nil && x.next.at < x.at {
					t.Fatal("the line is out of order")
				}
			}
			if len(ts.heap)+line != armed() {
				t.Fatalf("there are %d timers in the heap and %d in line, %d are armed", len(ts.heap), line, armed())
			}
			for i, x := range ts.heap {
				if x.pos != i+1 {
					t.Fatalf("timer at %d says %d", i, x.pos-1)
				}
			}
		}
	}
}

// The timer loop is woken for an instant before the one it sleeps for, and for no
// other.
func TestTimersWake(t *testing.T) {
	ts := timers{wake: make(chan struct{}, 1), next: 100}
	woken := func() bool {
		select {
		case <-ts.wake:
			return true
		default:
			return false
		}
	}
	a, b, c := new(timer), new(timer), new(timer)
	ts.arm(a, 200)
	if woken() {
		t.Error("woken for 200 while it sleeps for 100")
	}
	ts.arm(b, 50)
	if !woken() {
		t.Error("not woken for 50")
	}
	ts.disarm(b)
	ts.arm(b, 60)
	ts.arm(c, 70)
	if woken() {
		t.Error("woken although it looks at 50 anyway")
	}
	ts.arm(c, 40)
	if !woken() {
		t.Error("not woken for 40")
	}
}

// After the runtime has been stopped for a while the readers come first: a worker
// whose heartbeats were not read is not silent.
func TestTimersLetReadersCatchUp(t *testing.T) {
	e := New(Options{})
	e.epoch = e.epoch.Add(-time.Minute) // the engine is a minute old
	owner := new(tally)
	late := &timer{owner: owner}
	arm := func(at instant) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.timers.arm(late, at)
	}
	for range 2 {
		owner.fired = nil
		arm(e.now() - 2*slack)
		if sleep := e.fireTimers(); sleep != catchUp || len(owner.fired) != 0 {
			t.Errorf("sleeps %v, fired %d timers, want %v and none", sleep, len(owner.fired), catchUp)
		}
		if sleep := e.fireTimers(); sleep != time.Hour || len(owner.fired) != 1 {
			t.Errorf("sleeps %v, fired %d timers, want an hour and one", sleep, len(owner.fired))
		}
		arm(e.now() - slack/2)
		if e.fireTimers(); len(owner.fired) != 2 {
			t.Errorf("fired %d timers, want 2: half a second is nothing", len(owner.fired))
		}
	}
}

// The least loaded worker is found whatever happened before.
func TestBucketsFindTheLeast(t *testing.T) {
	r := testRand(t)
	for range 50 {
		var k buckets
		all := make([]*worker, 1+r.IntN(10))
		in := make(map[*worker]bool)
		for i := range all {
			all[i] = new(worker)
		}
		for range 500 {
			w := all[r.IntN(len(all))]
			switch {
			case !in[w]:
				k.add(w)
				in[w] = true
			case r.IntN(10) == 0:
				k.remove(w)
				delete(in, w)
			case w.load == 0 || r.IntN(2) == 0:
				k.change(w, w.load+1)
			default:
				k.change(w, w.load-1)
			}
			if out := all[r.IntN(len(all))]; !in[out] && out.load > 0 {
				k.change(out, out.load-1) // of one that takes no requests, but still has some
				k.remove(out)
			}
			least := math.MaxInt
			for w := range in {
				least = min(least, w.load)
			}
			got := k.min()
			if len(in) == 0 {
				if got != nil {
					t.Fatal("a worker in empty buckets")
				}
				continue
			}
			if got == nil || got.load != least || !in[got] {
				t.Fatalf("min is %+v, want load %d", got, least)
			}
			if found := k.find(func(w *worker) bool { return w != got }); len(in) > 1 && (found == nil || found == got || !in[found]) {
				t.Fatalf("find gave %+v", found)
			}
		}
	}
}

// A request whose client has broken the protocol while it was queued is not given
// to a worker that becomes free before the request is settled.
func TestRejectedWhileQueued(t *testing.T) {
	e := New(Options{Profile: *manifest.DefaultProfile(), Isolate: noIsolate{}})
	client, _ := rpctest.Pair(t, rpc.SessionOptions{}, rpc.SessionOptions{})
	peer := rpctest.New(t, rpctest.Options{})
	rpc.Run(func(b *rpc.Batch) {
		f := &rpc.Frame{Args: relay.EventArgs([]byte("e"))}
		q, ok := e.Offer(b, client, 1, f, e.calls)
		if !ok || e.queue.n != 1 {
			t.Fatal("request is not queued")
		}
		r := (*request)(q.(*fromClient))
		r.mu.Lock()
		r.reject(b, &rpc.Frame{Type: 9})
		r.mu.Unlock()
		e.mu.Lock()
		w := &worker{e: e, state: active, session: peer.Session()}
		e.buckets.add(w)
		e.pump(b)
		e.mu.Unlock()
		e.abandon(b, r, nil, 0)
		if e.queue.n != 0 || e.queue.first != nil || e.load != 0 || w.load != 0 || !r.settled {
			t.Errorf("queue has %d requests, load is %d", e.queue.n, e.load)
		}
	})
	if n := peer.Session().Channels(); n != 0 {
		t.Errorf("worker has %d channels", n)
	}
	if err := e.Stop(t.Context()); err != nil { // what the request has spawned
		t.Error(err)
	}
}

func TestMeter(t *testing.T) {
	var m meter
	m.init()
	at := func(s float64) instant { return instant(s * float64(time.Second)) }
	for i := range 600 { // one a second, for ten minutes
		m.mark(at(float64(i)))
	}
	m.advance(at(600))
	for i, r := range m.rates {
		if math.Abs(r-1) > .01 {
			t.Errorf("rate %d is %v, want 1", i, r)
		}
	}
	if mean := m.mean(at(600)); math.Abs(mean-1) > .01 {
		t.Errorf("mean is %v, want 1", mean)
	}
	m.advance(at(660))
	if m.rates[0] > .4 || m.rates[2] < .9 {
		t.Errorf("after a minute of silence the rates are %v", m.rates)
	}
	m.advance(at(100000))
	m.mark(at(100000))
	if m.rates[0] != 0 || m.next < at(100000) {
		t.Errorf("after a day of silence the rates are %v", m.rates)
	}
	if m.mean(0) != 0 {
		t.Error("a mean before the start")
	}
}

func TestAverage(t *testing.T) {
	a := average{window: instant(2 * time.Second)}
	a.update(0, 10)
	if v := a.read(instant(20 * time.Second)); math.Abs(v-10) > .01 {
		t.Errorf("average of a steady 10 is %v", v)
	}
	a.update(instant(20*time.Second), 0)
	if v := a.read(instant(22 * time.Second)); math.Abs(v-10/math.E) > .01 {
		t.Errorf("average after one window is %v", v)
	}
	if v := a.read(instant(21 * time.Second)); math.Abs(v-10/math.E) > .01 {
		t.Errorf("time that goes back changes the average to %v", v)
	}
}

// node-engine 12.3 case 20: a step of the wall clock means nothing. All instants
// come from at and now, and both look at the monotonic clock.
func TestWallClockSteps(t *testing.T) {
	e := New(Options{})
	stepped := time.Now()
	// A time.Time with a monotonic reading keeps its wall seconds above bit 30 of
	// its first word: this is what time.Now returns after the clock was set back.
	*(*uint64)(unsafe.Pointer(&stepped)) -= 3600 << 30
	if d := time.Until(stepped.Round(0)); d > -time.Hour+time.Minute {
		t.Fatalf("clock is %v ahead, want an hour behind", d)
	}
	if at := e.at(stepped); at < 0 || at > instant(time.Minute) {
		t.Errorf("instant is %v after the clock was set back", time.Duration(at))
	}
	if now := e.now(); now < 0 || now > instant(time.Minute) {
		t.Errorf("now is %v", time.Duration(now))
	}
}
