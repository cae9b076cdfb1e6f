package faultnet

import (
	"sync"
	"time"
)

// deadline turns a point in time that may move into a channel that closes when
// it has passed. A call that already waits on the channel is interrupted by a
// deadline set later, as net.Conn demands.
type deadline struct {
	mu      sync.Mutex
	passed  chan struct{} // closed: the deadline has passed
	timer   *time.Timer
	version int // a timer that fires for an older version is ignored
}

// set moves the deadline; the zero time removes it.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.version++
	if d.passed == nil || isClosed(d.passed) {
		d.passed = make(chan struct{})
	}
	if t.IsZero() {
		return
	}
	wait := time.Until(t)
	if wait <= 0 {
		close(d.passed)
		return
	}
	version := d.version
	d.timer = time.AfterFunc(wait, func() { d.expire(version) })
}

func (d *deadline) expire(version int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.version == version {
		close(d.passed)
	}
}

// done is closed when the deadline has passed.
func (d *deadline) done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.passed == nil {
		d.passed = make(chan struct{})
	}
	return d.passed
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
