package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	nats_js "github.com/nats-io/nats.go/jetstream"
)

const (
	// maxPayload is the largest message of an engine of our own, and the default
	// of any other.
	maxPayload = 1 << 20
	// headRoom is left in a message for headers.
	headRoom = 4 << 10
	// requestTimeout bounds an operation whose context has no deadline. It is long:
	// a disk that is slow must not look like an engine that is gone.
	requestTimeout = 30 * time.Second
)

// Options say where the state lives.
type Options struct {
	// Dir is the directory of an engine of our own; it is created when missing.
	// Ignored when URL is set.
	Dir string
	// URL joins an external engine instead, e.g. "nats://user:secret@host:4222"
	// or a list of those, comma separated.
	URL string
	// Prefix starts the name of every bucket and stream, so that an external
	// engine can be shared. If empty, "cocaine".
	Prefix string
	// Replicas is how many members of an external cluster keep each bucket.
	// If zero, one.
	Replicas int
	// Log receives the engine's log lines. If nil, they are dropped.
	Log *slog.Logger
}

// State is an open state engine. See the package comment for its guarantees.
type State struct {
	opts   Options
	log    *slog.Logger
	engine *engine // nil when the engine is external
	conn   *nats.Conn
	js     nats_js.JetStream
	push   nats.JetStreamContext // for feeds: the newer API has no push subscriptions to read one by one
	closed chan struct{}         // closed by the connection when it has ended
	keyTTL bool                  // the engine can expire single keys: it is NATS 2.11 or newer
	// recovered is set once Open has seen that the state on disk is whole.
	recovered bool

	closeOnce sync.Once
	closeErr  error
}

// Open starts or joins the state engine. It returns when reads and writes work,
// or with an error that reads "cannot open state in DIR: ..." (or "at URL") and
// matches ErrInUse or ErrDamaged where it applies.
func Open(ctx context.Context, o Options) (*State, error) {
	if o.Prefix == "" {
		o.Prefix = "cocaine"
	}
	if !validName(o.Prefix) {
		return nil, fmt.Errorf("cannot open state: prefix %q is not made of letters, digits, '-' and '_'", o.Prefix)
	}
	o.Replicas = max(o.Replicas, 1)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.URL != "" {
		s, err := join(ctx, o)
		if err != nil {
			return nil, fmt.Errorf("cannot open state at %s: %w", redact(o.URL), err)
		}
		return s, nil
	}
	if o.Dir == "" {
		return nil, errors.New("cannot open state: neither a directory nor a URL is given")
	}
	o.Replicas = 1
	s, err := start(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("cannot open state in %s: %w", o.Dir, err)
	}
	return s, nil
}

// start runs an engine of our own in o.Dir.
func start(ctx context.Context, o Options) (*State, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e, err := startEngine(o.Dir, o.Log)
	if err != nil {
		return nil, err
	}
	s := &State{opts: o, log: o.Log, engine: e, closed: make(chan struct{}), keyTTL: true}
	if err := s.connect("", nats.InProcessServer(e)); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.checkRecovered(ctx, e.found); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.recovered = true
	return s, nil
}

// join connects to an engine that somebody else runs.
func join(ctx context.Context, o Options) (*State, error) {
	s := &State{opts: o, log: o.Log, closed: make(chan struct{})}
	timeout := 5 * time.Second
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(deadline))
	}
	// Once joined, reconnect for ever: the state coming back is the only way on.
	err := s.connect(o.URL, nats.Timeout(timeout), nats.MaxReconnects(-1))
	if err != nil {
		return nil, err
	}
	info, err := s.js.AccountInfo(ctx)
	if err != nil {
		return nil, errors.Join(translate(err), s.Close())
	}
	s.keyTTL = info.API.Level >= 1
	return s, nil
}

func (s *State) connect(url string, opts ...nats.Option) error {
	opts = append(opts,
		nats.Name("cocaine"),
		nats.ClosedHandler(func(*nats.Conn) { close(s.closed) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			s.log.Warn("state connection", "err", err)
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				s.log.Warn("state connection lost", "err", err)
			}
		}),
		nats.ReconnectHandler(func(c *nats.Conn) { s.log.Info("state connection is back", "server", c.ConnectedServerName()) }),
	)
	conn, err := nats.Connect(url, opts...)
	if err != nil {
		close(s.closed)
		return err
	}
	s.conn = conn
	if s.js, err = nats_js.New(conn, nats_js.WithDefaultTimeout(requestTimeout)); err != nil {
		return err
	}
	s.push, err = conn.JetStream(nats.MaxWait(requestTimeout))
	return err
}

// Close ends the connection and, when the engine is ours, stops it and waits
// until it is down and the directory is free. Calls in progress end with
// ErrClosed. Close may be called more than once.
func (s *State) Close() error {
	s.closeOnce.Do(func() {
		if s.conn != nil {
			s.conn.Close()
		}
		<-s.closed
		if s.engine != nil {
			s.closeErr = s.engine.close(s.recovered)
		}
	})
	return s.closeErr
}

// Exclusive reports whether this process is the only one that can write to the
// state, as it is with a directory of our own.
func (s *State) Exclusive() bool { return s.engine != nil }

// checkRecovered makes sure that every stream found on disk came back. The engine
// itself goes on without a stream whose description it cannot read, which would
// look like an empty state to everyone above.
func (s *State) checkRecovered(ctx context.Context, streams []string) error {
	for _, name := range streams {
		_, err := s.js.Stream(ctx, name)
		if err == nil {
			continue
		}
		if why := s.engine.log.complaintAbout(name); why != "" {
			err = errors.New(why)
		}
		return fmt.Errorf("%w: cannot recover %s: %w", ErrDamaged, name, err)
	}
	return nil
}

// redact hides the password of a URL for messages.
func redact(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "the given URL"
	}
	return u.Redacted()
}

// validName reports whether s can name a bucket or stream.
func validName(s string) bool {
	for i := range len(s) {
		if !plain(s[i]) {
			return false
		}
	}
	return s != ""
}

// Logger is where the packages on top of the state report, too. It is never nil.
func (s *State) Logger() *slog.Logger { return s.log }
