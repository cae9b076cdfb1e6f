package engine

// queue is the FIFO of requests without a worker. Guarded by Engine.mu.
//
// While it is not empty, no worker has room: everything that makes room calls pump.
type queue struct {
	first, last *request
	n           int
}

func (q *queue) push(r *request) {
	r.prev, r.next = q.last, nil
	if q.last == nil {
		q.first = r
	} else {
		q.last.next = r
	}
	q.last = r
	q.n++
	r.waits = true
}

// unshift puts a request back at the head.
func (q *queue) unshift(r *request) {
	r.prev, r.next = nil, q.first
	if q.first == nil {
		q.last = r
	} else {
		q.first.prev = r
	}
	q.first = r
	q.n++
	r.waits = true
}

func (q *queue) remove(r *request) {
	if r.prev == nil {
		q.first = r.next
	} else {
		r.prev.next = r.next
	}
	if r.next == nil {
		q.last = r.prev
	} else {
		r.next.prev = r.prev
	}
	r.prev, r.next = nil, nil
	q.n--
	r.waits = false
}
