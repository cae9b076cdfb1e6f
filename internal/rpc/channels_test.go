package rpc

import (
	"math/rand/v2"
	"testing"
)

type numbered struct {
	Receiver
	id uint64
}

// The channels of a session are what a map would be, whatever their numbers are.
func TestChannels(t *testing.T) {
	numbers := map[string]func(r *rand.Rand, step uint64) uint64{
		"rising":  func(_ *rand.Rand, step uint64) uint64 { return step },
		"strides": func(_ *rand.Rand, step uint64) uint64 { return step * maxSlots },
		"random":  func(r *rand.Rand, _ uint64) uint64 { return r.Uint64N(3000) },
	}
	for name, number := range numbers {
		for _, most := range []int{1, 20, 3 * keepSlots} {
			r := rand.New(rand.NewPCG(1, 2))
			var c channels
			model := make(map[uint64]Receiver)
			var order []uint64
			for step := range uint64(8 * keepSlots) {
				id := number(r, step)
				v := &numbered{id: id}
				c.put(id, v)
				model[id] = v
				order = append(order, id)
				for len(order) > most {
					i := r.IntN(min(4, len(order)))
					_, want := model[order[i]]
					if got := c.drop(order[i]); got != want {
						t.Fatalf("%s: drop(%d) = %v, want %v", name, order[i], got, want)
					}
					delete(model, order[i])
					order = append(order[:i], order[i+1:]...)
				}
				if c.len() != len(model) {
					t.Fatalf("%s: %d channels, want %d", name, c.len(), len(model))
				}
				for _, id := range []uint64{id, id + 1, id - 1, id + maxSlots, 0} {
					if got := c.get(id); got != model[id] {
						t.Fatalf("%s: get(%d) = %v, want %v", name, id, got, model[id])
					}
				}
			}
			seen := 0
			c.each(func(id uint64, r Receiver) {
				seen++
				if r != model[id] {
					t.Errorf("%s: each gives %d another receiver", name, id)
				}
			})
			if seen != len(model) {
				t.Errorf("%s: each gives %d channels, want %d", name, seen, len(model))
			}
			for id := range model {
				c.drop(id)
			}
			if c.len() != 0 || len(c.slots) > keepSlots {
				t.Errorf("%s: %d channels and %d slots are left", name, c.len(), len(c.slots))
			}
		}
	}
}
