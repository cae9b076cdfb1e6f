// Package cache is the service `cache`: values by key, in memory, of which those go
// first that were not asked for the longest (docs/PROTOCOL.md, cache). Nothing
// survives the runtime, and nothing is shared between nodes.
//
// Two limits hold: a number of entries, and the bytes of all keys and values
// together. A Cache is safe for concurrent use; an operation takes constant time,
// but for the entries that a put displaces.
package cache

import (
	"container/list"
	"errors"
	"fmt"
	"sync"

	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// ErrTooLarge means that an entry alone is larger than the whole cache may be.
var ErrTooLarge = errors.New("entry is larger than the cache")

// Options are the limits of a cache.
type Options struct {
	// MaxEntries is how many entries it holds. If zero, 1,000,000.
	MaxEntries int
	// MaxBytes is how many bytes its keys and values have together. If zero, 256 MiB.
	MaxBytes int64
}

// Cache holds the latest used values.
type Cache struct {
	o Options

	mu      sync.Mutex
	entries map[string]*list.Element
	order   list.List // of *entry, the latest used first
	bytes   int64
}

type entry struct {
	key    string
	answer []byte // what get answers: [true, value]; not changed once made
}

// size is what counts: the key and the value, which is nearly all of the answer.
func (e *entry) size() int64 { return int64(len(e.key) + len(e.answer)) }

// New makes an empty cache.
func New(o Options) *Cache {
	if o.MaxEntries <= 0 {
		o.MaxEntries = 1_000_000
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 256 << 20
	}
	return &Cache{o: o, entries: make(map[string]*list.Element)}
}

// Len is the number of entries.
func (c *Cache) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.entries)
}

// Bytes is what the entries take together.
func (c *Cache) Bytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}

// get gives the answer for a key, nil if it is not there. The key is only looked at.
func (c *Cache) get(key []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.entries[string(key)]
	if !ok {
		return nil
	}
	c.order.MoveToFront(at)
	return at.Value.(*entry).answer
}

// put keeps a value, which is copied, and drops what has no room beside it.
func (c *Cache) put(key string, value []byte) error {
	e := &entry{key: key, answer: found(value)}
	if e.size() > c.o.MaxBytes {
		return fmt.Errorf("cannot keep %d bytes: %w, which may have %d", e.size(), ErrTooLarge, c.o.MaxBytes)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if at, ok := c.entries[key]; ok {
		c.drop(at)
	}
	c.entries[key] = c.order.PushFront(e)
	c.bytes += e.size()
	for len(c.entries) > c.o.MaxEntries || c.bytes > c.o.MaxBytes {
		c.drop(c.order.Back())
	}
	return nil
}

// drop removes an entry. Called with mu held.
func (c *Cache) drop(at *list.Element) {
	e := c.order.Remove(at).(*entry)
	delete(c.entries, e.key)
	c.bytes -= e.size()
}

// found encodes [true, value].
func found(value []byte) []byte {
	const headers = 1 + 1 + 5 // of the array, the bool and the longest raw
	b := msgpack.AppendArray(make([]byte, 0, headers+len(value)), 2)
	return msgpack.AppendBytes(msgpack.AppendBool(b, true), value)
}
