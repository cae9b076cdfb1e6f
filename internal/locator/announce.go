package locator

import (
	"maps"
	"slices"

	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// connect subscribes the peer with the given uuid to the directory. A new
// subscription takes the place of an older one of the same uuid, which ends.
func (l *Locator) connect(uuid string) *feed {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := newFeed(l.snapshotLocked())
	if old := l.feeds[uuid]; old != nil {
		close(old.over)
	}
	l.feeds[uuid] = f
	return f
}

func (l *Locator) disconnect(uuid string, f *feed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.feeds[uuid] == f {
		delete(l.feeds, uuid)
	}
}

// route subscribes the router with the given id to the routing table. A new
// subscription takes the place of an older one of the same id, which ends.
func (l *Locator) route(id string) *router {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := newRouter(l.table)
	if old := l.routers[id]; old != nil {
		close(old.over)
	}
	l.routers[id] = r
	return r
}

func (l *Locator) unroute(id string, r *router) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.routers[id] == r {
		delete(l.routers, id)
	}
}

// snapshotLocked returns the arguments of the message that announces the whole
// directory, and the names in it.
func (l *Locator) snapshotLocked() ([]byte, map[string]struct{}) {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(l.services)), l.isSilent)
	known := make(map[string]struct{}, len(names))
	b := l.appendAnnounce(nil, len(names))
	for _, name := range names {
		known[name] = struct{}{}
		b = msgpack.AppendString(b, name)
		b = append(b, l.services[name].info...)
	}
	return b, known
}

// announceLocked tells every peer what a name stands for now; a nil entry is a
// name that is gone, which travels as a service without endpoints.
func (l *Locator) announceLocked(name string, e *entry) {
	if len(l.feeds) == 0 || l.isSilent(name) {
		return
	}
	b := msgpack.AppendString(l.appendAnnounce(nil, 1), name)
	if e != nil {
		b = append(b, e.info...)
	} else {
		b = appendInfo(b, nil, 0, nil)
	}
	for _, f := range l.feeds {
		f.put(name, change{args: b, gone: e == nil})
	}
}

// appendAnnounce appends [uuid, {...}] up to the header of a map of n services.
func (l *Locator) appendAnnounce(b []byte, n int) []byte {
	b = msgpack.AppendArray(b, 2)
	b = msgpack.AppendString(b, l.uuid)
	return msgpack.AppendMap(b, n)
}

func (l *Locator) isSilent(name string) bool {
	_, silent := l.silent[name]
	return silent
}
