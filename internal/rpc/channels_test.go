package rpc

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

type numbered struct {
	LastReceiver
	id uint64
}

// An ordinary one cannot take two frames at once.
type ordinary struct{ Receiver }

// The channels of a session are what a map would be, whatever their numbers are.
func TestChannels(t *testing.T) {
	numbers := map[string]func(r *rand.Rand, step uint64) uint64{
		"rising":  func(_ *rand.Rand, step uint64) uint64 { return step + 1 },
		"strides": func(_ *rand.Rand, step uint64) uint64 { return (step + 1) * maxSlots },
		"random":  func(r *rand.Rand, _ uint64) uint64 { return r.Uint64() },
		"last":    func(_ *rand.Rand, step uint64) uint64 { return claimed - step },
	}
	for name, number := range numbers {
		for _, most := range []int{1, 20, 700} {
			r := rand.New(rand.NewPCG(1, 2))
			c := new(channels)
			model := make(map[uint64]Receiver)
			var order []uint64
			for step := range uint64(4000) {
				id := number(r, step)
				var v Receiver = &numbered{id: id}
				if step%3 == 0 {
					v = &ordinary{}
				}
				c.put(id, v)
				model[id] = v
				order = append(order, id)
				for len(order) > most {
					i := r.IntN(min(4, len(order)))
					id := order[i]
					if step%2 == 0 {
						if got := c.claim(id); got != nil {
							if Receiver(got) != model[id] {
								t.Fatalf("%s: claim(%d) gives another receiver", name, id)
							}
							delete(model, id)
						}
					}
					_, want := model[id]
					if got := c.drop(id); got != want {
						t.Fatalf("%s: drop(%d) = %v, want %v", name, id, got, want)
					}
					delete(model, id)
					order = append(order[:i], order[i+1:]...)
				}
				if c.len() != len(model) || !c.atLeast(len(model)) || c.atLeast(len(model)+1) {
					t.Fatalf("%s: %d channels, want %d", name, c.len(), len(model))
				}
				for _, id := range []uint64{id, id + 1, id - 1, id + maxSlots, 0} {
					if got := c.get(id); got != model[id] {
						t.Fatalf("%s: get(%d) = %v, want %v", name, id, got, model[id])
					}
				}
			}
			all := c.takeAll()
			if len(all) != len(model) || c.len() != 0 {
				t.Errorf("%s: %d channels are taken out, want %d; %d are left", name, len(all), len(model), c.len())
			}
			for id := range model {
				if c.drop(id) || c.get(id) != nil || c.claim(id) != nil {
					t.Errorf("%s: %d is still there", name, id)
				}
			}
		}
	}
}

// A large window is given up once it is empty.
func TestChannelsShrink(t *testing.T) {
	c := new(channels)
	for id := range uint64(4 * keepSlots) {
		c.put(id+1, &numbered{})
	}
	for id := range uint64(4 * keepSlots) {
		if c.wasteful() {
			t.Fatalf("a window with %d channels is called empty", c.len())
		}
		if c.claim(id+1) == nil {
			t.Fatalf("channel %d cannot be claimed", id+1)
		}
	}
	if !c.wasteful() {
		t.Error("a large window is kept")
	}
	c.shrink()
	c.put(1, &numbered{})
	if c.get(1) == nil || c.wasteful() {
		t.Error("after shrinking the channels are lost")
	}
}

// The reader takes channels out without the lock under which others put them in,
// let the window grow and forget some: each is taken out exactly once.
func TestChannelsClaimedConcurrently(t *testing.T) {
	const total, openers = 10000, 3
	c := new(channels)
	var mu sync.Mutex
	var next, gone atomic.Uint64
	var taken [total + 1]atomic.Int32
	announced := make(chan uint64, 600) // more than the window has slots at first
	var wg sync.WaitGroup
	for range openers {
		wg.Go(func() {
			for {
				mu.Lock()
				id := next.Add(1)
				if id > total {
					mu.Unlock()
					return
				}
				c.put(id, &numbered{id: id})
				mu.Unlock()
				if id%7 == 0 {
					mu.Lock()
					if c.drop(id) {
						taken[id].Add(1)
						gone.Add(1)
					}
					mu.Unlock()
				}
				announced <- id
			}
		})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for id := range announced {
			if r := c.claim(id); r != nil {
				if r.(*numbered).id != id {
					t.Errorf("claimed %d, got %d", id, r.(*numbered).id)
				}
				taken[id].Add(1)
				gone.Add(1)
				continue
			}
			mu.Lock()
			if c.drop(id) {
				taken[id].Add(1)
				gone.Add(1)
			}
			mu.Unlock()
		}
	}()
	wg.Wait()
	close(announced)
	<-done
	if gone.Load() != total || c.len() != 0 {
		t.Errorf("%d of %d were taken out, %d are left", gone.Load(), total, c.len())
	}
	for id := range uint64(total) {
		if n := taken[id+1].Load(); n != 1 {
			t.Fatalf("channel %d was taken out %d times", id+1, n)
		}
	}
}

// A channel that the reader has looked at, and cannot take out without the lock, is
// neither lost when the window grows nor kept when it is dropped.
func TestChannelsLookedAt(t *testing.T) {
	for range 200 {
		c := new(channels)
		var mu sync.Mutex
		var opened atomic.Uint64
		const total = 500
		stop := make(chan struct{})
		var reader sync.WaitGroup
		reader.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				for id := range opened.Load() {
					if c.claim(id+1) != nil {
						t.Error("claimed what is no LastReceiver")
					}
				}
			}
		})
		for id := uint64(1); id <= total; id++ {
			mu.Lock()
			c.put(id, plain{})
			opened.Store(id)
			if id%2 == 0 && !c.drop(id) {
				t.Errorf("channel %d was not dropped", id)
			}
			mu.Unlock()
		}
		close(stop)
		reader.Wait()
		for id := uint64(1); id <= total; id++ {
			if (c.get(id) != nil) != (id%2 == 1) {
				t.Fatalf("channel %d is there: %t", id, c.get(id) != nil)
			}
		}
	}
}

// plain is a Receiver and no LastReceiver.
type plain struct{}

func (plain) Receive(*Batch, *Frame) bool { return true }
func (plain) Lost(*Batch, error)          {}
