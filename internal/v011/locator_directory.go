package v011

import (
	"maps"
	"slices"
	"sync"

	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// A Listing is a service in the directory of v0.11.
type Listing struct {
	Name    string
	Service *ClientService
	// Host and Port are where v0.11 is spoken: one endpoint, as v0.11 knows no more,
	// whose host may be a name.
	Host string
	Port uint16
	// Connections is how many clients the service has now. If nil, none. It must not
	// block, nor call the directory.
	Connections func() int
}

// Directory is what is told to clients of v0.11 of the services of this node. Those
// that others publish are not in it: they have no port on which v0.11 is spoken.
type Directory struct {
	mu       sync.RWMutex
	listings map[string]*listed
	changed  chan struct{} // closed at the next change, and by Close
	over     bool
}

type listed struct {
	Listing
	info []byte // [[host, port], version, {number: name}]
}

// NewDirectory makes an empty directory.
func NewDirectory() *Directory {
	return &Directory{listings: make(map[string]*listed), changed: make(chan struct{})}
}

// Add puts a service into the directory, in place of one of the same name. remove
// takes it out again, unless another has taken its place.
func (d *Directory) Add(l Listing) (remove func()) {
	e := &listed{Listing: l}
	e.info = msgpack.AppendArray(msgpack.AppendArray(nil, 3), 2)
	e.info = msgpack.AppendUint(msgpack.AppendString(e.info, l.Host), uint64(l.Port))
	e.info = l.Service.appendMethods(msgpack.AppendInt(e.info, int64(l.Service.version)))
	d.mu.Lock()
	defer d.mu.Unlock()
	d.listings[l.Name] = e
	d.signal()
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.listings[l.Name] == e {
			delete(d.listings, l.Name)
			d.signal()
		}
	}
}

// Close ends the streams of those who follow the directory. It may be called again.
func (d *Directory) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = true
	d.signal()
}

// signal wakes those who follow. Called with mu held.
func (d *Directory) signal() {
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *Directory) has(name string) bool { return d.info(name) != nil }

// info is what resolve answers, nil if there is no such service.
func (d *Directory) info(name string) []byte {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if e := d.listings[name]; e != nil {
		return e.info
	}
	return nil
}

// dump is the whole directory as arguments of a chunk, and a channel that is closed
// when it is so no more. over says that there is nobody to follow any more.
func (d *Directory) dump() (args []byte, changed <-chan struct{}, over bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	args = msgpack.AppendMap(msgpack.AppendArray(nil, 1), len(d.listings))
	for _, name := range slices.Sorted(maps.Keys(d.listings)) {
		args = append(msgpack.AppendString(args, name), d.listings[name].info...)
	}
	return args, d.changed, d.over
}

// reports is [{service: [connections, {}]}].
func (d *Directory) reports() []byte {
	d.mu.RLock()
	defer d.mu.RUnlock()
	args := msgpack.AppendMap(msgpack.AppendArray(nil, 1), len(d.listings))
	for _, name := range slices.Sorted(maps.Keys(d.listings)) {
		n := 0
		if f := d.listings[name].Connections; f != nil {
			n = f()
		}
		args = msgpack.AppendInt(msgpack.AppendArray(msgpack.AppendString(args, name), 2), int64(n))
		args = msgpack.AppendMap(args, 0)
	}
	return args
}
