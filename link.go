package cocaine

import (
	"sync/atomic"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// A link is a live connection to a service, with what the service told of its
// methods. It does not change, but that it may be dropped.
type link struct {
	dropped  atomic.Bool // ended from this side because it did not answer: a loss to its calls
	session  *rpc.Session
	service  string
	endpoint string
	version  int
	listed   []Method // by ascending id
	methods  map[string]*method
}

// A method as the service's graph describes it.
type method struct {
	id         uint64
	name       string
	send, recv *idl.Node // what either side may send after the call

	// How the caller's half ends. A stream of chunks has write and close; a
	// subscription has one message that cancels it.
	hasWrite, hasClose, hasError bool
	write, close, fail           uint64
	hasLeave                     bool
	leave                        uint64

	// unary says that a call may say everything at once: the caller's half is a
	// stream of chunks, or there is none, and there is an answer.
	unary bool
}

func newLink(s *rpc.Session, endpoint string, r *Resolution) *link {
	l := &link{session: s, service: r.Name, endpoint: endpoint, version: r.Version, listed: r.Methods,
		methods: make(map[string]*method, len(r.graph))}
	for id, e := range r.graph {
		if old := l.methods[e.Name]; old == nil || id < old.id { // a method hides a control message of its name
			l.methods[e.Name] = newMethod(id, e)
		}
	}
	return l
}

func newMethod(id uint64, e idl.GraphEntry) *method {
	m := &method{id: id, name: e.Name, send: e.Tx, recv: e.Rx}
	m.unary = m.recv != nil && len(m.recv.Messages) > 0 && (m.send == nil || len(m.send.Messages) == 0 || rpc.IsChunks(m.send))
	if m.send == nil {
		return m
	}
	for i := range m.send.Messages {
		switch msg := &m.send.Messages[i]; msg.Name {
		case "write":
			m.hasWrite, m.write = true, msg.ID
		case "error":
			m.hasError, m.fail = true, msg.ID
		case "close":
			m.hasClose, m.close = true, msg.ID
		}
	}
	if m.hasWrite || m.hasError {
		return m
	}
	for i := range m.send.Messages {
		if msg := &m.send.Messages[i]; msg.Next.IsTerminal() {
			m.hasLeave, m.leave = true, msg.ID
			break
		}
	}
	return m
}

// streams reports whether the caller may send chunks after the call, and end them.
func (m *method) streams() bool { return m.hasWrite && m.hasClose }

// mute reports whether the method does not answer.
func (m *method) mute() bool { return m.recv.IsTerminal() }

// once reports whether the method answers with one value.
func (m *method) once() bool {
	return m.recv != nil && len(m.recv.Messages) > 0 && m.recv.Messages[0].Name == "value"
}

// alive reports whether the session has not ended yet.
func (l *link) alive() bool {
	select {
	case <-l.session.Done():
		return false
	default:
		return true
	}
}
