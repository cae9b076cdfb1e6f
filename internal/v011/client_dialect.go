package v011

import (
	"errors"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// The messages by which every service answers.
const (
	chunkMessage = 4 // [raw]
	errorMessage = 5 // [code, text]
	chokeMessage = 6 // []
)

// leaveTime is how long a session waits for its client to hang up too: one that is
// writing when it gets a reset never ends the calls it has under way.
const leaveTime = 3 * time.Second

// keptScratch is the largest buffer that a dialect keeps.
const keptScratch = 64 << 10

// answer is what is known of a call that has been answered in part at most.
type answer struct {
	session uint64 // the client's number
	method  *clientMethod
}

// clientDialect is the language of one v0.11 client.
type clientDialect struct {
	service *ClientService

	// Owned by the reader of the session.
	scanner wire.Scanner
	frame   [1]wire.Frame
	last    uint64 // the number of the latest channel
	whole   wholeRequest

	open window[answer] // calls that have no choke yet, by channel; put is the reader's

	scratch []byte // for results that are written anew; guarded by the session
}

var (
	_ rpc.LastDialect = (*clientDialect)(nil)
	_ rpc.Leaver      = (*clientDialect)(nil)
)

func newClientDialect(s *ClientService, l wire.Limits) *clientDialect {
	return &clientDialect{service: s, scanner: wire.NewScanner(l)}
}

// Leave implements rpc.Leaver.
func (d *clientDialect) Leave() time.Duration { return leaveTime }

var (
	errElements = errors.New("a v0.11 message has three elements")
	errNumber   = errors.New("the type of a v0.11 message has 32 bits")
)

// Next reads one call: [method, session, args]. The frame has the number of the
// method as it is, and all the arguments. It implements rpc.Dialect.
func (d *clientDialect) Next(buf []byte) (int, []wire.Frame, error) {
	f, n, err := d.scanner.Next(buf)
	switch {
	case err != nil:
		return 0, nil, err
	case f.Headers != nil:
		return 0, nil, errElements
	case f.Channel > largestMethod:
		return 0, nil, errNumber
	}
	d.last++
	d.open.put(d.last, answer{session: f.Type, method: d.service.method(f.Channel)})
	d.frame[0] = wire.Frame{Channel: d.last, Type: f.Channel, Args: f.Args}
	return n, d.frame[:], nil
}

// Append gives an answer its old form. What is no answer to a call that is open is
// nothing: a client is blocked for good by a message of a session that it does not
// know. It implements rpc.Dialect.
func (d *clientDialect) Append(dst []byte, channel, typ uint64, args, _ []byte) []byte {
	if typ == idl.Write { // idl.Value is the same
		if a, ok := d.open.get(channel); !ok {
			return dst
		} else if a.streams() {
			return d.appendChunk(dst, a, args)
		}
	}
	a, ok := d.open.take(channel)
	switch {
	case !ok:
		return dst
	case typ == idl.Error: // idl.StreamError is the same
		dst = appendError(dst, a, args)
	case typ == idl.Value && len(args) > 1:
		dst = d.appendChunk(dst, a, args)
	}
	return appendChoke(dst, a)
}

// AppendLast appends the last chunk of an answer and the choke. It implements
// rpc.LastDialect.
func (d *clientDialect) AppendLast(dst []byte, channel uint64, args, _, _ []byte) []byte {
	a, ok := d.open.take(channel)
	switch {
	case !ok:
		return dst
	case a.raw():
		dst = appendAppChunk(dst, a.session, args)
	case a.streams() || len(args) > 1:
		dst, _ = appendPacked(dst, a, args, nil) // whose scratch is not at hand without the lock
	}
	return appendChoke(dst, a)
}

// streams reports whether an answer may have several chunks.
func (a *answer) streams() bool { return a.method != nil && a.method.packing != packedValue }

// raw reports whether the chunks of an answer are those of an app.
func (a *answer) raw() bool { return a.method != nil && a.method.packing == rawStream }

// appendHead appends a message up to its arguments.
func appendHead(dst []byte, typ byte, session uint64, nargs int) []byte {
	dst = msgpack.AppendUint(append(dst, 0x93, typ), session)
	return msgpack.AppendArray(dst, nargs)
}

// appendChoke appends the end of a call.
func appendChoke(dst []byte, a answer) []byte { return appendHead(dst, chokeMessage, a.session, 0) }

// appendChunk appends a result. Called with the session's lock held.
func (d *clientDialect) appendChunk(dst []byte, a answer, args []byte) []byte {
	if a.raw() {
		return appendAppChunk(dst, a.session, args)
	}
	dst, d.scratch = appendPacked(dst, a, args, d.scratch)
	if cap(d.scratch) > keptScratch {
		d.scratch = nil
	}
	return dst
}

// appendPacked appends a result: the argument if there is one, else the array of them.
// scratch is for those that are written anew; it is returned as it is then.
func appendPacked(dst []byte, a answer, args, scratch []byte) (chunk, used []byte) {
	if args[0] == 0x91 {
		args = args[1:]
	}
	if a.method != nil && a.method.foreign {
		scratch = appendOld(scratch[:0], args)
		args = scratch
	}
	return msgpack.AppendBytes(appendHead(dst, chunkMessage, a.session, 1), args), scratch
}

// appendAppChunk appends a chunk of an app as it is, but for the tag of its string.
func appendAppChunk(dst []byte, session uint64, args []byte) []byte {
	if isOldChunk(args) {
		dst = msgpack.AppendUint(append(dst, 0x93, chunkMessage), session)
		return append(dst, args...)
	}
	r := msgpack.NewReader(args)
	r.Array()
	chunk := r.Bytes() // args that hold anything else do not come from apps
	return msgpack.AppendBytes(appendHead(dst, chunkMessage, session, 1), chunk)
}

// isOldChunk reports whether arguments are one string, with a tag of 2013.
func isOldChunk(args []byte) bool {
	return len(args) > 1 && args[0] == 0x91 && (args[1]&0xe0 == 0xa0 || args[1] == 0xda || args[1] == 0xdb)
}

// appendOld appends a value in the msgpack of 2013: strings of the newer tags get the
// older ones.
func appendOld(dst, value []byte) []byte {
	for len(value) > 0 {
		t, err := msgpack.ReadToken(value)
		if err != nil || t.Size > uint64(len(value)) {
			return append(dst, value...) // not from any of our services
		}
		token := value[:t.Size]
		value = value[t.Size:]
		if t.Kind == msgpack.KindRaw {
			r := msgpack.NewReader(token)
			dst = msgpack.AppendBytes(dst, r.Bytes())
			continue
		}
		dst = append(dst, token...)
	}
	return dst
}
