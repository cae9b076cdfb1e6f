package main

import (
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/internal/httpwire"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
	"github.com/cocaine/cocaine-go/internal/standin"
)

func TestMain(m *testing.M) {
	if standin.AsProcess() {
		main()
	}
	goleak.VerifyTestMain(m)
}

const (
	invoke, write, fail, closing = 0, 0, 1, 2 // message ids
)

func request(runtime *rpctest.Peer, channel uint64, uri string) {
	runtime.Send(channel, invoke, "http")
	runtime.Send(channel, write, string(httpwire.AppendRequest(nil, &httpwire.Request{
		Method: "GET", URI: uri, Version: "1.1", Fields: []httpwire.Field{{Name: "Host", Value: "example.org"}},
	})))
}

func chunk(t *testing.T, f rpctest.Frame, channel uint64) []byte {
	t.Helper()
	r := msgpack.NewReader(f.Args)
	r.Array()
	b := r.Bytes()
	if f.Channel != channel || f.Type != write || r.Err() != nil {
		t.Fatalf("got frame %v, want a chunk on channel %d", f, channel)
	}
	return b
}

// get makes a request and reads the response: its status, the type and the body.
func get(t *testing.T, runtime *rpctest.Peer, channel uint64, uri string) (int, string, string) {
	t.Helper()
	request(runtime, channel, uri)
	runtime.Send(channel, closing)
	head, err := httpwire.ParseHead(chunk(t, runtime.Recv(), channel))
	if err != nil {
		t.Fatal(err)
	}
	contentType := ""
	for _, f := range head.Fields {
		if f.Name == "Content-Type" {
			contentType = f.Value
		}
	}
	var body []byte
	for {
		f := runtime.Recv()
		if f.Channel == channel && f.Type == closing {
			return head.Status, contentType, string(body)
		}
		body = append(body, chunk(t, f, channel)...)
	}
}

func TestWeb(t *testing.T) {
	process, runtime := standin.Spawn(t, "web", "127.0.0.1:1")
	for i, tc := range []struct {
		uri         string
		status      int
		contentType string
		body        string // a part of it
	}{
		{"/", 200, "text/html; charset=utf-8", "<title>Primes</title>"},
		{"/?n=97", 200, "text/html; charset=utf-8", "<p>97 is a prime.</p>"},
		{"/?n=%3Cb%3E", 200, "text/html; charset=utf-8", "<p>&lt;b&gt; is not a number"},
		{"/api/primes/91", 200, "application/json", `{"n":91,"prime":false}`},
		{"/api/primes/x", 400, "application/json", `"error":`},
		{"/primes?below=20", 200, "text/plain", "2\n3\n5\n7\n11\n13\n17\n19\n"},
		{"/nowhere", 404, "text/plain; charset=utf-8", "404 page not found"},
	} {
		status, contentType, body := get(t, runtime, uint64(2+i), tc.uri)
		if status != tc.status || contentType != tc.contentType || !strings.Contains(body, tc.body) {
			t.Errorf("%s: %d %s\n%s", tc.uri, status, contentType, body)
		}
	}

	// The endless stream, until its reader goes away.
	request(runtime, 20, "/primes")
	if _, err := httpwire.ParseHead(chunk(t, runtime.Recv(), 20)); err != nil {
		t.Fatal(err)
	}
	if lines := string(chunk(t, runtime.Recv(), 20)); !strings.HasPrefix(lines, "2\n3\n5\n") || strings.Count(lines, "\n") != 100 {
		t.Errorf("the stream begins with %q", lines)
	}
	runtime.Send(20, fail, []any{1, 125}, "client is gone")
	for f := runtime.Recv(); f.Type == write; f = runtime.Recv() {
	}

	runtime.Send(1, 1, 1, "stop")
	runtime.Want(1, 1, 1, "stop")
	runtime.Close()
	if status := process.Wait(); status != 0 {
		t.Errorf("exit status %d", status)
	}
}
