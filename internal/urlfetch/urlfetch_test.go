package urlfetch_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
	"github.com/cocaine/cocaine-go/internal/urlfetch"
	"github.com/cocaine/cocaine-go/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client makes one call after the other.
type client struct {
	*rpctest.Peer
	t       *testing.T
	channel uint64
}

func play(t *testing.T, o urlfetch.Options) *client {
	f := urlfetch.New(o)
	t.Cleanup(f.Close)
	return &client{t: t, Peer: rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{
		Acceptor: urlfetch.Service(f, rpc.MuxOptions{Calls: 2})}})}
}

func (c *client) call(method uint64, args ...any) {
	c.channel++
	c.Send(c.channel, method, args...)
}

// answer calls and returns what came back.
func (c *client) answer(method uint64, args ...any) (ok bool, body string, status int64, headers map[string]any) {
	c.t.Helper()
	c.call(method, args...)
	f := c.Recv()
	v := f.Values()
	if f.Channel != c.channel || f.Type != idl.Value || len(v) != 4 {
		c.t.Fatalf("got %v, want an answer", f)
	}
	return v[0].(bool), v[1].(string), v[2].(int64), v[3].(map[string]any)
}

func (c *client) refused(category, code int, text string, method uint64, args ...any) {
	c.t.Helper()
	c.call(method, args...)
	if got := c.WantError(c.channel, category, code); !strings.Contains(got, text) {
		c.t.Errorf("the error reads %q, want %q in it", got, text)
	}
}

// site is a web server that tells what it was asked, and has some odd pages.
func site(t *testing.T) string {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		cookie := "none"
		if c, err := r.Cookie("session"); err == nil {
			cookie = c.Value
		}
		w.Header()["X-Twice"] = []string{"a", "b"}
		fmt.Fprintf(w, "%s %s host=%s agent=%s x=%s cookie=%s body=%q", r.Method, r.URL, r.Host, r.UserAgent(), r.Header.Get("X-Mine"), cookie, body)
	})
	mux.HandleFunc("/missing", http.NotFound)
	mux.HandleFunc("/round/", func(w http.ResponseWriter, r *http.Request) {
		var n int
		fmt.Sscanf(r.URL.Path, "/round/%d", &n)
		if n == 0 {
			io.WriteString(w, "arrived")
			return
		}
		http.Redirect(w, r, fmt.Sprintf("/round/%d", n-1), http.StatusFound)
	})
	mux.HandleFunc("/metadata", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/latest", http.StatusFound)
	})
	mux.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
	})
	mux.HandleFunc("/large/", func(w http.ResponseWriter, r *http.Request) {
		var n int
		fmt.Sscanf(r.URL.Path, "/large/%d", &n)
		io.WriteString(w, strings.Repeat("x", n))
	})
	mux.HandleFunc("/bomb", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		io.WriteString(z, strings.Repeat("x", 1<<20))
		z.Close()
	})
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/hangup", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

func TestGetAndPost(t *testing.T) {
	at := site(t)
	c := play(t, urlfetch.Options{Redirects: 3})
	host := strings.TrimPrefix(at, "http://")
	for _, step := range []struct {
		method uint64
		args   []any
		want   string
	}{
		{idl.URLFetchGet, []any{at + "/p?q=1"}, "GET /p?q=1 host=" + host + ` agent=cocaine x= cookie=none body=""`},
		{idl.URLFetchGet, []any{at, 1000, map[string]string{"session": "s1"}, map[string]string{"X-Mine": "m", "User-Agent": "me", "Host": "other"}, false},
			`GET / host=other agent=me x=m cookie=s1 body=""`},
		{idl.URLFetchPost, []any{at, "some bytes"}, "POST / host=" + host + ` agent=cocaine x= cookie=none body="some bytes"`},
		{idl.URLFetchPost, []any{at, "b", 60000, map[string]string{}, map[string]string{"x-mine": "m"}, true, "surplus"},
			"POST / host=" + host + ` agent=cocaine x=m cookie=none body="b"`},
	} {
		ok, body, status, headers := c.answer(step.method, step.args...)
		if !ok || status != 200 || body != step.want || headers["X-Twice"] != "a, b" {
			t.Errorf("%v: %v, %d, %v,\n%s\nwant\n%s", step.args, ok, status, headers, body, step.want)
		}
	}
}

