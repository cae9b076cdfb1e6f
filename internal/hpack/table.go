package hpack

// The dynamic table's bounds. An entry costs its bytes plus entryOverhead, hence at most maxEntries fit.
const (
	tableCapacity = 4096
	entryOverhead = 32
	maxEntries    = tableCapacity / entryOverhead // a power of two: positions wrap by mask
)

// Table is the dynamic table of one direction of a connection. The zero value is the empty table. It is not safe for
// concurrent use: the goroutine that reads the connection owns it.
type Table struct {
	ring  *[maxEntries]Header // allocated by the first store: most peers never store
	next  int                 // where the next entry goes
	count int
	size  int
}

// Len returns the number of stored entries.
func (t *Table) Len() int { return t.count }

// lookup returns the pair at a wire index.
func (t *Table) lookup(index uint64) (Header, bool) {
	switch {
	case index == 0:
		return Header{}, false
	case index < dynamicBase:
		return static[index], true
	case index-dynamicBase < uint64(t.count):
		return t.at(int(index - dynamicBase)), true
	}
	return Header{}, false
}

// at returns the entry stored i entries ago.
func (t *Table) at(i int) Header {
	return t.ring[(t.next-1-i+2*maxEntries)%maxEntries]
}

// add stores h, evicting the oldest entries until it fits. An entry larger than the table empties it and is not kept.
func (t *Table) add(h Header) {
	cost := entryCost(h)
	for t.count > 0 && t.size+cost > tableCapacity {
		t.evict()
	}
	if cost > tableCapacity {
		return
	}
	if t.ring == nil {
		t.ring = new([maxEntries]Header)
	}
	t.ring[t.next] = h
	t.next = (t.next + 1) % maxEntries
	t.count++
	t.size += cost
}

func (t *Table) evict() {
	oldest := (t.next - t.count + maxEntries) % maxEntries
	t.size -= entryCost(t.ring[oldest])
	t.ring[oldest] = Header{}
	t.count--
}

func entryCost(h Header) int { return len(h.Name) + len(h.Value) + entryOverhead }
