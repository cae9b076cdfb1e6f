package v011

import (
	"errors"

	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// WorkerOptions configure RecogniseWorker.
type WorkerOptions struct {
	// Limits bound what a worker may send. Zero fields mean 64 MiB and depth 32.
	Limits wire.Limits
	// Sessions is how many sessions a worker may leave open before it is hung up on,
	// those included that have expired. If zero, 262144.
	Sessions int
	// Stats count what workers send out of turn: LateFrames on sessions that they have
	// ended or never had, Violations otherwise. If nil, nobody reads them.
	Stats *rpc.Stats
}

// RecogniseWorker tells the workers of v0.11 from those of v0.12 by the first message
// on the workers' socket: [0, 0, [uuid]] against [1, 0, [uuid]]. It is for
// rpc.SessionOptions.
//
// Some workers of early v0.12 shake hands as those of v0.11 do and then go on with the
// first two elements the other way round. They are understood too.
func RecogniseWorker(o WorkerOptions) func(buf []byte) (rpc.Dialect, error) {
	if o.Sessions <= 0 {
		o.Sessions = 1 << 18
	}
	if o.Stats == nil {
		o.Stats = new(rpc.Stats)
	}
	return func(buf []byte) (rpc.Dialect, error) {
		old, err := isOldWorker(buf)
		if err != nil || !old {
			return nil, err
		}
		return &workerDialect{stats: o.Stats, most: o.Sessions, scanner: wire.NewScanner(o.Limits)}, nil
	}
}

// isOldWorker looks at the first element of the first message. What is no message is
// left to the session, which knows what to do with it.
func isOldWorker(buf []byte) (bool, error) {
	t, err := msgpack.ReadToken(buf)
	if err == nil && t.Kind == msgpack.KindArray && t.Items == 3 {
		t, err = msgpack.ReadToken(buf[t.Size:])
		if err == nil {
			return t.Kind == msgpack.KindUint && t.Value == 0, nil
		}
	}
	if errors.Is(err, wire.ErrShort) {
		return false, err
	}
	return false, nil
}
