package idl

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// Graph is what a service tells of its protocol: message id to entry.
type Graph map[uint64]GraphEntry

// GraphEntry is one method as a client knows it from a graph.
type GraphEntry struct {
	Name string
	Tx   *Node // what the client may send after the call; nil: the same method again
	Rx   *Node // what the service may send back
}

// Limits of what ParseGraph accepts. The largest graph of the original has 14 methods.
const (
	maxGraphEntries = 4096 // messages in all nodes together
	maxGraphDepth   = 12   // nodes nested in one another; deeper ones would not fit a frame
	maxGraphName    = 256  // bytes
)

// ErrGraph is wrapped by the failures of ParseGraph.
var ErrGraph = errors.New("bad protocol graph")

// Method finds a method by name. Of equal names the lower id wins: a method hides a control message.
func (g Graph) Method(name string) (id uint64, tx, rx *Node, ok bool) {
	for candidate, e := range g {
		if e.Name == name && (!ok || candidate < id) {
			id, tx, rx, ok = candidate, e.Tx, e.Rx, true
		}
	}
	return id, tx, rx, ok
}

// AppendGraph appends the graph of the protocol as clients get it from locator.resolve, the control messages
// included.
func (p *Protocol) AppendGraph(dst []byte) []byte {
	dst = msgpack.AppendMap(dst, len(p.Messages))
	for i := range p.Messages {
		m := &p.Messages[i]
		dst = appendEntry(dst, m.ID, GraphEntry{Name: m.Name, Tx: m.Next, Rx: m.Reply.Node})
	}
	return dst
}

// Append appends the graph, ids ascending.
func (g Graph) Append(dst []byte) []byte {
	dst = msgpack.AppendMap(dst, len(g))
	for _, id := range slices.Sorted(maps.Keys(g)) {
		dst = appendEntry(dst, id, g[id])
	}
	return dst
}

func appendEntry(dst []byte, id uint64, e GraphEntry) []byte {
	dst = msgpack.AppendArray(msgpack.AppendUint(dst, id), 3)
	dst = msgpack.AppendString(dst, e.Name)
	return appendNode(appendNode(dst, e.Tx), e.Rx)
}

func appendNode(dst []byte, n *Node) []byte {
	if n == nil {
		return msgpack.AppendNil(dst)
	}
	messages := n.Messages
	if n.Control {
		messages = slices.Concat(messages, controlMessages())
	}
	dst = msgpack.AppendMap(dst, len(messages))
	for i := range messages {
		dst = msgpack.AppendArray(msgpack.AppendUint(dst, messages[i].ID), 2)
		dst = appendNode(msgpack.AppendString(dst, messages[i].Name), messages[i].Next)
	}
	return dst
}

// ParseGraph decodes the graph a service gave. Names are copied.
func ParseGraph(b []byte) (Graph, error) {
	r := msgpack.NewReader(b)
	g, err := ReadGraph(&r)
	if err != nil {
		return nil, err
	}
	if r.Len() > 0 {
		return nil, fmt.Errorf("%w: %d bytes after it", ErrGraph, r.Len())
	}
	return g, nil
}

// ReadGraph decodes the graph that is the next value of r.
func ReadGraph(r *msgpack.Reader) (Graph, error) {
	p := graphParser{r: r, left: maxGraphEntries}
	g := p.root()
	if err := r.Err(); err != nil && p.err == nil {
		p.err = err
	}
	if p.err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGraph, p.err)
	}
	return g, nil
}

// graphParser reads a graph with a budget of entries, since nodes may nest.
type graphParser struct {
	r    *msgpack.Reader
	left int
	err  error
}

func (p *graphParser) ok() bool { return p.err == nil && p.r.Err() == nil }

func (p *graphParser) fail(format string, args ...any) {
	if p.ok() {
		p.err = fmt.Errorf(format, args...)
	}
}

func (p *graphParser) root() Graph {
	n := p.entries()
	g := make(Graph, n)
	for i := 0; i < n && p.ok(); i++ {
		id := p.r.Uint()
		if _, twice := g[id]; twice {
			p.fail("message %d is there twice", id)
		}
		p.tuple(3)
		name := p.name()
		tx := p.node(1)
		g[id] = GraphEntry{Name: name, Tx: tx, Rx: p.node(1)}
	}
	return g
}

func (p *graphParser) node(depth int) *Node {
	if p.r.Kind() == msgpack.KindNil {
		p.r.Nil()
		return nil
	}
	if depth > maxGraphDepth {
		p.fail("nested too deep")
		return nil
	}
	n := p.entries()
	if n == 0 || !p.ok() {
		return Terminal
	}
	node := &Node{Messages: make([]Message, 0, n)}
	for i := 0; i < n && p.ok(); i++ {
		m := Message{ID: p.r.Uint()}
		p.tuple(2)
		m.Name = p.name()
		m.Next = p.node(depth + 1)
		node.Messages = append(node.Messages, m)
	}
	p.sort(node)
	return node
}

// sort restores the order of ids, which foreign services need not keep.
func (p *graphParser) sort(n *Node) {
	slices.SortFunc(n.Messages, func(a, b Message) int {
		switch {
		case a.ID < b.ID:
			return -1
		case a.ID > b.ID:
			return 1
		}
		p.fail("message %d is there twice", a.ID)
		return 0
	})
}

func (p *graphParser) entries() int {
	n := p.r.Map()
	if p.left -= n; p.left < 0 {
		p.fail("more than %d messages", maxGraphEntries)
		return 0
	}
	return n
}

func (p *graphParser) tuple(want int) {
	if n := p.r.Array(); n != want {
		p.fail("message of %d fields, want %d", n, want)
	}
}

func (p *graphParser) name() string {
	b := p.r.Bytes()
	if len(b) > maxGraphName {
		p.fail("name of %d bytes", len(b))
		return ""
	}
	return string(b)
}
