// Package control calls the plain methods of a runtime one at a time: resolve a
// name, write storage, start an app. It is for the setting up, not for the
// measuring.
package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/cocaine/cocaine-go/bench/internal/frame"
)

// Method numbers; PROTOCOL.md has the tables.
const (
	locatorResolve = 0
	storageRead    = 0
	storageWrite   = 1
	nodeStartApp   = 0
	nodePauseApp   = 1
)

// A Session is one connection to one service. One goroutine uses it at a time.
type Session struct {
	conn net.Conn
	buf  []byte // read, not yet taken
	last uint64
}

// Dial connects to a service.
func Dial(ctx context.Context, addr string) (*Session, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to %s: %w", addr, err)
	}
	return &Session{conn: c}, nil
}

// Close ends the connection.
func (s *Session) Close() error { return s.conn.Close() }

// Call opens the next channel with the given frames, written at once, and reads
// until a message of type last; what it carries is returned. An error message is
// returned as a *frame.Error.
func (s *Session) Call(ctx context.Context, last uint64, tails ...[]byte) ([]byte, error) {
	if deadline, ok := ctx.Deadline(); ok {
		if err := s.conn.SetDeadline(deadline); err != nil {
			return nil, err
		}
	}
	s.last++
	var out []byte
	for _, t := range tails {
		out = frame.AppendTail(out, s.last, t)
	}
	if _, err := s.conn.Write(out); err != nil {
		return nil, fmt.Errorf("cannot write: %w", err)
	}
	for {
		f, err := s.next()
		if err != nil {
			return nil, fmt.Errorf("cannot read the answer: %w", err)
		}
		switch {
		case f.Channel != s.last:
			continue
		case f.Type == frame.ValueErr:
			return nil, frame.ErrorAt(f.Args())
		case f.Type == last:
			return f.Args(), nil
		}
	}
}

// next reads one frame; it is valid until the next call.
func (s *Session) next() (frame.Frame, error) {
	for {
		f, n, err := frame.Next(s.buf)
		if err == nil {
			s.buf = s.buf[n:]
			return f, nil
		}
		if !errors.Is(err, frame.ErrShort) {
			return frame.Frame{}, err
		}
		chunk := make([]byte, 16<<10)
		k, err := s.conn.Read(chunk)
		if err != nil {
			return frame.Frame{}, err
		}
		s.buf = append(s.buf, chunk[:k]...)
	}
}

// Resolve asks a locator for the first address of a service.
func Resolve(ctx context.Context, locator, name string) (string, error) {
	s, err := Dial(ctx, locator)
	if err != nil {
		return "", fmt.Errorf("cannot resolve %s: %w", name, err)
	}
	defer s.Close()
	args, err := s.Call(ctx, frame.Value, ResolveRequest(name))
	if err != nil {
		return "", fmt.Errorf("cannot resolve %s: %w", name, err)
	}
	addr, err := firstEndpoint(args)
	if err != nil {
		return "", fmt.Errorf("cannot resolve %s: %w", name, err)
	}
	return addr, nil
}

// firstEndpoint reads [[[host, port], ...], version, graph].
func firstEndpoint(args []byte) (string, error) {
	_, b, err := frame.ArrayAt(args)
	if err != nil {
		return "", err
	}
	n, b, err := frame.ArrayAt(b)
	if err != nil {
		return "", err
	}
	if n == 0 {
		return "", errors.New("it has no address")
	}
	if _, b, err = frame.ArrayAt(b); err != nil {
		return "", err
	}
	host, b, err := frame.RawAt(b)
	if err != nil {
		return "", err
	}
	port, _, err := frame.UintAt(b)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(string(host), strconv.FormatUint(port, 10)), nil
}

// ResolveRequest is the frame of locator.resolve(name), without its channel.
func ResolveRequest(name string) []byte {
	return frame.Tail(locatorResolve, frame.Raw(name))
}

// ReadRequest is the frame of storage.read(collection, key).
func ReadRequest(collection, key string) []byte {
	return frame.Tail(storageRead, frame.Raw(collection), frame.Raw(key))
}

// WriteRequest is the frame of storage.write(collection, key, value, tags).
func WriteRequest(collection, key string, value []byte, tags ...string) []byte {
	list := frame.AppendArray(nil, len(tags))
	for _, t := range tags {
		list = frame.AppendRaw(list, t)
	}
	return frame.Tail(storageWrite, frame.Raw(collection), frame.Raw(key), frame.Raw(value), list)
}

// StartAppRequest is the frame of node.start_app(app, profile).
func StartAppRequest(app, profile string) []byte {
	return frame.Tail(nodeStartApp, frame.Raw(app), frame.Raw(profile))
}

// PauseAppRequest is the frame of node.pause_app(app).
func PauseAppRequest(app string) []byte {
	return frame.Tail(nodePauseApp, frame.Raw(app))
}

// EchoRequest is the three frames of a call with one chunk.
func EchoRequest(event string, payload []byte) [][]byte {
	return [][]byte{
		frame.Tail(frame.Enqueue, frame.Raw(event)),
		frame.Tail(frame.Write, frame.Raw(payload)),
		frame.Tail(frame.Close),
	}
}

// WithTimeout bounds one step of the setting up.
func WithTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 30*time.Second)
}
