package worker_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/httpwire"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/worker"
)

// playHTTP starts a worker with an http.Handler behind the event http.
func playHTTP(t *testing.T, h http.HandlerFunc, opts ...func(*worker.Options)) *scene {
	t.Helper()
	return play(t, func(w *worker.Worker) { w.HandleStream("http", worker.HTTP(h)) }, opts...)
}

// request sends a whole request, its body in one piece, as the original proxies do.
func (s *scene) request(channel uint64, q httpwire.Request) {
	s.t.Helper()
	s.Send(channel, invoke, "http")
	s.Send(channel, write, string(httpwire.AppendRequest(nil, &q)))
	s.Send(channel, closing)
}

func field(name, value string) httpwire.Field { return httpwire.Field{Name: name, Value: value} }

func get(uri string, fields ...httpwire.Field) httpwire.Request {
	return httpwire.Request{Method: "GET", URI: uri, Version: "1.1", Fields: append([]httpwire.Field{field("Host", "example.org")}, fields...)}
}

func post(uri, body string, fields ...httpwire.Field) httpwire.Request {
	q := get(uri, append(fields, field("Content-Length", fmt.Sprint(len(body))))...)
	q.Method, q.Body = "POST", []byte(body)
	return q
}

// chunk reads the next frame, which has to be a chunk.
func (s *scene) chunk(channel uint64) []byte {
	s.t.Helper()
	f := s.Recv()
	r := msgpack.NewReader(f.Args)
	r.Array()
	b := r.Bytes()
	if f.Channel != channel || f.Type != write || r.Err() != nil {
		s.t.Fatalf("got frame %v, want a chunk on channel %d", f, channel)
	}
	return b
}

// head reads the head of a response.
func (s *scene) head(channel uint64) httpwire.Head {
	s.t.Helper()
	h, err := httpwire.ParseHead(s.chunk(channel))
	if err != nil {
		s.t.Fatal(err)
	}
	return h
}

// A reply is a response without what is not the handler's.
type reply struct {
	status int
	header http.Header
	body   string
	failed bool // it was aborted
}

// reply reads a whole response.
func (s *scene) reply(channel uint64) reply {
	s.t.Helper()
	r := reply{header: make(http.Header)}
	for n := 0; ; n++ {
		f := s.Recv()
		args := msgpack.NewReader(f.Args)
		args.Array()
		switch {
		case f.Channel != channel:
			s.t.Fatalf("got frame %v, want one on channel %d", f, channel)
		case f.Type == closing && n > 0:
			return r
		case f.Type == fail:
			r.failed = true
			return r
		case f.Type == write && n == 0:
			h, err := httpwire.ParseHead(args.Bytes())
			if err != nil {
				s.t.Fatal(err)
			}
			r.status = h.Status
			for _, f := range h.Fields {
				r.header.Add(f.Name, f.Value)
			}
		case f.Type == write:
			b := args.Bytes()
			if len(b) == 0 {
				s.t.Error("got an empty chunk, which would end the body")
			}
			r.body += string(b)
		default:
			s.t.Fatalf("got frame %v", f)
		}
	}
}

func unhex(t testing.TB, s string) string {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The bytes that the original proxies send, and those that they expect.
func TestHTTPHandlerFromWire(t *testing.T) {
	s := playHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "GET" || r.URL.Path != "/" || r.FormValue("x") != "1" || r.Host != "x" || r.Proto != "HTTP/1.1" || r.Body != http.NoBody {
			t.Errorf("got %+v", r)
		}
		w.Header().Set("Content-Type", "text/plain")
		w.(http.Flusher).Flush()
		io.WriteString(w, "hello")
	})
	s.Send(2, invoke, "http")
	s.Send(2, write, unhex(t, "95 a3474554 a52f3f783d31 a3312e31 91 92a4486f7374a178 a0"))
	s.Send(2, closing)
	s.Want(2, write, unhex(t, "92 ccc8 91 92 ac436f6e74656e742d54797065 aa746578742f706c61696e"))
	s.Want(2, write, "hello")
	s.Want(2, closing)
	s.stop()
}

