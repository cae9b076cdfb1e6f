// Package admin is the service that the command line asks: the state of a node,
// deployments, logs and crashes. It is only an adapter between the protocol
// (docs/PROTOCOL.md, admin) and a Backend, which the daemon supplies.
package admin

import (
	"context"
	"iter"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// A LogQuery says which records of a log are wanted.
type LogQuery struct {
	Last     int       // how many old records at most; negative: all
	Follow   bool      // go on with new ones
	Since    time.Time // no older ones; zero: no limit
	Severity int       // the least severity, 0 debug .. 3 error
}

// Backend is what the service needs of a node. Its methods may be called
// concurrently. Documents hold what msgpack.AppendValue encodes.
type Backend interface {
	Status(ctx context.Context) (map[string]any, error)
	Deploy(ctx context.Context, app, profile string, progress func(stage, text string)) error
	Logs(ctx context.Context, apps []string, q LogQuery) iter.Seq2[map[string]any, error]
	Crashes(ctx context.Context, app string, limit int) ([]any, error)
	Stats(ctx context.Context) (map[string]any, error)
	Remove(ctx context.Context, app string) error
}

// Service is the admin service of a backend.
func Service(b Backend, o rpc.MuxOptions) *rpc.Mux {
	m := rpc.NewMux(idl.Admin, o)
	m.Unary("status", func(ctx context.Context, _ *rpc.Call) ([]byte, error) {
		return value(b.Status(ctx))
	})
	m.Unary("stats", func(ctx context.Context, _ *rpc.Call) ([]byte, error) {
		return value(b.Stats(ctx))
	})
	m.Unary("crashes", func(ctx context.Context, c *rpc.Call) ([]byte, error) {
		r := c.Reader()
		app, limit := r.String(), r.Int()
		if r.Err() != nil {
			return nil, rpc.BadArgs(c, r.Err())
		}
		return value(b.Crashes(ctx, app, int(min(max(limit, 0), 10000))))
	})
	m.Unary("remove", func(ctx context.Context, c *rpc.Call) ([]byte, error) {
		r := c.Reader()
		app := r.String()
		if r.Err() != nil {
			return nil, rpc.BadArgs(c, r.Err())
		}
		return nil, b.Remove(context.WithoutCancel(ctx), app)
	})
	m.Stream("deploy", func(ctx context.Context, c *rpc.Call, s *rpc.Stream) error { return deploy(ctx, b, c, s) })
	m.Stream("logs", func(ctx context.Context, c *rpc.Call, s *rpc.Stream) error { return logs(ctx, b, c, s) })
	return m
}

// value encodes a document as the one argument of an answer.
func value[T any](doc T, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return msgpack.AppendValue(msgpack.AppendArray(nil, 1), doc)
}

// deploy writes each step of a deployment as it begins. The deployment goes on if
// the client leaves: half a deployment helps nobody.
func deploy(ctx context.Context, b Backend, c *rpc.Call, s *rpc.Stream) error {
	r := c.Reader()
	app, profile := r.String(), r.String()
	if r.Err() != nil {
		return rpc.BadArgs(c, r.Err())
	}
	return b.Deploy(context.WithoutCancel(ctx), app, profile, func(stage, text string) {
		args := msgpack.AppendArray(nil, 2)
		args = msgpack.AppendString(args, stage)
		args = msgpack.AppendString(args, text)
		_ = s.Send(ctx, idl.Write, args) // nobody watches any more
	})
}

func logs(ctx context.Context, b Backend, c *rpc.Call, s *rpc.Stream) error {
	apps, q, err := readLogQuery(c)
	if err != nil {
		return err
	}
	for doc, err := range b.Logs(ctx, apps, q) {
		if err != nil {
			return err
		}
		args, err := value(doc, nil)
		if err != nil {
			return err
		}
		if err := s.Send(ctx, idl.Write, args); err != nil {
			return err
		}
	}
	return nil
}

func readLogQuery(c *rpc.Call) (apps []string, q LogQuery, err error) {
	r := c.Reader()
	for n := r.Array(); n > 0 && r.Err() == nil; n-- {
		apps = append(apps, r.String())
	}
	q.Last = -1
	for n := r.Map(); n > 0 && r.Err() == nil; n-- {
		switch key := r.String(); key {
		case "last":
			q.Last = int(r.Int())
		case "follow":
			q.Follow = r.Bool()
		case "since":
			q.Since = time.UnixMicro(r.Int())
		case "severity":
			q.Severity = int(r.Int())
		default:
			return nil, q, rpc.Errorf(idl.CategoryDispatch, idl.DispatchBadArgs, "cannot decode arguments of logs: unknown option %q", key)
		}
	}
	if r.Err() != nil {
		return nil, q, rpc.BadArgs(c, r.Err())
	}
	return apps, q, nil
}
