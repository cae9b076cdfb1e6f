package v011

import (
	"fmt"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// The messages between a v0.11 worker and its runtime. The first three travel on
// session 0.
const (
	workerHandshake = 0 // [uuid], once and first
	workerHeartbeat = 1 // [], from the worker, and back
	workerTerminate = 2 // [code, text], both ways
	workerInvoke    = 3 // [event], from the runtime: opens a session
	workerChunk     = chunkMessage
	workerError     = errorMessage
	workerChoke     = chokeMessage // the end of one direction of a session
)

// workerControl is the channel on which the engine sees what a worker says on session
// 0. That of a session has the session's number and one more.
const workerControl = 1

// normal is the code of a terminate message that the runtime sends. The other one of
// v0.11, 2, calls something abnormal.
const normal = 1

// sides say which directions of a session are open.
type sides uint8

const (
	toWorker sides = 1 << iota
	fromWorker
)

// workerDialect is the language of one v0.11 worker.
//
// A worker is ready with its first heartbeat, so its handshake is held back until
// then. A session ends for it with the choke that the runtime sends, whatever it has
// answered before: that one choke is always sent, and nothing behind it, because the
// old frameworks do not forgive a message about a session that they do not know. What
// a worker sends out of turn is dropped and counted.
type workerDialect struct {
	stats *rpc.Stats
	most  int // sessions that may be open

	// Owned by the session's reader.
	scanner wire.Scanner
	uuid    []byte // arguments of the handshake
	ready   bool   // the first heartbeat has come
	swapped bool   // messages are [session, type, args]; never changes once ready
	frames  [2]wire.Frame
	args    []byte // of an error, made for handing it on

	// The first heartbeat is answered before anything else is said, though the engine
	// may have more to say when it learns of the worker. Guarded by the session.
	greeted bool
	ahead   bool // the engine's answer to it is still to come

	last uint64 // the latest session; likewise

	open window[sides] // sessions that are not closed in both directions; put is done under the session's lock
}

var _ rpc.LastDialect = (*workerDialect)(nil)

var emptyArgs = []byte{0x90}

// Next implements rpc.Dialect.
func (d *workerDialect) Next(buf []byte) (n int, frames []wire.Frame, err error) {
	f, n, err := d.scanner.Next(buf)
	if err != nil {
		return 0, nil, err
	}
	typ, session := f.Channel, f.Type
	if d.swaps(typ, session) {
		typ, session = session, typ
	}
	switch {
	case typ == workerChunk:
		end := d.chokeBehind(buf[:n], buf[n:])
		return n + end, d.chunk(session, f.Args, end > 0), nil
	case typ == workerError || typ == workerChoke:
		return n, d.end(session, typ, f.Args), nil
	case typ == workerHeartbeat && d.uuid != nil:
		frames, err = d.heartbeat()
		return n, frames, err
	case typ == workerTerminate && d.ready:
		return n, d.one(workerControl, idl.WorkerTerminate, f.Args), nil
	case typ == workerTerminate:
		return 0, nil, fmt.Errorf("cannot use v0.11 worker: it terminates before its first heartbeat: %s", terminateText(f.Args))
	case typ == workerHandshake && d.uuid == nil:
		d.uuid = append([]byte{}, f.Args...)
		return n, nil, nil
	}
	d.stats.Violations.Add(1)
	return n, nil, nil
}

// swaps reports whether the first two elements of a message stand in the order of
// v0.12, which a worker's second message decides: where the heartbeat should be, it
// would be another handshake in the order of v0.11.
func (d *workerDialect) swaps(first, second uint64) bool {
	if d.uuid != nil && !d.ready && first == 0 && second == workerHeartbeat {
		d.swapped = true
	}
	return d.swapped
}

// one is a frame to hand on alone.
func (d *workerDialect) one(channel, typ uint64, args []byte) []wire.Frame {
	d.frames[0] = wire.Frame{Channel: channel, Type: typ, Args: args}
	return d.frames[:1]
}

// heartbeat hands on a heartbeat, the first one with the handshake before it.
func (d *workerDialect) heartbeat() ([]wire.Frame, error) {
	n := d.open.len()
	if n > d.most {
		return nil, fmt.Errorf("cannot go on with v0.11 worker: %d sessions have no end", n)
	}
	beat := wire.Frame{Channel: workerControl, Type: idl.WorkerHeartbeat, Args: emptyArgs}
	if d.ready {
		d.frames[0] = beat
		return d.frames[:1], nil
	}
	d.ready = true
	d.frames[0] = wire.Frame{Channel: workerControl, Type: idl.WorkerHandshake, Args: d.uuid}
	d.frames[1] = beat
	return d.frames[:2], nil
}

// chunk hands on a chunk of a session, and with last the choke behind it.
func (d *workerDialect) chunk(session uint64, args []byte, last bool) []wire.Frame {
	known := false
	d.open.change(session, func(open *sides) (keep bool) {
		known = *open&fromWorker != 0
		if last {
			*open &^= fromWorker
		}
		return *open != 0
	})
	if !known {
		d.stats.LateFrames.Add(1)
		if last {
			d.stats.LateFrames.Add(1)
		}
		return nil
	}
	frames := d.one(session+1, idl.Write, args)
	if last {
		d.frames[1] = wire.Frame{Channel: session + 1, Type: idl.Close, Args: emptyArgs}
		frames = d.frames[:2]
	}
	return frames
}

// end hands on the end of what a worker says on a session.
func (d *workerDialect) end(session, typ uint64, args []byte) []wire.Frame {
	if d.shut(session, fromWorker)&fromWorker == 0 {
		d.stats.LateFrames.Add(1) // mostly the choke behind an error
		return nil
	}
	if typ == workerChoke {
		return d.one(session+1, idl.Close, emptyArgs)
	}
	d.args = rpc.AppendError(d.args[:0], fromWorkerError(args))
	return d.one(session+1, idl.StreamError, d.args)
}

// chokeBehind returns the size of the message at the start of next if it is the choke
// of the session of a chunk, else 0. Both are compared as bytes, in the encoding and
// the order that nearly all workers use: the others' chokes come by themselves.
func (d *workerDialect) chokeBehind(chunk, next []byte) int {
	if d.swapped || chunk[0] != 0x93 || chunk[1] != workerChunk {
		return 0
	}
	k := 3
	if tag := chunk[2]; tag >= 0xcc && tag <= 0xcf {
		k += 1 << (tag - 0xcc)
	}
	if len(next) <= k || next[0] != 0x93 || next[1] != workerChoke || string(next[2:k]) != string(chunk[2:k]) || next[k] != 0x90 {
		return 0
	}
	return k + 1
}

// shut closes one direction of a session, and tells which were open; none if there is
// no such session.
func (d *workerDialect) shut(session uint64, side sides) (was sides) {
	d.open.change(session, func(open *sides) (keep bool) {
		was = *open
		*open &^= side
		return *open != 0
	})
	return was
}

// Append implements rpc.Dialect.
func (d *workerDialect) Append(dst []byte, channel, typ uint64, args, _ []byte) []byte {
	if !d.greeted {
		d.greeted, d.ahead = true, true
		dst = d.appendHeartbeat(dst)
	}
	if channel <= workerControl {
		return d.appendControl(dst, typ, args)
	}
	return d.appendSession(dst, channel-1, typ, args)
}

// appendSession appends what is said on a session.
func (d *workerDialect) appendSession(dst []byte, session, typ uint64, args []byte) []byte {
	if session > d.last {
		if typ != idl.WorkerInvoke {
			return dst
		}
		d.last = session
		d.open.put(session, toWorker|fromWorker)
		return appendRaw(d.appendHead(dst, workerInvoke, session), args)
	}
	if typ == idl.Write {
		open, _ := d.open.get(session)
		return d.appendChunk(dst, session, open, args)
	}
	was := d.shut(session, toWorker)
	if was&toWorker == 0 {
		return dst
	}
	if typ == idl.StreamError && was&fromWorker != 0 {
		dst = appendWorkerError(d.appendHead(dst, workerError, session), args)
	}
	return d.appendChoke(dst, session)
}

// AppendLast appends the last chunk for a worker and the choke. It implements
// rpc.LastDialect.
func (d *workerDialect) AppendLast(dst []byte, channel uint64, args, _, _ []byte) []byte {
	session := channel - 1
	was := d.shut(session, toWorker)
	if was&toWorker == 0 {
		return dst
	}
	return d.appendChoke(d.appendChunk(dst, session, was, args), session)
}

// appendChunk appends a chunk for a worker if both directions of its session are open:
// a handler that has failed early may not have been entered, and a chunk for it would
// end its worker.
func (d *workerDialect) appendChunk(dst []byte, session uint64, open sides, args []byte) []byte {
	if open != toWorker|fromWorker {
		return dst
	}
	return appendRaw(d.appendHead(dst, workerChunk, session), args)
}

func (d *workerDialect) appendChoke(dst []byte, session uint64) []byte {
	return append(d.appendHead(dst, workerChoke, session), emptyArgs...)
}

// appendControl appends what the engine says on the control channel.
func (d *workerDialect) appendControl(dst []byte, typ uint64, args []byte) []byte {
	switch typ {
	case idl.WorkerHeartbeat:
		if d.ahead {
			d.ahead = false
			return dst
		}
		return d.appendHeartbeat(dst)
	case idl.WorkerTerminate:
		dst = msgpack.AppendArray(d.appendHead(dst, workerTerminate, 0), 2)
		return msgpack.AppendString(msgpack.AppendInt(dst, normal), terminateText(args))
	}
	return dst
}

func (d *workerDialect) appendHeartbeat(dst []byte) []byte {
	return append(d.appendHead(dst, workerHeartbeat, 0), emptyArgs...)
}

// terminateText is the text of a terminate message.
func terminateText(args []byte) string {
	r := msgpack.NewReader(args)
	if r.Array() < 2 {
		return ""
	}
	r.Skip()
	return r.String()
}

// appendHead appends what comes before the arguments of a message.
func (d *workerDialect) appendHead(dst []byte, typ, session uint64) []byte {
	if d.swapped {
		typ, session = session, typ
	}
	return msgpack.AppendUint(msgpack.AppendUint(msgpack.AppendArray(dst, 3), typ), session)
}

// appendRaw appends arguments that are one raw, in the form that v0.11 reads: it knows
// neither the strings nor the binaries that msgpack has got since.
func appendRaw(dst, args []byte) []byte {
	if isOldChunk(args) {
		return append(dst, args...)
	}
	r := msgpack.NewReader(args)
	r.Array()
	return msgpack.AppendBytes(msgpack.AppendArray(dst, 1), r.Bytes())
}
