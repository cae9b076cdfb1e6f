package cocaine

import (
	"context"
	"errors"
	"sync"

	"github.com/cocaine/cocaine-go/internal/codec"
	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// A unary is a call that says everything at once and waits for one answer, with the
// memory that it takes. It belongs to the goroutine that calls, and is kept for the
// next one, so that a steady load allocates little but its results.
type unary struct {
	pool     *sync.Pool
	req      rpc.Request
	question rpc.Question

	args, chunk, headers []byte    // encoded; memory of args, question.Chunk and question.Headers
	room                 [8]Header // for those that are made for a call
	into                 any       // what the answer is decoded into, nil for nothing
	format               codec.Format
	link                 *link // where the call went
	method               *method
}

// keepBuffer is how large a buffer may be that is kept.
const keepBuffer = 64 << 10

// newUnary takes one that a call of the same client has left: what waits belongs to
// the client's time, which is not real in a bubble of testing/synctest.
func (s *Service) newUnary(want rpc.Want) *unary {
	pool := &s.conn.client.unaries
	u, _ := pool.Get().(*unary)
	if u == nil {
		u = &unary{pool: pool}
	}
	u.question = rpc.Question{Want: want}
	return u
}

// free keeps the memory, unless the session may still use it.
func (u *unary) free() {
	if u.link != nil && !u.req.Over() || cap(u.args) > keepBuffer || cap(u.chunk) > keepBuffer || u.req.Size() > keepBuffer {
		return
	}
	u.link, u.method, u.into = nil, nil, nil
	clear(u.room[:])
	u.pool.Put(u)
}

// encode encodes the arguments of the method.
func (u *unary) encode(args []any) (err error) {
	u.args, err = appendArgs(u.args[:0], args)
	return err
}

// encodeEvent encodes the call of an app's event with one chunk.
func (u *unary) encodeEvent(event string, format codec.Format, in any) (err error) {
	u.format = format
	u.args = msgpack.AppendString(msgpack.AppendArray(u.args[:0], 1), event)
	if u.question.Chunk, u.chunk, err = format.EncodeChunk(u.chunk, in); err != nil {
		return &kindError{err, ErrBadArgument}
	}
	return nil
}

// ask makes a call, again as often as the policy says and the way it failed allows,
// and decodes the answer. Errors give the call the name.
func (s *Service) ask(ctx context.Context, u *unary, method, name string) (err error) {
	tries := s.attempts()
	tries.seen = s.observe(ctx, method, u.args, u.question.Chunk)
	err = errLeft
	defer s.conclude(&tries, name, &err)
	if err = s.begin(ctx, &tries, method, name, u); err == nil {
		err = s.finish(ctx, &tries, u, method, name)
	}
	tries.handed = err == errNotUnary // the caller makes it another call
	return err
}

// finish receives the answer of a call that has begun.
func (s *Service) finish(ctx context.Context, tries *attempts, u *unary, method, name string) error {
	answer, err := s.hear(ctx, tries, u, method, name)
	if tries.seen != nil {
		tries.seen.received.Add(int64(len(answer)))
	}
	if err == nil {
		if err = u.decode(answer); err != nil {
			err = s.failed(name, &kindError{err, ErrBadAnswer})
		}
	}
	return err
}

// hear waits for the answer, and makes the call again if it may.
func (s *Service) hear(ctx context.Context, tries *attempts, u *unary, method, name string) ([]byte, error) {
	for {
		answer, err := u.await(ctx)
		if err == nil {
			return answer, nil
		}
		again := tries.repeats() && repeatable(err, u.req.Answered(), u.req.Trailer(), s.opts.Idempotent)
		err = s.failed(name, err)
		if !again {
			return nil, err
		}
		if err = tries.again(ctx, err); err != nil {
			return nil, err
		}
		u.renew()
		if err := s.begin(ctx, tries, method, name, u); err != nil {
			return nil, err
		}
	}
}

// decode decodes the arguments of the answer's first message.
func (u *unary) decode(answer []byte) error {
	switch {
	case u.into == nil:
		return nil
	case u.question.Chunk == nil:
		return Message{Args: answer}.Decode(u.into)
	}
	chunk, err := codec.Chunk(answer)
	if err != nil {
		return err
	}
	return u.format.Decode(chunk, u.into)
}

// errNotUnary is a call of a method whose caller has more to say, or nothing to hear.
// Nothing was sent.
var errNotUnary = errors.New("method is not unary")

// start sends the call on a link. It implements starter.
func (u *unary) start(ctx context.Context, s *Service, l *link, m *method, tries *attempts) error {
	q := &u.question
	switch {
	case q.Chunk != nil && !m.streams():
		return ErrNoMessage
	case !m.unary:
		return errNotUnary
	}
	q.Type, q.Args, q.Recv, q.Close, q.Headers = m.id, u.args, m.recv, m.streams(), nil
	hs, err := s.headers(u.room[:0], ctx, m.name, tries)
	if err != nil {
		return err
	}
	if len(hs) > 0 {
		u.headers = hpack.AppendLiterals(u.headers[:0], hs)
		q.Headers = u.headers
	}
	tries.seen.carries(l, hs)
	if err := l.session.Ask(ctx, &u.req, q); err != nil {
		return err
	}
	u.link, u.method = l, m
	return nil
}

// await waits for the answer. A call that is not over then is given up.
func (u *unary) await(ctx context.Context) ([]byte, error) {
	answer, err := u.req.Await(ctx)
	switch {
	case err == nil && u.req.Over():
		return answer, nil
	case err != nil && ctx.Err() != nil && err == context.Cause(ctx):
		err = ended(ctx)
		u.leave(err)
	case !u.req.Over():
		u.leave(context.Canceled)
	case isLost(err):
		err = u.link.lost()
	}
	if err == rpc.ErrMore {
		err = errManyChunks
	}
	return answer, err
}

// leave gives up a call that is not over: the service is told, if it knows how.
func (u *unary) leave(cause error) {
	u.req.Leave()
	u.link.revoke(u.req.ID(), u.method, cause)
}

// renew makes u ready for another attempt, with a Request that no reader knows.
func (u *unary) renew() {
	if !u.req.Over() {
		u.req = rpc.Request{}
	}
	u.link, u.method, u.question.Later = nil, nil, false
}

// revoke asks the service to drop a channel, if it says that it knows how
// (docs/PROTOCOL.md, Control messages). It says whether the caller has given up or had
// no more time.
func (l *link) revoke(channel uint64, called *method, cause error) {
	m := l.methods["revoke"]
	if m == nil || m.id != idl.Revoke || called.recv.IsTerminal() {
		return
	}
	e := rpc.LostError(context.Canceled)
	if errors.Is(cause, context.DeadlineExceeded) {
		e = rpc.AsError(context.DeadlineExceeded)
	}
	_, _ = l.session.Open(nil, rpc.Discard(m.recv), m.id, rpc.AppendRevoke(nil, channel, e), nil)
}
