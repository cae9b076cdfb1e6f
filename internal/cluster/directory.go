package cluster

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
)

// directory holds what the linked nodes announce. The zero value is empty.
type directory struct {
	mu       sync.RWMutex
	services map[string][]remote   // by name; never empty
	nodes    map[string]*inventory // by uuid
}

// remote is a service on one node.
type remote struct {
	node string
	info []byte
}

// inventory is what one node has.
type inventory struct {
	services map[string]int // bytes, by name
	size     int            // of all
}

// choose picks one of the nodes that have a service, and returns what it says of it;
// nil if there is none.
func (d *directory) choose(service []byte) []byte {
	d.mu.RLock()
	defer d.mu.RUnlock()
	remotes := d.services[string(service)]
	switch len(remotes) {
	case 0:
		return nil
	case 1:
		return remotes[0].info
	}
	return remotes[rand.IntN(len(remotes))].info
}

// update takes over what a node announces.
func (d *directory) update(node string, services []announced) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.nodes == nil {
		d.nodes, d.services = make(map[string]*inventory), make(map[string][]remote)
	}
	have := d.nodes[node]
	if have == nil {
		have = &inventory{services: make(map[string]int)}
		d.nodes[node] = have
	}
	for _, s := range services {
		d.removeLocked(node, have, s.name)
		if s.info == nil {
			continue
		}
		size := len(s.name) + len(s.info)
		if len(have.services) == maxServices || have.size+size > maxInventory {
			return fmt.Errorf("%w: more than %d services or %d bytes", ErrLie, maxServices, maxInventory)
		}
		have.size += size
		have.services[s.name] = size
		d.services[s.name] = append(d.services[s.name], remote{node: node, info: s.info})
	}
	return nil
}

// removeLocked forgets a service of a node, if the node has it.
func (d *directory) removeLocked(node string, have *inventory, service string) {
	size, ok := have.services[service]
	if !ok {
		return
	}
	delete(have.services, service)
	have.size -= size
	left := slices.DeleteFunc(d.services[service], func(r remote) bool { return r.node == node })
	if len(left) == 0 {
		delete(d.services, service)
	} else {
		d.services[service] = left
	}
}

// drop forgets a node, and returns how many services it had.
func (d *directory) drop(node string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	have := d.nodes[node]
	if have == nil {
		return 0
	}
	n := len(have.services)
	for service := range have.services {
		d.removeLocked(node, have, service)
	}
	delete(d.nodes, node)
	return n
}

// of lists the services of a node.
func (d *directory) of(node string) []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	have := d.nodes[node]
	if have == nil {
		return nil
	}
	names := make([]string, 0, len(have.services))
	for name := range have.services {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
