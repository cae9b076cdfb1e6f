package engine

// buckets keep the workers that take requests ordered by load, so that the least
// loaded one is found, and a load changed by one, in constant time. Guarded by
// Engine.mu.
type buckets struct {
	byLoad [][]*worker
	least  int // no bucket below this one holds a worker
	count  int
}

// add puts a worker in at its current load.
func (k *buckets) add(w *worker) {
	for len(k.byLoad) <= w.load {
		k.byLoad = append(k.byLoad, nil)
	}
	k.byLoad[w.load] = append(k.byLoad[w.load], w)
	w.slot = len(k.byLoad[w.load])
	if k.count == 0 || w.load < k.least {
		k.least = w.load
	}
	k.count++
}

// remove takes a worker out; one that is not in is left alone.
func (k *buckets) remove(w *worker) {
	if w.slot == 0 {
		return
	}
	b := k.byLoad[w.load]
	last := b[len(b)-1]
	b[w.slot-1] = last
	last.slot = w.slot
	b[len(b)-1] = nil
	k.byLoad[w.load] = b[:len(b)-1]
	w.slot = 0
	k.count--
}

// change moves a worker to a new load. Workers that are not in only get the load.
func (k *buckets) change(w *worker, load int) {
	if w.slot == 0 {
		w.load = load
		return
	}
	k.remove(w)
	w.load = load
	k.add(w)
}

// find returns the least loaded worker that suits, nil if there is none.
func (k *buckets) find(suits func(*worker) bool) *worker {
	for _, b := range k.byLoad {
		for _, w := range b {
			if suits(w) {
				return w
			}
		}
	}
	return nil
}

// min returns the least loaded worker, nil if there is none; of several the one
// that came to this load last. So a trickle of requests stays on one worker, and
// the others become idle.
func (k *buckets) min() *worker {
	if k.count == 0 {
		return nil
	}
	for len(k.byLoad[k.least]) == 0 {
		k.least++
	}
	b := k.byLoad[k.least]
	return b[len(b)-1]
}
