package engine

// pick returns the worker for the next request: the least loaded one, but rather
// another one with room than one whose connection is stuck. Called with mu held.
func (e *Engine) pick() *worker {
	w := e.buckets.min()
	if e.buckets.count <= 1 || !e.stuck(w) {
		return w
	}
	if other := e.buckets.find(func(w *worker) bool { return w.load < e.p.Concurrency && !e.stuck(w) }); other != nil {
		return other
	}
	return w
}

// stuck reports whether a worker's frames are not read because a client is slow, or
// so much waits for the worker to read that those who feed it are about to be
// stopped.
func (e *Engine) stuck(w *worker) bool {
	return w.session.Blocked() || w.session.Buffered() > e.clog
}
