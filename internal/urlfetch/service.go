package urlfetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Service is a Fetcher as the service `urlfetch`. How many requests run at once is
// bounded by MuxOptions.Calls.
func Service(f *Fetcher, o rpc.MuxOptions) *rpc.Mux {
	m := rpc.NewMux(idl.URLFetch, o)
	s := service{f}
	m.Unary("get", s.serve)
	m.Unary("post", s.serve)
	return m
}

type service struct{ fetcher *Fetcher }

func (s service) serve(ctx context.Context, c *rpc.Call) ([]byte, error) {
	r := c.Reader()
	req, err := readRequest(&r, c.Method.ID, c.NArgs)
	if err != nil {
		return nil, rpc.BadArgs(c, err)
	}
	resp, err := s.fetcher.do(ctx, c.Arrived, req)
	if err != nil {
		return nil, coded(err)
	}
	return resp.args(), nil
}

// defaultTimeout is that of the original.
const defaultTimeout = 5 * time.Second

// maxPairs bounds the cookies, and the headers, of a request.
const maxPairs = 256

// readRequest reads the arguments of either method.
func readRequest(r *msgpack.Reader, method uint64, n int) (request, error) {
	req := request{method: http.MethodGet, url: r.String(), timeout: defaultTimeout, follow: true}
	if method == idl.URLFetchPost {
		req.method, req.body = http.MethodPost, r.Bytes()
		n--
	}
	var err error
	if n > 1 {
		if req.timeout, err = readTimeout(r); err != nil {
			return request{}, err
		}
	}
	if n > 2 {
		if req.cookies, err = readPairs(r); err != nil {
			return request{}, err
		}
	}
	if n > 3 {
		if req.headers, err = readPairs(r); err != nil {
			return request{}, err
		}
	}
	if n > 4 {
		req.follow = r.Bool()
	}
	return req, r.Err()
}

// readTimeout reads milliseconds.
func readTimeout(r *msgpack.Reader) (time.Duration, error) {
	ms := r.Int()
	if r.Err() == nil && ms <= 0 {
		return 0, fmt.Errorf("a timeout of %d ms", ms)
	}
	const longest = int64(24 * time.Hour / time.Millisecond) // Options.MaxTime is shorter
	return time.Duration(min(ms, longest)) * time.Millisecond, r.Err()
}

func readPairs(r *msgpack.Reader) (map[string]string, error) {
	n := r.Map()
	if n > maxPairs {
		return nil, fmt.Errorf("%d pairs, at most %d are allowed", n, maxPairs)
	}
	pairs := make(map[string]string, n)
	for range n {
		name := r.String()
		pairs[name] = r.String()
	}
	return pairs, r.Err()
}

// args encodes [ok, body, status, headers]. What has a status was answered: it is not
// ok from 400 on.
func (r *response) args() []byte {
	b := msgpack.AppendArray(make([]byte, 0, len(r.body)+1<<10), 4)
	b = msgpack.AppendBool(b, r.status < http.StatusBadRequest)
	b = msgpack.AppendBytes(b, r.body)
	b = msgpack.AppendInt(b, int64(r.status))
	b, _ = msgpack.AppendValue(b, r.headers) // texts only
	return b
}

// coded gives an error the category that the original's libraries have for it.
func coded(err error) error {
	text := "cannot fetch: " + err.Error()
	if dns, ok := errors.AsType[*net.DNSError](err); ok && !dns.IsTimeout {
		const notFound, tryAgain = 1, 2 // of the resolver
		if dns.IsTemporary {
			return rpc.Errorf(idl.CategoryHostLookup, tryAgain, "%s", text)
		}
		return rpc.Errorf(idl.CategoryHostLookup, notFound, "%s", text)
	}
	timeout, isNet := errors.AsType[net.Error](err)
	errno, isErrno := errors.AsType[syscall.Errno](err)
	switch {
	case errors.Is(err, ErrForbidden):
		return rpc.Errorf(idl.CategoryGeneric, idl.GenericDenied, "%s", text)
	case errors.Is(err, ErrTooLarge):
		return rpc.Errorf(idl.CategoryGeneric, int(syscall.EFBIG), "%s", text)
	case errors.Is(err, ErrRequest):
		return rpc.Errorf(idl.CategoryGeneric, idl.GenericInvalid, "%s", text)
	case errors.Is(err, context.DeadlineExceeded), isNet && timeout.Timeout():
		return rpc.Errorf(idl.CategoryGeneric, idl.GenericTimeout, "%s", text)
	case errors.Is(err, context.Canceled):
		return err
	case isErrno:
		return rpc.Errorf(idl.CategorySocket, int(errno), "%s", text)
	}
	return rpc.Errorf(idl.CategoryGeneric, idl.GenericIO, "%s", text)
}