func TestHTTPRequestFromWire(t *testing.T) {
	var got *http.Request
	var body []byte
	s := playHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
	})
	s.request(2, httpwire.Request{Method: "PUT", URI: "/a%2Fb/c?q=1&q=2", Version: "HTTP/1.0", Body: []byte("body"), Fields: []httpwire.Field{
		field("HOST", "example.org:81"), field("x-two", "2"), field("X-One", "a"), field("X-Two", "1"), field("x-real-ip", "192.0.2.1"), field("Connection", "keep-alive, Close"),
		field("Content-Length", "4"), field("Cookie", "a=b"),
	}})
	s.reply(2)
	want := http.Header{
		"X-Two": {"2", "1"}, "X-One": {"a"}, "X-Real-Ip": {"192.0.2.1"}, "Connection": {"keep-alive, Close"}, "Content-Length": {"4"}, "Cookie": {"a=b"},
	}
	if !reflect.DeepEqual(got.Header, want) {
		t.Errorf("header %v", got.Header)
	}
	if got.Method != "PUT" || got.RequestURI != "/a%2Fb/c?q=1&q=2" || got.URL.Path != "/a/b/c" || got.URL.RawPath != "/a%2Fb/c" || got.URL.RawQuery != "q=1&q=2" {
		t.Errorf("%s %s, %+v", got.Method, got.RequestURI, got.URL)
	}
	if got.Host != "example.org:81" || got.RemoteAddr != "192.0.2.1:0" || got.TLS != nil || !got.Close {
		t.Errorf("host %q, from %q, TLS %v, close %t", got.Host, got.RemoteAddr, got.TLS, got.Close)
	}
	if got.Proto != "HTTP/1.0" || got.ProtoMajor != 1 || got.ProtoMinor != 0 || got.ContentLength != 4 || string(body) != "body" {
		t.Errorf("%s (%d.%d), %d bytes: %q", got.Proto, got.ProtoMajor, got.ProtoMinor, got.ContentLength, body)
	}
	if c, err := got.Cookie("a"); err != nil || c.Value != "b" {
		t.Errorf("cookie %v, %v", c, err)
	}
	s.stop()
}

func TestHTTPRemoteAddr(t *testing.T) {
	s := playHTTP(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "from "+r.RemoteAddr) })
	for i, tc := range []struct{ real, forwarded, want string }{
		{"", "", ""},
		{"192.0.2.1", "192.0.2.2, 10.0.0.1", "192.0.2.1:0"},
		{"", " 192.0.2.2 , 10.0.0.1", "192.0.2.2:0"},
		{"", "192.0.2.2:4711", "192.0.2.2:4711"},
		{"2001:db8::1", "", "[2001:db8::1]:0"},
		{"[2001:db8::1]:5", "", "[2001:db8::1]:5"},
		{"unknown", "192.0.2.2", "192.0.2.2:0"},
		{"unknown", "_hidden", ""},
	} {
		q := get("/")
		if tc.real != "" {
			q.Fields = append(q.Fields, field("X-Real-IP", tc.real))
		}
		if tc.forwarded != "" {
			q.Fields = append(q.Fields, field("X-Forwarded-For", tc.forwarded))
		}
		s.request(uint64(i+2), q)
		if r := s.reply(uint64(i + 2)); r.body != "from "+tc.want {
			t.Errorf("%+v: %s", tc, r.body)
		}
	}
	s.stop()
}

func TestHTTPBadRequests(t *testing.T) {
	s := playHTTP(t, func(http.ResponseWriter, *http.Request) { t.Error("the handler was called") })
	channel := uint64(1)
	for name, q := range map[string]httpwire.Request{
		"method":        {Method: "GE T", URI: "/", Version: "1.1"},
		"no method":     {URI: "/", Version: "1.1"},
		"uri":           {Method: "GET", URI: "a b", Version: "1.1"},
		"escape":        {Method: "GET", URI: "/%zz", Version: "1.1"},
		"version":       {Method: "GET", URI: "/", Version: "x"},
		"no version":    {Method: "GET", URI: "/"},
		"header name":   get("/", field("a b", "c")),
		"no name":       get("/", field("", "c")),
		"header value":  get("/", field("a", "b\r\nc: d")),
		"length":        get("/", field("Content-Length", "-1")),
		"two lengths":   get("/", field("Content-Length", "1"), field("Content-Length", "2")),
		"signed length": get("/", field("Content-Length", "+1")),
	} {
		channel++
		s.request(channel, q)
		if r := s.reply(channel); r.status != 400 || r.failed || !strings.HasPrefix(r.body, "400 Bad Request: ") {
			t.Errorf("%s: %+v", name, r)
		}
	}
	for _, chunk := range []string{"", "\xc0", "\x95\xa0\xa0\xa0\x90"} {
		channel++
		s.ask(channel, "http", chunk)
		s.WantError(channel, 12, 22)
	}
	s.Send(channel+1, invoke, "http")
	s.Send(channel+1, closing)
	s.WantError(channel+1, 12, 22)
	s.stop()
}

