package process

import "runtime"

// thread is an OS thread that starts workers. It is their parent in the eyes of
// the kernel, which kills them when it ends (see the package comment); it ends
// with stop, or with the runtime.
type thread struct {
	calls chan func()
	ended chan struct{}
}

func startThread() *thread {
	t := &thread{calls: make(chan func()), ended: make(chan struct{})}
	go t.run()
	return t
}

func (t *thread) run() {
	defer close(t.ended)
	// Nobody else runs on this thread, and it is not ended while the goroutine
	// lives. It is unlocked at the end so that it goes back to Go's pool: a
	// goroutine that ends locked takes its thread with it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for call := range t.calls {
		call()
	}
}

// do runs f on the thread and returns after it.
func (t *thread) do(f func()) {
	done := make(chan struct{})
	t.calls <- func() {
		defer close(done)
		f()
	}
	<-done
}

// stop ends the thread; do must not be called any more.
func (t *thread) stop() {
	close(t.calls)
	<-t.ended
}
