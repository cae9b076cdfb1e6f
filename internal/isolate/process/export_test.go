//go:build linux

package process

// HoldThread keeps the isolate from starting anything, as an exec that hangs
// does, until release is called.
func (iso *Isolate) HoldThread() (release func()) {
	held, free := make(chan struct{}), make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		iso.thread.do(func() {
			close(held)
			<-free
		})
	}()
	<-held
	return func() {
		close(free)
		<-ended
	}
}

// ForbidClone makes the isolate move workers into their cgroups after the start,
// as where clone3 is forbidden.
func (iso *Isolate) ForbidClone() { iso.tree.noClone.Store(true) }

// Group is the directory of the isolate's cgroup.
func (iso *Isolate) Group() string { return iso.tree.path }

// Starting is how many workers are starting.
func (iso *Isolate) Starting() int { return len(iso.slots) }

// Idle returns when no worker runs or starts.
func (iso *Isolate) Idle() { iso.running.Wait() }
