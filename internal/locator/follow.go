package locator

import (
	"context"
	"slices"
	"sync"
)

// mailbox is what waits for one subscriber. The locator puts and never waits;
// the subscriber's own goroutine takes.
type mailbox interface {
	// take returns the arguments of the next message, if there is one.
	take() (args []byte, ok bool)
	state() *signal
}

// signal tells a subscriber's goroutine that its mailbox changed.
type signal struct {
	wake chan struct{} // capacity 1: the mailbox is not empty
	over chan struct{} // closed when another subscription took this one's id
}

func newSignal() signal {
	return signal{wake: make(chan struct{}, 1), over: make(chan struct{})}
}

func (s *signal) ring() {
	select {
	case s.wake <- struct{}{}:
	default: // it is awake already
	}
}

func (s *signal) state() *signal { return s }

// deliver sends what arrives in the mailbox until the subscriber leaves (ctx),
// send fails, another subscription takes over or the locator is closed. The
// error is nil in the last two cases.
func (l *Locator) deliver(ctx context.Context, m mailbox, send func(args []byte) error) error {
	s := m.state()
	for {
		for args, ok := m.take(); ok; args, ok = m.take() {
			if err := send(args); err != nil {
				return err
			}
			if isDone(s.over) || isDone(l.done) {
				return nil
			}
		}
		select {
		case <-s.wake:
		case <-s.over:
			return nil
		case <-l.done:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func isDone(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// change is the newest undelivered news about one service.
type change struct {
	args []byte // of the message that tells it
	gone bool
}

// feed is the mailbox of a connect stream: a snapshot, then one change per
// service, in the order in which the services first changed since the last
// delivery. Of several changes of one service only the newest is kept, and a
// service that came and went between two deliveries is not mentioned, so no
// more waits than there are services here or in the subscriber's view.
type feed struct {
	signal

	mu       sync.Mutex
	snapshot []byte              // nil once taken
	known    map[string]struct{} // what the subscriber believes to be here
	changes  map[string]change
	order    []string // the keys of changes
}

func newFeed(snapshot []byte, known map[string]struct{}) *feed {
	return &feed{signal: newSignal(), snapshot: snapshot, known: known, changes: make(map[string]change)}
}

func (f *feed) put(name string, c change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, waiting := f.changes[name]
	if _, known := f.known[name]; c.gone && !known {
		if waiting {
			delete(f.changes, name)
			i := slices.Index(f.order, name)
			f.order = slices.Delete(f.order, i, i+1)
		}
		return
	}
	f.changes[name] = c
	if !waiting {
		f.order = append(f.order, name)
	}
	f.ring()
}

func (f *feed) take() ([]byte, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if args := f.snapshot; args != nil {
		f.snapshot = nil
		return args, true
	}
	if len(f.order) == 0 {
		return nil, false
	}
	name := f.order[0]
	f.order = f.order[1:]
	c := f.changes[name]
	delete(f.changes, name)
	if c.gone {
		delete(f.known, name)
	} else {
		f.known[name] = struct{}{}
	}
	return c.args, true
}

// router is the mailbox of a routing stream: the newest table.
type router struct {
	signal

	mu    sync.Mutex
	table []byte // nil once taken
}

func newRouter(table []byte) *router { return &router{signal: newSignal(), table: table} }

func (r *router) put(table []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.table = table
	r.ring()
}

func (r *router) take() ([]byte, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	table := r.table
	r.table = nil
	return table, table != nil
}
