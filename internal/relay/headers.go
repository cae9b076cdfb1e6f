package relay

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Story headers. A client that sends StoryHeader with enqueue gets the others
// with the last frame of the answer; with a refusal it gets RefusedHeader alone.
const (
	StoryHeader   = "x-cocaine-story"
	RefusedHeader = "x-cocaine-refused"
	WorkerHeader  = "x-cocaine-worker"
	ReleaseHeader = "x-cocaine-release"
	QueueHeader   = "x-cocaine-queue-us"
	RunHeader     = "x-cocaine-run-us"
)

// Headers are what an enqueue's headers say to whoever passes it on.
type Headers struct {
	Trace   rpc.Trace
	Timeout time.Duration // negative when the request does not say
	Story   bool          // the client asks for the story headers
}

// ReadHeaders checks the headers of an enqueue. Its error is an *rpc.Error.
func ReadHeaders(hs []hpack.Header) (Headers, error) {
	h := Headers{Timeout: -1}
	var err error
	if h.Trace, err = rpc.ParseTrace(hs); err != nil {
		return h, rpc.Errorf(idl.CategoryDispatch, idl.DispatchBadArgs, "%v", err)
	}
	if v, ok := hpack.Lookup(hs, hpack.RequestTimeout); ok {
		if len(v) != 8 {
			return h, rpc.Errorf(idl.CategoryDispatch, idl.DispatchBadArgs,
				"cannot read request_timeout: have %d bytes, want 8 (milliseconds, little-endian)", len(v))
		}
		ms := binary.LittleEndian.Uint64([]byte(v))
		h.Timeout = time.Duration(min(ms, math.MaxInt64/uint64(2*time.Millisecond))) * time.Millisecond
	}
	_, h.Story = hpack.Lookup(hs, StoryHeader)
	return h, nil
}

// AppendHeaders encodes the headers of an enqueue: for the worker's invoke, the
// trace first, and for every other frame, which has the trace alone (docs/PROTOCOL.md,
// Headers). Each is appended to its own slice; of no headers nothing is.
func AppendHeaders(echo, invoke []byte, hs []hpack.Header, traced bool) (_, _ []byte) {
	var room [16]hpack.Header
	out := room[:0]
	if traced {
		for _, name := range [...]string{hpack.TraceID, hpack.SpanID, hpack.ParentID} {
			id, _ := hpack.Lookup(hs, name)
			out = append(out, hpack.Header{Name: name, Value: id})
		}
		echo = hpack.AppendLiterals(echo, out)
	}
	for _, h := range hs {
		if !rpc.IsTraceHeader(h.Name) && h.Name != StoryHeader {
			out = append(out, h)
		}
	}
	if len(out) > 0 {
		invoke = hpack.AppendLiterals(invoke, out)
	}
	return echo, invoke
}

// untraced are the three ids of a request without a trace, three elements of a headers
// array: literals that are not to be stored, of eight zero bytes each.
const (
	untraced = "\x93\xc2\xa8" + hpack.TraceID + noID + "\x93\xc2\xa7" + hpack.SpanID + noID + "\x93\xc2\xa9" + hpack.ParentID + noID
	noID     = "\xa8\x00\x00\x00\x00\x00\x00\x00\x00"
)

// AppendUntraced appends the headers of an untraced invoke, as AppendHeaders made them,
// with three zero ids before them. The native framework of v0.12 reads the ids of every
// invoke without looking whether they are there, and its process aborts if not.
func AppendUntraced(dst, invoke []byte) []byte {
	r := msgpack.NewReader(invoke)
	n := 0
	if len(invoke) > 0 {
		n = r.Array()
	}
	dst = append(msgpack.AppendArray(dst, 3+n), untraced...)
	return append(dst, invoke[r.Offset():]...)
}
