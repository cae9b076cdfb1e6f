package idl

import "sort"

// Message ids of the two standard replies and of every data stream.
const (
	Value = 0 // primitive: the result, the last message
	Error = 1 // primitive: [[category, code], text], the last message

	Write       = 0 // stream: one chunk, any number of them
	StreamError = 1 // stream: [[category, code], text], the last message
	Close       = 2 // stream: the end, the last message
)

// Protocol is what a service, or one side of a socket, accepts as the first message of a channel.
type Protocol struct {
	Name     string
	Version  int
	Doc      string
	Messages []Message // by ascending id; the control messages are the last four
}

// Message is one kind of message in a given state of a channel.
type Message struct {
	ID    uint64
	Name  string
	Args  []Arg
	Next  *Node // what its sender may send after it: nil the same again, Terminal nothing
	Reply Reply // what the receiver may send back; only for the messages of a Protocol
	Doc   string
}

// Arg is one argument of a message. The notation of types is that of docs/PROTOCOL.md, section "Services".
type Arg struct {
	Name     string
	Type     string
	Optional bool // may be left out, with all those after it; nil is not leaving it out
}

// ReplyKind says how the receiver of a message answers.
type ReplyKind uint8

// The kinds of replies.
const (
	ReplyMute   ReplyKind = iota // nothing is sent back
	ReplyValue                   // one value or error
	ReplyStream                  // any number of writes, then close or error
	ReplyCustom                  // whatever Node says
)

// String returns the word the documentation uses.
func (k ReplyKind) String() string {
	switch k {
	case ReplyMute:
		return "mute"
	case ReplyValue:
		return "value"
	case ReplyStream:
		return "stream"
	}
	return "custom"
}

// Reply is what comes back for a message.
type Reply struct {
	Kind   ReplyKind
	Values []Arg // what a value or each write carries
	Node   *Node // what the receiver may send; Terminal when mute
}

// Node is a state of one direction of a channel: the messages that may be sent now.
type Node struct {
	Messages []Message // by ascending id
	// Control says that graphs list the control messages in this state. The original does so for some states although
	// it takes them only as the first message of a channel; Lookup does not find them.
	Control bool
}

// Terminal is the state in which nothing more may be sent.
var Terminal = &Node{}

// IsTerminal reports whether nothing may be sent in this state. A nil node is not terminal but recurrent.
func (n *Node) IsTerminal() bool { return n != nil && len(n.Messages) == 0 }

// Lookup returns the message with the id, or nil when it may not be sent in this state.
func (n *Node) Lookup(id uint64) *Message {
	if n == nil {
		return nil
	}
	return find(n.Messages, id)
}

// Follow returns the state after the message with the id was sent in state n, n itself for a recurrent one. It
// reports false when the message may not be sent in this state.
func (n *Node) Follow(id uint64) (next *Node, ok bool) {
	m := n.Lookup(id)
	if m == nil {
		return n, false
	}
	if m.Next == nil {
		return n, true
	}
	return m.Next, true
}

// Message returns the message with the id, or nil. Control messages are found too.
func (p *Protocol) Message(id uint64) *Message { return find(p.Messages, id) }

// Method returns the message with the name, or nil. Where a method has the name of a control message (echo's ping),
// the lower id wins: the method.
func (p *Protocol) Method(name string) *Message {
	for i := range p.Messages {
		if p.Messages[i].Name == name {
			return &p.Messages[i]
		}
	}
	return nil
}

// IsControl reports whether the id is one of the control messages, which every protocol accepts on a fresh channel.
func IsControl(id uint64) bool { return id >= Goaway && id <= Revoke }

// Required returns how many arguments the message must have.
func (m *Message) Required() int {
	n := 0
	for n < len(m.Args) && !m.Args[n].Optional {
		n++
	}
	return n
}

// find looks in a list sorted by id. Ids start at 0 and have no gaps up to the control messages, so that the first
// guess is nearly always right.
func find(list []Message, id uint64) *Message {
	if id < uint64(len(list)) && list[id].ID == id {
		return &list[id]
	}
	i := sort.Search(len(list), func(i int) bool { return list[i].ID >= id })
	if i < len(list) && list[i].ID == id {
		return &list[i]
	}
	return nil
}

// errorArgs are the arguments of the error message of values and streams.
func errorArgs() []Arg {
	return []Arg{{Name: "error", Type: "error"}, {Name: "message", Type: "str", Optional: true}}
}

func mute() Reply { return Reply{Kind: ReplyMute, Node: Terminal} }

func custom(n *Node) Reply { return Reply{Kind: ReplyCustom, Node: n} }

// valueOf is the standard reply of one value.
func valueOf(values ...Arg) Reply {
	return Reply{Kind: ReplyValue, Values: values, Node: &Node{Messages: []Message{
		{ID: Value, Name: "value", Args: values, Next: Terminal},
		{ID: Error, Name: "error", Args: errorArgs(), Next: Terminal},
	}}}
}

// streamOf is the standard stream, used for replies and for what a caller sends.
func streamOf(values ...Arg) Reply {
	return Reply{Kind: ReplyStream, Values: values, Node: &Node{Messages: []Message{
		{ID: Write, Name: "write", Args: values},
		{ID: StreamError, Name: "error", Args: errorArgs(), Next: Terminal},
		{ID: Close, Name: "close", Next: Terminal},
	}}}
}
