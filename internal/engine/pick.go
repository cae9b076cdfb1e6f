package engine

// pick returns the worker for the next request: the least loaded one, but rather
// another one with room than one that does not keep up with reading what it was
// sent. Called with mu held.
func (e *Engine) pick() *worker {
	w := e.buckets.min()
	if e.buckets.count <= 1 || !e.clogged(w) {
		return w
	}
	if other := e.buckets.find(func(w *worker) bool { return w.load < e.p.Concurrency && !e.clogged(w) }); other != nil {
		return other
	}
	return w
}

// clogged reports whether so much waits to be sent to a worker that those who feed
// it are about to be stopped.
func (e *Engine) clogged(w *worker) bool { return w.session.Buffered() > e.clog }