// The handlers of a program that runs under net/http as well as behind a runtime.
var conforming = []struct {
	name    string
	request httpwire.Request
	handler http.HandlerFunc
}{
	{"nothing", get("/"), func(http.ResponseWriter, *http.Request) {}},
	{"text", get("/"), func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }},
	{"html", get("/"), func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<!doctype html><p>hello") }},
	{"binary in pieces", get("/"), func(w http.ResponseWriter, _ *http.Request) {
		for range 100 {
			w.Write([]byte{0x89, 'P', 'N', 'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 1})
		}
	}},
	{"empty write", get("/"), func(w http.ResponseWriter, _ *http.Request) { w.Write(nil) }},
	{"status", get("/"), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }},
	{"odd status", get("/"), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(599); io.WriteString(w, "x") }},
	{"headers", get("/"), func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Add("Set-Cookie", "b=2")
		h.Add("Set-Cookie", "a=1")
		h["x-raw-name"] = []string{"1"}
		h.Set("X-Break", "a\r\nb: c")
		h.Set("Content-Type", "application/json")
		io.WriteString(w, "{}")
	}},
	{"late header", get("/"), func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("A", "1")
		w.WriteHeader(201)
		h.Set("A", "2")
		w.Header().Set("B", "1")
		w.WriteHeader(500)
	}},
	{"no type wanted", get("/"), func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		io.WriteString(w, "hello")
	}},
	{"encoded", get("/"), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		io.WriteString(w, "hello")
	}},
	{"error", get("/"), func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "sorry", http.StatusServiceUnavailable) }},
	{"not found", get("/"), http.NotFound},
	{"redirect", get("/a/b"), func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "../c?x=1", http.StatusFound) }},
	{"declared length", get("/"), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		io.WriteString(w, "hel")
		io.WriteString(w, "lo")
	}},
	{"beyond the declared length", get("/"), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		io.WriteString(w, "hello")
		if _, err := w.Write([]byte("x")); err != http.ErrContentLength {
			panic(err)
		}
	}},
	{"less than the declared length", get("/"), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "500")
		io.WriteString(w, "hello")
	}},
	{"bad length", get("/"), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "five")
		w.(http.Flusher).Flush()
		io.WriteString(w, "hello")
	}},
	{"no content", get("/"), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		w.WriteHeader(204)
		if _, err := io.WriteString(w, "x"); err != http.ErrBodyNotAllowed {
			panic(err)
		}
	}},
	{"not modified", get("/"), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Etag", `"x"`)
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(304)
	}},
	{"head", httpwire.Request{Method: "HEAD", URI: "/", Version: "1.1", Fields: []httpwire.Field{field("Host", "x")}}, func(w http.ResponseWriter, _ *http.Request) {
		if n, err := io.WriteString(w, "<html>"); n != 6 || err != nil {
			panic(err)
		}
	}},
	{"head with length", httpwire.Request{Method: "HEAD", URI: "/", Version: "1.1", Fields: []httpwire.Field{field("Host", "x")}}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "12345")
	}},
	{"head of nothing", httpwire.Request{Method: "HEAD", URI: "/", Version: "1.1", Fields: []httpwire.Field{field("Host", "x")}}, func(http.ResponseWriter, *http.Request) {}},
	{"flushed", get("/"), func(w http.ResponseWriter, _ *http.Request) {
		for i := range 5 {
			fmt.Fprintf(w, "%d,", i)
			if err := http.NewResponseController(w).Flush(); err != nil {
				panic(err)
			}
		}
	}},
	{"large", get("/"), func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "<p>")
		w.Write(bytes.Repeat([]byte("0123456789"), 20_000))
		io.WriteString(w, strings.Repeat("x", 5_000))
		io.Copy(w, strings.NewReader(strings.Repeat("y", 100_000)))
	}},
	{"trailer", get("/"), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, "hello")
		w.(http.Flusher).Flush()
		w.Header().Set("X-Sum", "1")
		w.Header().Set(http.TrailerPrefix+"X-More", "2")
	}},
	{"transfer encoding", get("/"), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Transfer-Encoding", "chunked")
		w.(http.Flusher).Flush()
		io.WriteString(w, "hello")
	}},
	{"early hints", get("/"), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</x.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusAccepted)
	}},
	{"abort", get("/"), func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
	{"abort late", get("/"), func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "hello")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}},
	{"panic", get("/"), func(http.ResponseWriter, *http.Request) { panic("oops") }},
	{"bad status", get("/"), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(99) }},
	{"form", post("/?a=1&b=2", "a=3&c=4", field("Content-Type", "application/x-www-form-urlencoded")), func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.FormValue("a"), r.PostFormValue("b"), r.FormValue("b"), r.FormValue("c"))
	}},
	{"echo", post("/", strings.Repeat("body ", 10_000)), func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex() // net/http drops a part of the body otherwise
		fmt.Fprintln(w, r.ContentLength)
		io.Copy(w, r.Body)
	}},
	{"limited", post("/", "much too long"), func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 5))
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		}
	}},
	{"closed body", post("/", "unread"), func(w http.ResponseWriter, r *http.Request) {
		r.Body.Close()
		_, err := r.Body.Read(make([]byte, 1))
		fmt.Fprint(w, err == http.ErrBodyReadAfterClose)
	}},
	{"what it got", get("/a/%2e%2e/b?x=%20", field("X-B", "2"), field("X-A", "1"), field("X-B", "1")), func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, r.Method, r.RequestURI, r.URL, r.URL.Path, r.Host, r.Proto, r.ContentLength, r.TransferEncoding, r.Close, r.Header["X-B"], r.Header["X-A"])
	}},
	{"deadlines", get("/"), func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		soon := time.Now().Add(time.Hour)
		fmt.Fprint(w, c.SetReadDeadline(soon), c.SetWriteDeadline(soon), c.EnableFullDuplex(), c.SetReadDeadline(time.Time{}))
	}},
	{"timeout handler", get("/"), http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		for { // who returns before the time-out has been answered may still be in time
			if _, err := w.Write(nil); err == http.ErrHandlerTimeout {
				return
			}
			runtime.Gosched()
		}
	}), time.Millisecond, "too slow").ServeHTTP},
}

