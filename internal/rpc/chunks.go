package rpc

import (
	"io"

	"github.com/cocaine/cocaine-go/internal/idl"
)

// chunks is a Stream whose peer sends chunks and an end. The last chunk mostly comes
// together with the end: then whoever waits is woken once.
type chunks struct{ *Stream }

var _ LastReceiver = chunks{}

// endsWithClose reports whether the messages of a state are those of a LastReceiver.
func endsWithClose(n *idl.Node) bool {
	write, end := n.Lookup(idl.Write), n.Lookup(idl.Close)
	return write != nil && end != nil && write.Next == nil && end.Next.IsTerminal() && write.Name == "write" && end.Name == "close"
}

// ReceiveLast queues the last chunk and ends the receiving half. It implements
// LastReceiver.
func (c chunks) ReceiveLast(_ *Batch, write *Frame) {
	st := c.Stream
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.recv == nil { // this side has given it up
		st.s.opts.Stats.LateFrames.Add(2)
		return
	}
	st.push(write)
	st.end(io.EOF)
}
