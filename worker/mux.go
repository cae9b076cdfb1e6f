package worker

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A binding is a handler and how it is served. It does not change once the worker
// runs.
type binding struct {
	event      string // or the prefix of events
	handler    Handler
	middleware []Middleware
	slots      chan struct{} // one token for each running handler; nil: any number
	timeout    time.Duration // zero: none
	pace       pace

	// One of these, from the start of the worker on.
	value  valueFunc
	stream Handler // with the middleware around it
}

// A mux finds the binding of an event.
type mux struct {
	events   map[string]*binding
	prefixes []*binding // longest first
}

func newMux() mux { return mux{events: make(map[string]*binding)} }

// find returns nil for an event without a handler.
func (m *mux) find(event []byte) *binding {
	if b := m.events[string(event)]; b != nil {
		return b
	}
	for _, b := range m.prefixes {
		if len(event) >= len(b.event) && string(event[:len(b.event)]) == b.event {
			return b
		}
	}
	return nil
}

func (m *mux) addEvent(b *binding) bool {
	if m.events[b.event] != nil {
		return false
	}
	m.events[b.event] = b
	return true
}

func (m *mux) addPrefix(b *binding) bool {
	if slices.ContainsFunc(m.prefixes, func(other *binding) bool { return other.event == b.event }) {
		return false
	}
	m.prefixes = append(m.prefixes, b)
	slices.SortStableFunc(m.prefixes, func(a, b *binding) int { return len(b.event) - len(a.event) })
	return true
}

// compose puts the middleware around the handlers.
func (m *mux) compose(outer []Middleware) {
	for _, b := range m.events {
		b.compose(outer)
	}
	for _, b := range m.prefixes {
		b.compose(outer)
	}
}

func (b *binding) compose(outer []Middleware) {
	ms := slices.Concat(outer, b.middleware)
	if h, ok := b.handler.(*valueHandler); ok && len(ms) == 0 {
		b.value = h.value
		return
	}
	b.stream = b.handler
	for _, m := range slices.Backward(ms) {
		b.stream = m(b.stream)
		if b.stream == nil {
			panic(fmt.Sprintf("cannot serve event %q: middleware made no handler of it", b.event))
		}
	}
}

// Handle binds a handler to an event. It panics if the event has a handler
// already or the worker runs: mistakes of the program.
func (w *Worker) Handle(event string, h Handler, opts ...HandleOption) {
	w.bind(fmt.Sprintf("event %q", event), &binding{event: event, handler: h}, w.mux.addEvent, opts)
}

// HandlePrefix binds a handler to the events that begin with prefix and have no
// handler of their own; the longest prefix wins. Stream.Event and Event tell which
// event it is. It panics as Handle does.
func (w *Worker) HandlePrefix(prefix string, h Handler, opts ...HandleOption) {
	w.bind(fmt.Sprintf("events %q", prefix+"*"), &binding{event: strings.Clone(prefix), handler: h}, w.mux.addPrefix, opts)
}

// HandleDefault binds a handler to the events that have no other. Without it their
// callers get [42, 200]. It panics as Handle does.
func (w *Worker) HandleDefault(h Handler, opts ...HandleOption) { w.HandlePrefix("", h, opts...) }

func (w *Worker) bind(what string, b *binding, add func(*binding) bool, opts []HandleOption) {
	for _, o := range opts {
		if o == nil {
			panic(fmt.Sprintf("cannot bind %s: an option is nil", what))
		}
		o(b)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	f, isFunc := b.handler.(HandlerFunc)
	switch {
	case w.mux.events == nil:
		panic(fmt.Sprintf("cannot bind %s: %v", what, errNotMade))
	case b.handler == nil, isFunc && f == nil:
		panic(fmt.Sprintf("cannot bind %s: the handler is nil", what))
	case w.running:
		panic(fmt.Sprintf("cannot bind %s: the worker runs", what))
	case !add(b):
		panic(fmt.Sprintf("cannot bind %s: there is a handler", what))
	}
}
