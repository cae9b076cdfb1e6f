package v011

import (
	"context"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Levels of v0.11: 0 is nothing at all, 1 error, 2 warning, 3 info, 4 debug. Those of
// v0.12 go the other way, from 0 debug to 3 error.
const mostVerbose = 4

// Logging is the logging service over that of v0.12. verbosity is the least severity
// of v0.12 that is taken.
func Logging(ordinary rpc.Acceptor, verbosity int, o rpc.MuxOptions) *ClientService {
	m := rpc.NewMux(oldLogging, o)
	m.Raw("emit", emitter{ordinary})
	level := msgpack.AppendInt(msgpack.AppendArray(nil, 1), int64(mostVerbose-verbosity))
	m.Inline("verbosity", func(context.Context, *rpc.Call) ([]byte, error) { return level, nil })
	return newClientService(oldLogging, m)
}

// emitter answers emit, whose counterpart has no answer.
type emitter struct{ ordinary rpc.Acceptor }

func (e emitter) Accept(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame) rpc.Receiver {
	r := msgpack.NewReader(f.Args)
	r.Array()
	level := r.Int()
	source, text := r.Bytes(), r.Bytes()
	if r.Err() != nil {
		s.Violation(b, channel, errArgument)
		return nil
	}
	if level > 0 {
		args := make([]byte, 0, len(source)+len(text)+16)
		args = msgpack.AppendInt(msgpack.AppendArray(args, 3), mostVerbose-min(level, mostVerbose))
		args = msgpack.AppendBytes(msgpack.AppendBytes(args, source), text)
		e.ordinary.Accept(b, s, channel, &rpc.Frame{Type: idl.LoggingEmit, Args: args})
	}
	_ = s.Send(b, channel, idl.Value, nil, nil) // the client may be gone: then nobody waits for it
	return nil
}
