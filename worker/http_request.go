package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/cocaine/cocaine-go/internal/httpwire"
)

// newHTTPRequest makes the request that a handler sees. Its errors are the client's
// mistakes.
func newHTTPRequest(ctx context.Context, s *Stream, reading *cutoff, q *httpwire.Request) (*http.Request, error) {
	if !isToken(q.Method) {
		return nil, fmt.Errorf("invalid method %q", q.Method)
	}
	r := &http.Request{Method: q.Method, RequestURI: q.URI}
	if r.RequestURI == "" {
		r.RequestURI = "/"
	}
	var err error
	if r.URL, err = url.ParseRequestURI(r.RequestURI); err != nil {
		return nil, errors.New("invalid URI")
	}
	if err := setProto(r, q.Version); err != nil {
		return nil, err
	}
	if r.Header, err = httpHeader(q.Fields); err != nil {
		return nil, err
	}
	if r.Host = r.URL.Host; r.Host == "" {
		r.Host = r.Header.Get("Host")
	}
	r.Header.Del("Host")
	r.RemoteAddr = remoteAddr(r.Header)
	r.Close = closes(r)
	body := &requestBody{stream: s, reading: reading, rest: q.Body}
	if err := body.measure(r); err != nil {
		return nil, err
	}
	return r.WithContext(ctx), nil
}

// setProto reads a version with HTTP/ before it or without, as different proxies
// write it.
func setProto(r *http.Request, version string) (err error) {
	number := strings.TrimPrefix(version, "HTTP/")
	if !strings.Contains(number, ".") {
		number += ".0" // HTTP/2
	}
	r.Proto = "HTTP/" + number
	var ok bool
	if r.ProtoMajor, r.ProtoMinor, ok = http.ParseHTTPVersion(r.Proto); !ok {
		return fmt.Errorf("invalid version %q", version)
	}
	return nil
}

func httpHeader(fields []httpwire.Field) (http.Header, error) {
	h := make(http.Header, len(fields))
	values := make([]string, len(fields)) // one array for the usual case of one value a name
	for i, f := range fields {
		if !isToken(f.Name) {
			return nil, fmt.Errorf("invalid header name %q", f.Name)
		}
		if !isFieldValue(f.Value) {
			return nil, fmt.Errorf("invalid value of header %s", f.Name)
		}
		name := textproto.CanonicalMIMEHeaderKey(f.Name)
		if old := h[name]; old != nil {
			h[name] = append(old, f.Value)
			continue
		}
		values[i] = f.Value
		h[name] = values[i : i+1 : i+1]
	}
	return h, nil
}

// remoteAddr is the client as the proxy tells it. What is no address is ignored.
func remoteAddr(h http.Header) string {
	first, _, _ := strings.Cut(h.Get("X-Forwarded-For"), ",")
	for _, s := range []string{h.Get("X-Real-Ip"), first} {
		s = strings.TrimSpace(s)
		if ip, err := netip.ParseAddr(s); err == nil {
			return net.JoinHostPort(ip.String(), "0")
		}
		if a, err := netip.ParseAddrPort(s); err == nil {
			return a.String()
		}
	}
	return ""
}

// closes reports whether the client said that the connection is to end.
func closes(r *http.Request) bool {
	for _, v := range r.Header["Connection"] {
		for token := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(token), "close") {
				return true
			}
		}
	}
	return false
}

// untilEnd is the length of a body that ends with the caller's half of the stream.
const untilEnd = -1

// A requestBody is the beginning of a body, which came with the request, and what
// the caller sends after it.
type requestBody struct {
	stream  *Stream
	reading *cutoff
	rest    []byte // received and not yet read
	left    int64  // still to be received; or untilEnd
	closed  atomic.Bool
}

// measure gives the request its body. A body that is longer than declared is what
// the proxy made of it: its length counts.
func (b *requestBody) measure(r *http.Request) error {
	if te := r.Header["Transfer-Encoding"]; len(te) > 0 {
		r.Header.Del("Transfer-Encoding")
		r.Header.Del("Content-Length")
		r.Body, r.ContentLength, r.TransferEncoding = b, untilEnd, []string{"chunked"}
		b.left = untilEnd
		return nil
	}
	r.ContentLength = int64(len(b.rest))
	if lengths := r.Header["Content-Length"]; len(lengths) > 0 {
		declared, err := contentLength(lengths)
		if err != nil {
			return err
		}
		r.ContentLength = max(declared, r.ContentLength)
		r.Header["Content-Length"] = []string{strconv.FormatInt(r.ContentLength, 10)}
	}
	b.left = r.ContentLength - int64(len(b.rest))
	r.Body = b
	if r.ContentLength == 0 {
		r.Body = http.NoBody
	}
	return nil
}

// contentLength reads the header, which may be repeated if it says the same.
func contentLength(lengths []string) (int64, error) {
	for _, l := range lengths[1:] {
		if textproto.TrimString(l) != textproto.TrimString(lengths[0]) {
			return 0, errors.New("contradictory Content-Length")
		}
	}
	n, err := strconv.ParseUint(textproto.TrimString(lengths[0]), 10, 63)
	if err != nil {
		return 0, errors.New("invalid Content-Length")
	}
	return int64(n), nil
}

// Read implements io.Reader.
func (b *requestBody) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	if len(p) == 0 {
		return 0, nil
	}
	for len(b.rest) == 0 {
		if err := b.receive(); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// receive waits for the next chunk of the body.
func (b *requestBody) receive() error {
	if b.left == 0 {
		return io.EOF
	}
	chunk, err := b.stream.Recv(b.reading.context())
	switch {
	case err == io.EOF && b.left > 0:
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	case b.left == untilEnd:
		b.rest = chunk
		return nil
	}
	b.rest = chunk[:min(int64(len(chunk)), b.left)] // more is not of this body
	b.left -= int64(len(b.rest))
	return nil
}

// Close implements io.Closer.
func (b *requestBody) Close() error {
	b.closed.Store(true)
	return nil
}

// isToken reports whether s may be a method or the name of a header.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// isFieldValue reports whether s may be the value of a header: no control
// characters but tabs.
func isFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