// The same handlers do the same under net/http and behind a runtime.
func TestHTTPConformance(t *testing.T) {
	for _, tc := range conforming {
		t.Run(tc.name, func(t *testing.T) {
			want := underNetHTTP(t, tc.request, tc.handler)
			s := playHTTP(t, tc.handler)
			s.request(2, tc.request)
			got := s.reply(2)
			s.stop()
			if got.failed != want.failed {
				t.Fatalf("failed: %t, under net/http: %t", got.failed, want.failed)
			}
			if got.failed {
				return // how much came before is a matter of time
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %d %v %.100q\nwant %d %v %.100q", got.status, got.header, got.body, want.status, want.header, want.body)
			}
		})
	}
}

// underNetHTTP serves a request with an http.Server and a client of net/http.
func underNetHTTP(t *testing.T, q httpwire.Request, h http.Handler) reply {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = discardLog
	server.Start()
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s %s HTTP/%s\r\n", q.Method, q.URI, q.Version)
	for _, f := range q.Fields {
		fmt.Fprintf(conn, "%s: %s\r\n", f.Name, f.Value)
	}
	if _, err := fmt.Fprintf(conn, "\r\n%s", q.Body); err != nil {
		t.Fatal(err)
	}
	resp, err := skipInformational(bufio.NewReader(conn), &http.Request{Method: q.Method})
	if err != nil {
		return reply{failed: true}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{failed: true}
	}
	resp.Header.Del("Date") // the front's
	resp.Header.Del("Connection")
	maps.DeleteFunc(resp.Header, func(_ string, v []string) bool { return len(v) == 0 })
	return reply{status: resp.StatusCode, header: resp.Header, body: string(body)}
}

// skipInformational reads the final response.
func skipInformational(conn *bufio.Reader, r *http.Request) (*http.Response, error) {
	for {
		resp, err := http.ReadResponse(conn, r)
		if err != nil || resp.StatusCode >= 200 {
			return resp, err
		}
	}
}

