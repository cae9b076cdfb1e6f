// Package urlfetch is the service `urlfetch`: HTTP requests made by the runtime for
// its clients (docs/PROTOCOL.md, urlfetch).
//
// It lets clients reach what the runtime reaches, and that may be more than they reach
// themselves; so it runs only where the configuration names it, and addresses that are
// link-local, where clouds keep the credentials of their machines, are refused unless
// Options.LinkLocal is set. Addresses are checked when a connection is made, after the
// name was resolved and on every redirect, and no proxy of the environment is used.
//
// A Fetcher is safe for concurrent use. Its goroutines are those of the calls, and of
// connections that are kept for the next one until Close.
package urlfetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// The causes of refusals. Match them with errors.Is.
var (
	// ErrForbidden refuses an address that may not be reached.
	ErrForbidden = errors.New("address may not be reached")
	// ErrTooLarge means that a body is larger than Options.MaxBytes.
	ErrTooLarge = errors.New("body is too large")
	// ErrRequest means that a request cannot be made as it is asked for.
	ErrRequest = errors.New("bad request")
)

// Options are the limits of a Fetcher.
type Options struct {
	// MaxBytes is the size of the largest body of an answer, unpacked. If zero, 16 MiB.
	MaxBytes int64
	// MaxTime is the longest time that a request may take, whatever its client says.
	// If zero, a minute.
	MaxTime time.Duration
	// Redirects is how many redirects are followed.
	Redirects int
	// Connections is how many connections to one host there are at once, and how many
	// are kept. If zero, 10.
	Connections int
	// LinkLocal permits link-local addresses and the like.
	LinkLocal bool
}

// Fetcher makes requests.
type Fetcher struct {
	o         Options
	transport *http.Transport
}

// maxHeader is how many bytes the header of an answer may have.
const maxHeader = 256 << 10

// New makes a Fetcher.
func New(o Options) *Fetcher {
	if o.MaxBytes <= 0 {
		o.MaxBytes = 16 << 20
	}
	if o.MaxTime <= 0 {
		o.MaxTime = time.Minute
	}
	if o.Connections <= 0 {
		o.Connections = 10
	}
	dialer := &net.Dialer{}
	if !o.LinkLocal {
		dialer.Control = func(_, address string, _ syscall.RawConn) error { return checkAddress(address) }
	}
	return &Fetcher{o: o, transport: &http.Transport{
		DialContext: dialer.DialContext, ForceAttemptHTTP2: true,
		MaxConnsPerHost: o.Connections, MaxIdleConns: o.Connections, MaxIdleConnsPerHost: o.Connections,
		IdleConnTimeout: 30 * time.Second, MaxResponseHeaderBytes: maxHeader,
	}}
}

// Close closes the connections that are kept. Requests that are under way go on.
func (f *Fetcher) Close() { f.transport.CloseIdleConnections() }

// checkAddress refuses addresses that belong to this link or machine's cloud alone.
func checkAddress(address string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %q", ErrForbidden, address)
	}
	if ip := embedded(at.Addr()); ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast() || ip.IsMulticast() || isMetadata(ip) {
		return fmt.Errorf("%w: %s is link-local", ErrForbidden, at.Addr())
	}
	return nil
}

// isMetadata reports whether clouds keep the credentials of machines there, beside the
// link-local addresses.
func isMetadata(ip netip.Addr) bool {
	switch ip.String() {
	case "fd00:ec2::254", "100.100.100.200":
		return true
	}
	return false
}

// embedded is the address that is meant by one that holds another.
func embedded(ip netip.Addr) netip.Addr {
	ip = ip.Unmap().WithZone("")
	b := ip.As16()
	if ip.Is6() && [12]byte(b[:]) == [12]byte{0, 0x64, 0xff, 0x9b} { // 64:ff9b::/96, gateways to IPv4
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return ip
}

// request is what a client asks for.
type request struct {
	method  string
	url     string
	body    []byte
	timeout time.Duration
	cookies map[string]string
	headers map[string]string
	follow  bool
}

// response is what came back.
type response struct {
	status  int
	body    []byte
	headers map[string]string // several of one name are joined by ", "
}

// do makes a request that begins at the given time.
func (f *Fetcher) do(ctx context.Context, began time.Time, r request) (*response, error) {
	ctx, cancel := context.WithDeadline(ctx, began.Add(min(r.timeout, f.o.MaxTime)))
	defer cancel()
	req, err := r.build(ctx)
	if err != nil {
		return nil, err
	}
	c := http.Client{Transport: f.transport, CheckRedirect: f.redirects(r.follow)}
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, f.o.MaxBytes+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > f.o.MaxBytes {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, f.o.MaxBytes)
	}
	out := &response{status: resp.StatusCode, body: body, headers: make(map[string]string, len(resp.Header))}
	for name, values := range resp.Header {
		out.headers[name] = strings.Join(values, ", ")
	}
	return out, nil
}

// redirects decides what happens to a redirect: it is followed, or it is the answer.
func (f *Fetcher) redirects(follow bool) func(*http.Request, []*http.Request) error {
	return func(_ *http.Request, via []*http.Request) error {
		switch {
		case !follow:
			return http.ErrUseLastResponse
		case len(via) > f.o.Redirects:
			return fmt.Errorf("%w: more than %d redirects", ErrRequest, f.o.Redirects)
		}
		return nil
	}
}

// userAgent is sent unless the client names another.
const userAgent = "cocaine"

func (r *request) build(ctx context.Context) (*http.Request, error) {
	u, err := url.Parse(r.url)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%w: scheme %q, want http or https", ErrRequest, u.Scheme)
	case u.Host == "":
		return nil, fmt.Errorf("%w: URL without a host", ErrRequest)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, strings.NewReader(string(r.body)))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	req.Header.Set("User-Agent", userAgent)
	for name, value := range r.headers {
		if !validHeader(name, value) {
			return nil, fmt.Errorf("%w: header %q", ErrRequest, name)
		}
		if strings.EqualFold(name, "Host") {
			req.Host = value
			continue
		}
		req.Header.Set(name, value)
	}
	for name, value := range r.cookies {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	return req, nil
}

// validHeader reports whether a header can be sent: else net/http tells with an error
// that is not told from one of the network.
func validHeader(name, value string) bool {
	const others = "!#$%&'*+-.^_`|~"
	for _, c := range []byte(name) {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || strings.IndexByte(others, c) >= 0) {
			return false
		}
	}
	for _, c := range []byte(value) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return name != ""
}