// TestStatus: what was answered is an answer, whatever it says.
func TestStatus(t *testing.T) {
	at := site(t)
	c := play(t, urlfetch.Options{Redirects: 3})
	if ok, body, status, _ := c.answer(idl.URLFetchGet, at+"/missing"); ok || status != 404 || !strings.Contains(body, "not found") {
		t.Errorf("%v, %d, %q", ok, status, body)
	}
	if ok, body, status, _ := c.answer(idl.URLFetchGet, at+"/round/3"); !ok || status != 200 || body != "arrived" {
		t.Errorf("three redirects: %v, %d, %q", ok, status, body)
	}
	empty := map[string]string{}
	if ok, _, status, headers := c.answer(idl.URLFetchGet, at+"/round/3", 5000, empty, empty, false); !ok || status != 302 || headers["Location"] != "/round/2" {
		t.Errorf("redirects are not to be followed: %v, %d, %v", ok, status, headers)
	}
	c.refused(idl.CategoryGeneric, idl.GenericInvalid, "more than 3 redirects", idl.URLFetchGet, at+"/round/4")
}

func TestSizeIsBounded(t *testing.T) {
	at := site(t)
	c := play(t, urlfetch.Options{MaxBytes: 1000})
	if _, body, _, _ := c.answer(idl.URLFetchGet, at+"/large/1000"); len(body) != 1000 {
		t.Errorf("%d bytes", len(body))
	}
	c.refused(idl.CategoryGeneric, int(syscall.EFBIG), "more than 1000 bytes", idl.URLFetchGet, at+"/large/1001")
	c.refused(idl.CategoryGeneric, int(syscall.EFBIG), "more than 1000 bytes", idl.URLFetchGet, at+"/bomb")
}

func TestTimeIsBounded(t *testing.T) {
	at := site(t)
	c := play(t, urlfetch.Options{})
	c.refused(idl.CategoryGeneric, idl.GenericTimeout, "deadline", idl.URLFetchGet, at+"/slow", 1)
	c = play(t, urlfetch.Options{MaxTime: time.Millisecond})
	c.refused(idl.CategoryGeneric, idl.GenericTimeout, "deadline", idl.URLFetchGet, at+"/slow", 1<<40)
}

// TestClientGoes: a request ends with the client that wanted it.
func TestClientGoes(t *testing.T) {
	arrived, gone := make(chan struct{}), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(gone)
	}))
	defer s.Close()
	c := play(t, urlfetch.Options{})
	c.call(idl.URLFetchGet, s.URL, 60000)
	<-arrived
	c.Close()
	select {
	case <-gone:
	case <-time.After(rpctest.Patience):
		t.Error("the request goes on")
	}
}