// A head in one chunk, as write_head of the original frameworks sent it.
func TestHTTPHead(t *testing.T) {
	s := playHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["X-B"] = []string{"2", "1"}
		w.Header().Set("X-A", "a")
		w.WriteHeader(404)
	})
	s.request(2, get("/"))
	want := httpwire.Head{Status: 404, Fields: []httpwire.Field{field("Content-Length", "0"), field("X-A", "a"), field("X-B", "2"), field("X-B", "1")}}
	if h := s.head(2); !reflect.DeepEqual(h, want) {
		t.Errorf("got %v", h)
	}
	s.Want(2, closing)
	s.stop()
}

// Small pieces are sent together, flushed ones at once, and before the handler ends.
func TestHTTPStreaming(t *testing.T) {
	next := make(chan struct{})
	s := playHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 1000 {
			io.WriteString(w, "0123456789")
		}
		w.(http.Flusher).Flush()
		<-next
		io.WriteString(w, "one")
		w.(http.Flusher).Flush()
		w.(http.Flusher).Flush() // nothing
		<-next
		io.WriteString(w, "two")
	})
	s.request(2, get("/"))
	if h := s.head(2); h.Status != 200 || len(h.Fields) != 1 {
		t.Errorf("head %v", h)
	}
	var sizes []int
	for total := 0; total < 10_000; {
		n := len(s.chunk(2))
		total += n
		sizes = append(sizes, n)
	}
	if want := []int{4096, 4096, 10_000 - 2*4096}; !slices.Equal(sizes, want) {
		t.Errorf("a body of 10000 bytes came in chunks of %v", sizes)
	}
	next <- struct{}{}
	s.Want(2, write, "one")
	next <- struct{}{}
	s.Want(2, write, "two")
	s.Want(2, closing)
	s.stop()
}

// A body that comes in several chunks is there as it comes.
func TestHTTPBodyInChunks(t *testing.T) {
	for name, framing := range map[string]httpwire.Field{"length": field("Content-Length", "200011"), "chunked": field("Transfer-Encoding", "chunked")} {
		t.Run(name, func(t *testing.T) {
			seen := make(chan string)
			s := playHTTP(t, func(w http.ResponseWriter, r *http.Request) {
				first := make([]byte, 6)
				if _, err := io.ReadFull(r.Body, first); err != nil {
					t.Error(err)
				}
				seen <- string(first)
				rest, err := io.ReadAll(r.Body)
				fmt.Fprint(w, r.ContentLength, r.TransferEncoding, len(rest), err)
			})
			q := get("/", framing)
			q.Method, q.Body = "POST", []byte("begin")
			s.Send(2, invoke, "http")
			s.Send(2, write, string(httpwire.AppendRequest(nil, &q)))
			s.Send(2, write, "")
			s.Send(2, write, "middle")
			if got := await(t, seen, "the body's beginning"); got != "beginm" {
				t.Errorf("it begins with %q", got)
			}
			for range 2 {
				s.Send(2, write, strings.Repeat("x", 100_000))
			}
			if name == "chunked" {
				s.Send(2, closing)
			} // with a length, it is known where the body ends
			want := "200011 [] 200005 <nil>"
			if name == "chunked" {
				want = "-1 [chunked] 200005 <nil>"
			}
			if r := s.reply(2); r.body != want {
				t.Errorf("got %q, want %q", r.body, want)
			}
			if name != "chunked" {
				s.Send(2, closing)
			}
			s.stop()
		})
	}
}

func TestHTTPBodyCutShort(t *testing.T) {
	s := playHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		fmt.Fprint(w, err)
	})
	s.request(2, get("/", field("Content-Length", "5")))
	if r := s.reply(2); r.body != io.ErrUnexpectedEOF.Error() {
		t.Errorf("got %q", r.body)
	}
	q := get("/", field("Content-Length", "5"))
	s.Send(3, invoke, "http")
	s.Send(3, write, string(httpwire.AppendRequest(nil, &q)))
	s.Send(3, fail, []any{5, 2}, "gone")
	if r := s.reply(3); !r.failed && !strings.Contains(r.body, "gone") {
		t.Errorf("got %+v", r)
	}
	s.stop()
}

