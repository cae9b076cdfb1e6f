package locator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"slices"

	"github.com/cocaine/cocaine-go/internal/locator/ring"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// The records of routing groups: the key is the group's name, the value a
// msgpack map of service name to weight. Old tools write and read the same.
// Groups in use carry both tags; one without "active" is a draft.
const (
	groupCollection = "groups"
	groupTag        = "group"
	activeTag       = "active"
)

// maxTable limits the routing table, which travels in one frame.
const maxTable = 32 << 20

// ErrGroups is the failure to read the routing groups, or one that was asked for.
var ErrGroups = errors.New("routing groups are not readable")

// ErrRecord is the failure to decode the record of a routing group. It is an ErrGroups.
var ErrRecord = fmt.Errorf("%w: not a map of services and weights", ErrGroups)

// group is one routing group.
type group struct {
	ring *ring.Group

	// encoded is the group's pair in the routing table: name, [[point, service]...].
	encoded []byte
}

// choose maps a seed to a service. An empty seed is none.
func (g *group) choose(seed []byte) string {
	if len(seed) == 0 {
		return g.ring.Random(nil)
	}
	return g.ring.Lookup(seed)
}

// loadGroups reads all active groups. One that is bad is logged and left out,
// where the original runtime refused to start.
func (l *Locator) loadGroups(ctx context.Context) error {
	groups := make(map[string]*group)
	names, err := l.activeGroups(ctx)
	if err != nil {
		return err
	}
	size := 0
	for _, name := range names {
		g, err := l.readGroup(ctx, name)
		if err == nil && size+len(g.encoded) > maxTable {
			err = errTable
		}
		if ctx.Err() != nil {
			return fmt.Errorf("cannot read routing groups: %w", ctx.Err())
		}
		if err != nil {
			l.log.Warn("leaving out a routing group", "group", name, "error", err)
			continue
		}
		size += len(g.encoded)
		groups[name] = g
	}
	l.setGroups(groups)
	return nil
}

// Member chooses a member of a group at random, by weight, among those for which there
// says yes. It returns "" if there is no such group, or none of its members is there.
func (l *Locator) Member(group string, there func(service string) bool) string {
	l.mu.RLock()
	g := l.groups[group]
	l.mu.RUnlock()
	if g == nil {
		return ""
	}
	return g.ring.RandomOf(there)
}

// Refresh reads the named groups again: what is no longer stored, or no longer
// active, is forgotten. It takes effect as a whole or, when it fails with
// [ErrGroups], not at all. Everyone who follows the table is sent the new one.
func (l *Locator) Refresh(ctx context.Context, names []string) error {
	// Two refreshes must not overtake each other between reading and setting.
	select {
	case l.refreshing <- struct{}{}:
		defer func() { <-l.refreshing }()
	case <-ctx.Done():
		return fmt.Errorf("cannot refresh routing groups: %w", ctx.Err())
	}
	active, err := l.activeGroups(ctx)
	if err != nil {
		return fmt.Errorf("cannot refresh routing groups: %w", err)
	}
	l.mu.RLock()
	groups := maps.Clone(l.groups)
	l.mu.RUnlock()
	asked := make(map[string]struct{}, len(names))
	var touched []string // for the log: a client may ask for anything
	for _, name := range names {
		asked[name] = struct{}{}
		if groups[name] != nil {
			delete(groups, name)
			touched = append(touched, name)
		}
	}
	for _, name := range active {
		if _, ok := asked[name]; !ok {
			continue
		}
		g, err := l.readGroup(ctx, name)
		if errors.Is(err, fs.ErrNotExist) { // removed since it was found
			continue
		}
		if err != nil {
			return fmt.Errorf("cannot refresh routing groups: %w", err)
		}
		groups[name] = g
		touched = append(touched, name)
	}
	if tableSize(groups) > maxTable {
		return fmt.Errorf("cannot refresh routing groups: %w", errTable)
	}
	l.setGroups(groups)
	slices.Sort(touched)
	l.log.Info("routing groups refreshed", "groups", slices.Compact(touched))
	return nil
}

var errTable = fmt.Errorf("%w: the table is longer than %d bytes", ErrGroups, maxTable)

func (l *Locator) activeGroups(ctx context.Context) ([]string, error) {
	if l.storage == nil {
		return nil, nil
	}
	names, err := l.storage.Find(ctx, groupCollection, []string{groupTag, activeTag})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGroups, err)
	}
	return names, nil
}

func (l *Locator) readGroup(ctx context.Context, name string) (*group, error) {
	record, err := l.storage.Read(ctx, groupCollection, name)
	if err != nil {
		return nil, fmt.Errorf("%w: %q: %w", ErrGroups, name, err)
	}
	weights, err := decodeWeights(record)
	if err != nil {
		return nil, fmt.Errorf("cannot decode %q: %w", name, err)
	}
	r, err := ring.New(weights)
	if err != nil {
		return nil, fmt.Errorf("%w: cannot use %q: %w", ErrGroups, name, err)
	}
	return &group{ring: r, encoded: appendGroup(nil, name, r)}, nil
}

// decodeWeights reads a group's record: {service: weight}.
func decodeWeights(record []byte) (map[string]uint32, error) {
	r := msgpack.NewReader(record)
	n := r.Map()
	weights := make(map[string]uint32, min(n, ring.MaxMembers))
	for range n {
		service, weight := r.String(), r.Uint()
		if r.Err() != nil {
			break
		}
		switch {
		case len(service) > maxName: // it would be repeated at each of its points
			return nil, fmt.Errorf("%w: a name is longer than %d bytes", ErrGroups, maxName)
		case weight > math.MaxUint32:
			return nil, fmt.Errorf("%w: weight of %q is above %d", ErrRecord, service, uint32(math.MaxUint32))
		}
		if weights[service] = uint32(weight); len(weights) > ring.MaxMembers {
			return nil, fmt.Errorf("%w: %w", ErrGroups, ring.ErrTooManyMembers)
		}
	}
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if r.Len() > 0 {
		return nil, fmt.Errorf("%w: %d bytes after the map", ErrRecord, r.Len())
	}
	return weights, nil
}

func appendGroup(b []byte, name string, r *ring.Group) []byte {
	b = msgpack.AppendString(b, name)
	b = msgpack.AppendArray(b, r.Len())
	for point, service := range r.All() {
		b = msgpack.AppendArray(b, 2)
		b = msgpack.AppendUint(b, uint64(point))
		b = msgpack.AppendString(b, service)
	}
	return b
}

func tableSize(groups map[string]*group) int {
	size := 0
	for _, g := range groups {
		size += len(g.encoded)
	}
	return size
}

// appendTable appends the arguments of a routing message: [{group: points}].
func appendTable(b []byte, groups map[string]*group) []byte {
	b = msgpack.AppendArray(b, 1)
	b = msgpack.AppendMap(b, len(groups))
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		b = append(b, groups[name].encoded...)
	}
	return b
}

// setGroups makes groups the routing table and sends it to everyone who follows
// it.
func (l *Locator) setGroups(groups map[string]*group) {
	table := appendTable(make([]byte, 0, tableSize(groups)+16), groups)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.groups, l.table = groups, table
	for _, r := range l.routers {
		r.put(table)
	}
}
