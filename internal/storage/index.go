package storage

import "slices"

// place is where a value is.
type place struct{ collection, key string }

// index finds keys by tags, in memory. It is not safe for concurrent use; its
// owner has a lock.
type index struct {
	records map[place]indexed
	// keys lists, for each tag of a collection, the keys that have it.
	keys map[tagged]map[string]struct{}
}

type tagged struct{ collection, tag string }

type indexed struct {
	tags []string // sorted set
	blob string   // name of the blob with the value, "" if it is not in one
	rev  uint64   // of the bucket; zero in a store without revisions
}

func newIndex() *index {
	return &index{records: make(map[place]indexed), keys: make(map[tagged]map[string]struct{})}
}

// set replaces what is known of a key.
func (x *index) set(p place, r indexed) {
	if old := x.records[p].tags; !slices.Equal(old, r.tags) {
		x.untag(p, old)
		for _, tag := range r.tags {
			t := tagged{p.collection, tag}
			if x.keys[t] == nil {
				x.keys[t] = make(map[string]struct{})
			}
			x.keys[t][p.key] = struct{}{}
		}
	}
	x.records[p] = r
}

func (x *index) remove(p place) {
	x.untag(p, x.records[p].tags)
	delete(x.records, p)
}

func (x *index) untag(p place, tags []string) {
	for _, tag := range tags {
		t := tagged{p.collection, tag}
		delete(x.keys[t], p.key)
		if len(x.keys[t]) == 0 {
			delete(x.keys, t)
		}
	}
}

// find intersects the keys of all tags, starting from the rarest.
func (x *index) find(collection string, tags []string) []string {
	found := []string{}
	if len(tags) == 0 {
		return found
	}
	sets := make([]map[string]struct{}, len(tags))
	for i, tag := range tags {
		sets[i] = x.keys[tagged{collection, tag}]
	}
	slices.SortFunc(sets, func(a, b map[string]struct{}) int { return len(a) - len(b) })
	for key := range sets[0] {
		if inAll(sets[1:], key) {
			found = append(found, key)
		}
	}
	slices.Sort(found)
	return found
}

func inAll(sets []map[string]struct{}, key string) bool {
	for _, set := range sets {
		if _, ok := set[key]; !ok {
			return false
		}
	}
	return true
}

// blobs returns the names of all blobs that a key refers to.
func (x *index) blobs() map[string]bool {
	names := make(map[string]bool)
	for _, r := range x.records {
		if r.blob != "" {
			names[r.blob] = true
		}
	}
	return names
}
