package cocaine

import (
	"context"
	"fmt"
	"iter"

	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// Cluster gives the nodes that the locator's own is linked to: addresses of their
// locators, host:port, by the nodes' uuid. The address of one that is still being
// dialled is empty.
func (l Locator) Cluster(ctx context.Context) (map[string]string, error) {
	return Get[clusterAnswer](ctx, l.service, "cluster")
}

// An Announcement is what a node says of its services.
type Announcement struct {
	Node     string                 // its uuid
	Services map[string]*Resolution // by name; one without endpoints is gone
}

// Synchronize ranges over what the locator's node announces to others: first all its
// services, then each one that comes, changes or goes. A node that is no part of a
// cluster announces nothing, and the range is empty.
//
// The uuid is that of the caller: a later Synchronize with the same one takes the
// place of this, which then hears nothing more. Leaving the loop ends the stream.
func (l Locator) Synchronize(ctx context.Context, uuid string) iter.Seq2[Announcement, error] {
	return func(yield func(Announcement, error) bool) {
		st, err := l.service.start(ctx, "connect", []any{uuid}, false)
		if err != nil {
			yield(Announcement{}, err)
			return
		}
		defer func() { st.abandon(context.Cause(ctx)) }()
		for m, err := range st.All(ctx) {
			var a Announcement
			if err == nil {
				if a, err = parseAnnouncement(m.Args); err != nil {
					err = st.failed(&kindError{err, ErrBadAnswer})
				}
			}
			if !yield(a, err) || err != nil {
				return
			}
		}
	}
}

// parseAnnouncement reads the uuid of a node and a map of what resolve would
// answer for each service.
func parseAnnouncement(args []byte) (Announcement, error) {
	r := msgpack.NewReader(args)
	if n := r.Array(); n < 2 && r.Err() == nil {
		return Announcement{}, fmt.Errorf("announcement of %d values, want 2", n)
	}
	a := Announcement{Node: r.String(), Services: make(map[string]*Resolution)}
	for range r.Map() { // of something else: none, and an error
		name, info := r.String(), r.Raw()
		if err := r.Err(); err != nil {
			return Announcement{}, err
		}
		s, err := parseResolution(name, info)
		if err != nil {
			return Announcement{}, fmt.Errorf("service %q: %w", name, err)
		}
		a.Services[name] = s
	}
	return a, r.Err()
}