// A proxy that changed the body counts: neither more is waited for nor less read.
func TestHTTPBodyLongerThanDeclared(t *testing.T) {
	s := playHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprint(w, r.ContentLength, r.Header["Content-Length"], string(body), err)
	})
	for i, fields := range [][]httpwire.Field{{field("Content-Length", "2")}, {}, {field("Content-Length", " 4"), field("Content-Length", "4")}} {
		q := get("/", fields...)
		q.Body = []byte("body")
		s.Send(uint64(2+i), invoke, "http")
		s.Send(uint64(2+i), write, string(httpwire.AppendRequest(nil, &q))) // and no close, as some proxies do
		if r := s.reply(uint64(2 + i)); r.body != "4 [4]body<nil>" && r.body != "4 []body<nil>" {
			t.Errorf("got %q", r.body)
		}
		s.Send(uint64(2+i), closing)
	}
	s.stop()
}

func TestHTTPMultipart(t *testing.T) {
	var form bytes.Buffer
	m := multipart.NewWriter(&form)
	m.WriteField("name", "Ann")
	f, _ := m.CreateFormFile("photo", "ann.png")
	f.Write(bytes.Repeat([]byte("png"), 1000))
	m.Close()
	s := playHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(10); err != nil { // the file goes to the disk
			t.Error(err)
		}
		file, header, err := r.FormFile("photo")
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		b, err := io.ReadAll(file)
		fmt.Fprint(w, r.FormValue("name"), " ", header.Filename, " ", len(b), err)
	})
	s.request(2, post("/", form.String(), field("Content-Type", m.FormDataContentType())))
	if r := s.reply(2); r.body != "Ann ann.png 3000 <nil>" {
		t.Errorf("got %+v", r)
	}
	s.stop()
}

// Fields of the query and of a form are one; where both have a value, that of the form
// is the first.
func TestHTTPForm(t *testing.T) {
	s := playHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.FormValue("both"), " ", r.FormValue("query"), " ", r.FormValue("form"), " ", r.Form["both"], " ", r.URL.Query()["both"])
	})
	s.request(2, post("/?both=q1&both=q2&query=q", "both=f1&both=f2&form=%C3%A9+x", field("Content-Type", "application/x-www-form-urlencoded")))
	if r := s.reply(2); r.body != "f1 q é x [f1 f2 q1 q2] [q1 q2]" {
		t.Errorf("got %q", r.body)
	}
	s.stop()
}

// The standard router, with what only it knows of a request.
func TestChiOrStdMux(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.PathValue("id"), " ", r.Pattern) })
	mux.Handle("/files/", http.StripPrefix("/files/", http.FileServerFS(page)))
	s := playHTTP(t, mux.ServeHTTP)
	for i, tc := range []struct {
		method, uri string
		status      int
		body        string
	}{
		{"GET", "/users/5", 200, "5 GET /users/{id}"},
		{"POST", "/users/5", 405, "Method Not Allowed\n"},
		{"GET", "/nowhere", 404, "404 page not found\n"},
		{"GET", "/files/a.txt", 200, "contents"},
		{"HEAD", "/files/a.txt", 200, ""},
		{"GET", "/files/../users/6", 307, "<a href=\"/users/6\">Temporary Redirect</a>.\n\n"},
	} {
		s.request(uint64(2+i), httpwire.Request{Method: tc.method, URI: tc.uri, Version: "1.1"})
		if r := s.reply(uint64(2 + i)); r.status != tc.status || r.body != tc.body {
			t.Errorf("%s %s: %d %q", tc.method, tc.uri, r.status, r.body)
		}
	}
	s.stop()
}

func TestHTTPContext(t *testing.T) {
	gone := make(chan error, 1)
	s := playHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			_, err := w.Write(make([]byte, 100_000))
			gone <- err
			return
		}
		deadline, ok := r.Context().Deadline()
		fmt.Fprintf(w, "%t %t %x %s", ok, time.Until(deadline) > time.Minute, cocaine.TraceOf(r.Context()).ID, worker.Headers(r.Context()).Get("x"))
	})
	q := get("/")
	s.SendHeaders(append(cocaine.Trace{ID: 0xabc, Span: 1}.Headers(), hpack.Header{Name: "x", Value: "y"},
		hpack.Header{Name: hpack.RequestTimeout, Value: "\x00\x00\x10\x00\x00\x00\x00\x00"}), 2, invoke, "http")
	s.Send(2, write, string(httpwire.AppendRequest(nil, &q)))
	s.Send(2, closing)
	if r := s.reply(2); r.body != "true true abc y" {
		t.Errorf("got %q", r.body)
	}
	q = get("/wait")
	s.Send(3, invoke, "http")
	s.Send(3, write, string(httpwire.AppendRequest(nil, &q)))
	s.head(3)
	s.Send(3, fail, []any{1, 125}, "client is gone")
	if err := await(t, gone, "the end of the context"); !errors.Is(err, &cocaine.Error{Category: 1, Code: 125}) {
		t.Errorf("Write returned %v", err)
	}
	s.WantError(3, 1, 125)
	s.stop()
}