func TestNetworkErrors(t *testing.T) {
	at := site(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + ln.Addr().String()
	ln.Close()
	c := play(t, urlfetch.Options{})
	c.refused(idl.CategorySocket, idl.SocketConnectionRefused, "refused", idl.URLFetchGet, nobody)
	c.refused(idl.CategoryGeneric, idl.GenericIO, "EOF", idl.URLFetchGet, at+"/hangup")
}

// TestForbidden: addresses of the cloud's own are out of reach, by whatever way.
func TestForbidden(t *testing.T) {
	at := site(t)
	c := play(t, urlfetch.Options{Redirects: 5})
	for _, url := range []string{
		"http://169.254.169.254/latest/meta-data", "http://169.254.1.1:8080/", "http://[::ffff:169.254.169.254]/", "http://[64:ff9b::a9fe:a9fe]/",
		"http://[fe80::1%25lo]/", "http://[fd00:ec2::254]/", "http://100.100.100.200/", "http://224.0.0.1/", at + "/metadata",
	} {
		c.refused(idl.CategoryGeneric, idl.GenericDenied, "address may not be reached", idl.URLFetchGet, url)
	}
}

// TestLinkLocal: where it is permitted, a link-local address is dialed as any other.
// Nobody answers at this one, and a millisecond is not enough to find that out.
func TestLinkLocal(t *testing.T) {
	c := play(t, urlfetch.Options{LinkLocal: true})
	c.call(idl.URLFetchGet, "http://169.254.254.254:1/", 1)
	f := c.Recv()
	if e, err := rpc.DecodeError(f.Args); err == nil && f.Type == idl.Error && e.Code == idl.GenericDenied && e.Category == idl.CategoryGeneric {
		t.Errorf("got %v", f)
	}
}

func TestRefuses(t *testing.T) {
	c := play(t, urlfetch.Options{})
	const url = "http://127.0.0.1:1/"
	empty := map[string]string{}
	for _, args := range [][]any{{}, {nil}, {5}, {url, "5"}, {url, nil}, {url, 0}, {url, -5}, {url, 1.5}, {url, 1, nil}, {url, 1, []any{}},
		{url, 1, map[string]any{"a": 1}}, {url, 1, empty, "h"}, {url, 1, empty, empty, 1}, {url, 1, many(257)}} {
		c.refused(idl.CategoryDispatch, idl.DispatchBadArgs, "get", idl.URLFetchGet, args...)
	}
	for _, args := range [][]any{{}, {url}, {url, nil}, {url, 5}, {url, "body", "5"}, {url, "body", 0}} {
		c.refused(idl.CategoryDispatch, idl.DispatchBadArgs, "post", idl.URLFetchPost, args...)
	}
	for _, bad := range []string{"", "x", "/path", "ftp://127.0.0.1/", "file:///etc/passwd", "gopher://x", "http://", "http://a b/", "http://[::1", "\x00"} {
		c.refused(idl.CategoryGeneric, idl.GenericInvalid, "bad request", idl.URLFetchGet, bad)
	}
	for name, value := range map[string]string{"": "v", "a b": "v", "a\nb": "v", "a": "v\r\nb: c", "ü": "v"} {
		c.refused(idl.CategoryGeneric, idl.GenericInvalid, "bad request: header", idl.URLFetchGet, url, 1000, empty, map[string]string{name: value})
	}
}

// TestRedirectToFile: only the schemes of HTTP are followed.
func TestRedirectToFile(t *testing.T) {
	at := site(t)
	c := play(t, urlfetch.Options{Redirects: 5})
	c.call(idl.URLFetchGet, at+"/file")
	if f := c.Recv(); f.Type != idl.Error {
		t.Errorf("got %v", f)
	}
}

func many(n int) map[string]string {
	m := make(map[string]string, n)
	for i := range n {
		m[fmt.Sprint(i)] = "v"
	}
	return m
}

// FuzzCalls: any arguments are answered. Nothing is reached: the time is over before
// it begins.
func FuzzCalls(f *testing.F) {
	for _, args := range [][]any{{"http://127.0.0.1:1/"}, {"http://127.0.0.1:1/", 5000, map[string]string{"a": "b"}, map[string]string{"c": "d"}, true},
		{"http://127.0.0.1:1/", "body", 5000, map[string]string{"a": "b"}}} {
		b, err := msgpack.AppendValue(nil, args)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(0), b)
		f.Add(uint8(1), b)
	}
	f.Fuzz(func(t *testing.T, method uint8, args []byte) {
		r := msgpack.NewReader(args)
		if rest, err := msgpack.Skip(args, msgpack.MaxDepth-1); err != nil || len(rest) > 0 || r.Kind() != msgpack.KindArray {
			return // no arguments at all: the session's to refuse
		}
		c := play(t, urlfetch.Options{MaxTime: 1})
		c.Write(wire.AppendFrame(nil, wire.Frame{Channel: 1, Type: uint64(method % 2), Args: args}))
		if f := c.Recv(); f.Channel != 1 || f.Type != idl.Error {
			t.Errorf("answered with %v", f)
		}
	})
}
