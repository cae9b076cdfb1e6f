package rpc

import (
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// maxHead is the most that a frame's array header, channel and type take.
const maxHead = 1 + 9 + 9

var emptyArray = []byte{0x90}

// frames are encoded frames in a queue of chunks: the output of a session, or what
// a batch has staged for one. The zero value is empty.
type frames struct {
	head *chunk // written first; nil when nothing waits
	tail *chunk // appended to
	busy bool   // a small chunk was not enough lately
	size int    // bytes in the queue
}

// append adds a frame.
func (q *frames) append(channel, typ uint64, args, headers []byte) {
	if args == nil {
		args = emptyArray
	}
	if headers == nil {
		headers = emptyArray
	}
	c := q.begin(maxHead)
	head := len(wire.AppendHead(c.b[:c.w], channel, typ)) - c.w
	c.w += head
	q.size += head
	if len(args)+len(headers) <= c.room() {
		c.w += copy(c.b[c.w:], args)
		c.w += copy(c.b[c.w:], headers)
		q.size += len(args) + len(headers)
	} else {
		q.put(args)
		q.put(headers)
	}
}

// appendLast adds a write and the close behind it.
func (q *frames) appendLast(channel uint64, args, headers, closeHeaders []byte) {
	if headers == nil {
		headers = emptyArray
	}
	if closeHeaders == nil {
		closeHeaders = emptyArray
	}
	most := 2*maxHead + len(args) + len(headers) + len(emptyArray) + len(closeHeaders)
	if most > smallChunk {
		q.append(channel, idl.Write, args, headers)
		q.append(channel, idl.Close, nil, closeHeaders)
		return
	}
	c := q.begin(most)
	p := wire.AppendHead(c.b[:c.w], channel, idl.Write)
	head := p[c.w : len(p)-1] // all but the type, which is one byte
	p = append(p, args...)
	p = append(p, headers...)
	p = append(p, head...)
	p = append(p, idl.Close)
	p = append(p, emptyArray...)
	p = append(p, closeHeaders...)
	q.size += len(p) - c.w
	c.w = len(p)
}

// open gives memory to append to, for about n bytes: the end of the last chunk, if they
// fit, else scratch. What was appended goes to close.
func (q *frames) open(n int, scratch []byte) []byte {
	if c := q.tail; c != nil && c.room() >= n {
		return c.b[c.w:c.w]
	}
	return scratch[:0]
}

// close adds what was appended to the memory that open gave, which may be nothing. It
// returns what to use as scratch the next time.
func (q *frames) close(p, scratch []byte) []byte {
	if len(p) == 0 {
		return scratch
	}
	if c := q.tail; c != nil && c.room() >= len(p) && &p[0] == &c.b[c.w] {
		c.w += len(p)
		q.size += len(p)
		return scratch
	}
	q.begin(1)
	q.put(p)
	if cap(p) > largeChunk {
		return scratch
	}
	return p
}

// begin gives a chunk with room for n bytes, which are at most a small chunk.
func (q *frames) begin(n int) *chunk {
	if c := q.tail; c != nil && c.room() >= n {
		return c
	}
	return q.extend()
}

// extend adds an empty chunk.
func (q *frames) extend() *chunk {
	if q.tail == nil {
		q.head = newChunk(q.busy)
		q.tail = q.head
		return q.head
	}
	q.busy = true
	q.tail.next = newChunk(true)
	q.tail = q.tail.next
	return q.tail
}

// put appends bytes, over as many chunks as it takes.
func (q *frames) put(p []byte) {
	q.size += len(p)
	for len(p) > 0 {
		c := q.tail
		if c.room() == 0 {
			c = q.extend()
		}
		n := copy(c.b[c.w:], p)
		c.w += n
		p = p[n:]
	}
}

// pending is what is to be written next.
func (q *frames) pending() []byte {
	if q.head == nil {
		return nil
	}
	return q.head.b[q.head.r:q.head.w]
}

// take moves all frames of another queue behind those of this one.
func (q *frames) take(from *frames) {
	if from.head == nil {
		return
	}
	switch c := q.tail; {
	case c == nil:
		q.head, q.tail = from.head, from.tail
	case from.head == from.tail && c.room() >= from.size:
		c.w += copy(c.b[c.w:], from.pending())
		from.head.free()
	default:
		c.next = from.head
		q.tail = from.tail
	}
	q.busy = q.busy || from.size > smallChunk
	q.size += from.size
	*from = frames{busy: from.size > smallChunk}
}

// drop empties the queue.
func (q *frames) drop() {
	for c := q.head; c != nil; {
		next := c.next
		c.free()
		c = next
	}
	*q = frames{}
}