// A client that does not read holds up its handler, until the time is up that the
// handler or the caller has set.
func TestHTTPBackPressure(t *testing.T) {
	for name, want := range map[string]error{"caller": context.DeadlineExceeded, "handler": os.ErrDeadlineExceeded} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				result := make(chan error)
				s := playHTTP(t, func(w http.ResponseWriter, r *http.Request) {
					if name == "handler" {
						http.NewResponseController(w).SetWriteDeadline(time.Now().Add(4 * time.Second))
					}
					_, err := w.Write(make([]byte, 64<<20))
					result <- err
				})
				start := time.Now()
				q := get("/")
				var hs []hpack.Header
				if name == "caller" {
					hs = []hpack.Header{{Name: hpack.RequestTimeout, Value: "\xa0\x0f\x00\x00\x00\x00\x00\x00"}} // 4000 ms
				}
				s.SendHeaders(hs, 2, invoke, "http")
				s.Send(2, write, string(httpwire.AppendRequest(nil, &q)))
				s.Send(2, closing)
				if err := <-result; !errors.Is(err, want) || time.Since(start) != 4*time.Second {
					t.Errorf("Write returned %v after %v, want %v after 4 s", err, time.Since(start), want)
				}
				f := s.Recv()
				for f.Type == write { // what was on its way
					f = s.Recv()
				}
				if f.Type != fail {
					t.Errorf("got %v, want an error", f)
				}
				s.stop()
			})
		})
	}
}

// A small response costs one write, its end included.
func TestHTTPOneWrite(t *testing.T) {
	conn := new(countingConn)
	s := playHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 100 {
			io.WriteString(w, "0123456789")
		}
	}, func(o *worker.Options) {
		dial := o.Dial
		o.Dial = func(ctx context.Context, network, address string) (c net.Conn, err error) {
			conn.Conn, err = dial(ctx, network, address)
			return conn, err
		}
	})
	before := conn.writes.Load()
	for channel := range uint64(20) {
		s.request(channel+2, get("/"))
		s.reply(channel + 2)
	}
	if n := conn.writes.Load() - before; n != 20 {
		t.Errorf("20 responses took %d writes", n)
	}
	s.stop()
}

type countingConn struct {
	net.Conn
	writes atomic.Int64
}

func (c *countingConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// Whatever is sent as a request, it is answered, and the handler may read it.
func FuzzHTTPRequest(f *testing.F) {
	for _, q := range []httpwire.Request{
		get("/?a=b"), post("/", "body"), get("*", field("Transfer-Encoding", "chunked")), get("http://h/x", field("Content-Length", "3")),
		post("/", "a=b", field("Content-Type", "application/x-www-form-urlencoded")),
	} {
		f.Add(httpwire.AppendRequest(nil, &q), []byte("more"))
	}
	f.Fuzz(func(t *testing.T, request, more []byte) {
		s := playHTTP(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.ContainsAny(fmt.Sprint(r.Header, r.Method), "\r\n\x00") || r.Body == nil || r.URL == nil {
				t.Errorf("got %+v", r)
			}
			r.FormValue("a")
			n, err := io.Copy(w, r.Body)
			if err == nil && r.ContentLength >= 0 && n > r.ContentLength {
				t.Errorf("the body has %d bytes, want at most %d", n, r.ContentLength)
			}
		})
		s.Send(2, invoke, "http")
		s.Send(2, write, string(request))
		s.Send(2, write, string(more))
		s.Send(2, closing)
		s.reply(2)
		s.stop()
	})
}

func TestHTTPReadDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := playHTTP(t, func(w http.ResponseWriter, r *http.Request) {
			c := http.NewResponseController(w)
			start := time.Now()
			c.SetReadDeadline(start.Add(time.Second))
			c.SetReadDeadline(start.Add(3 * time.Second))
			for range 2 {
				_, err := r.Body.Read(make([]byte, 1))
				fmt.Fprint(w, err, " ", time.Since(start), "; ")
				c.SetReadDeadline(start.Add(time.Hour)) // too late
			}
		})
		q := get("/", field("Content-Length", "1"))
		s.Send(2, invoke, "http")
		s.Send(2, write, string(httpwire.AppendRequest(nil, &q)))
		if r := s.reply(2); r.body != "i/o timeout 3s; i/o timeout 3s; " {
			t.Errorf("got %q", r.body)
		}
		s.Send(2, closing)
		s.stop()
	})
}

func TestHTTPHijack(t *testing.T) {
	s := playHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _, err := http.NewResponseController(w).Hijack()
		fmt.Fprint(w, errors.Is(err, http.ErrNotSupported), " ", err)
	})
	s.request(2, get("/"))
	if r := s.reply(2); !strings.HasPrefix(r.body, "true cannot hijack connection: ") {
		t.Errorf("got %q", r.body)
	}
	s.stop()
}

// A writer that outlives its handler does no harm.
func TestHTTPWriterOutlivesHandler(t *testing.T) {
	var kept http.ResponseWriter
	s := playHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		kept = w
		io.WriteString(w, "x")
	})
	s.request(2, get("/"))
	s.reply(2)
	s.stop() // the handler has returned
	kept.WriteHeader(500)
	kept.(http.Flusher).Flush()
	if _, err := io.WriteString(kept, "late"); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}

func TestHTTPPanicIsLogged(t *testing.T) {
	s := playHTTP(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/abort" {
			panic(http.ErrAbortHandler)
		}
		panic("oops")
	})
	s.request(2, get("/abort"))
	if text := s.WantError(2, 42, 100); text != "handler aborted the response" {
		t.Errorf("the error reads %q", text)
	}
	if log := s.log.String(); strings.Contains(log, "panic") {
		t.Errorf("the log has %s", log)
	}
	s.request(3, get("/"))
	if text := s.WantError(3, 42, 100); text != "panic: oops" {
		t.Errorf("the error reads %q", text)
	}
	if log := s.log.String(); !strings.Contains(log, "TestHTTPPanicIsLogged.func1") {
		t.Errorf("the log does not say where: %s", log)
	}
	s.stop()
}

// Small limits do not keep a response from going out, in smaller pieces.
func TestHTTPSmallChunks(t *testing.T) {
	const limit = 200
	s := playHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, strings.Repeat("a", 150))
		io.WriteString(w, strings.Repeat("b", 1000))
	}, func(o *worker.Options) { o.MaxChunk = limit })
	s.request(2, get("/"))
	s.head(2)
	var body []byte
	for len(body) < 1150 {
		c := s.chunk(2)
		if len(c) > limit {
			t.Errorf("a chunk of %d bytes", len(c))
		}
		body = append(body, c...)
	}
	s.Want(2, closing)
	s.stop()
}

// A head cannot be cut.
func TestHTTPHeadTooLarge(t *testing.T) {
	s := playHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 500))
		if err := http.NewResponseController(w).Flush(); err == nil {
			t.Error("a head over the limit was sent")
		}
		if _, err := w.Write(make([]byte, 500)); err == nil {
			t.Error("a body without a head was sent")
		}
	}, func(o *worker.Options) { o.MaxChunk = 200 })
	s.request(2, get("/"))
	if text := s.WantError(2, 42, 100); !strings.Contains(text, "too large") {
		t.Errorf("the error reads %q", text)
	}
	s.stop()
}

func BenchmarkHTTP(b *testing.B) {
	conn := serveSocket(b, func(w *worker.Worker) {
		w.HandleStream("http", worker.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			io.WriteString(w, r.URL.Path)
		})))
	})
	q := get("/a/b?c=d", field("User-Agent", "benchmark"), field("Accept", "*/*"), field("X-Real-IP", "192.0.2.1"))
	r := newRequester(conn)
	r.invocation = msgpack.AppendString(msgpack.AppendArray(nil, 1), "http")
	r.chunk = msgpack.AppendBytes(msgpack.AppendArray(nil, 1), httpwire.AppendRequest(nil, &q))
	b.ReportAllocs()
	for b.Loop() {
		if err := r.call(); err != nil {
			b.Fatal(err)
		}
	}
}
