package daemon_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/daemon"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// An oldClient is a client of v0.11, written by hand.
type oldClient struct {
	t       testing.TB
	conn    net.Conn
	buf     []byte
	session uint64
}

func dialOld(t testing.TB, address string) *oldClient {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &oldClient{t: t, conn: conn}
}

// send writes a call, whose session is the next one.
func (c *oldClient) send(method uint64, args ...any) {
	c.t.Helper()
	c.session++
	b, err := msgpack.AppendValue(msgpack.AppendUint(msgpack.AppendUint([]byte{0x93}, method), c.session), args)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// recv reads one message.
func (c *oldClient) recv() (wire.Frame, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return wire.Frame{}, err
	}
	for {
		f, n, err := wire.Parse(c.buf, wire.Limits{})
		if err == nil {
			c.buf = c.buf[n:]
			return f, nil
		}
		if !errors.Is(err, wire.ErrShort) {
			return f, err
		}
		b := make([]byte, 64<<10)
		n, err = c.conn.Read(b)
		c.buf = append(c.buf, b[:n]...)
		if n == 0 && err != nil {
			return f, err
		}
	}
}

// An oldError is the error of a call.
type oldError struct {
	code int64
	text string
}

// call makes a call and gives the payloads of its chunks.
func (c *oldClient) call(method uint64, args ...any) (chunks [][]byte, failed *oldError) {
	c.t.Helper()
	c.send(method, args...)
	for {
		f, err := c.recv()
		if err != nil {
			c.t.Fatalf("method %d: %v", method, err)
		}
		if f.Type != c.session || f.Headers != nil {
			c.t.Fatalf("method %d: got %v on session %d", method, f, c.session)
		}
		r := msgpack.NewReader(f.Args)
		switch r.Array(); f.Channel {
		case 4:
			chunks = append(chunks, slices.Clone(r.Bytes()))
		case 5:
			failed = &oldError{r.Int(), r.String()}
		case 6:
			return chunks, failed
		default:
			c.t.Fatalf("method %d: got %v", method, f)
		}
	}
}

// one makes a call that has one result.
func (c *oldClient) one(method uint64, args ...any) any {
	c.t.Helper()
	chunks, failed := c.call(method, args...)
	if failed != nil || len(chunks) != 1 {
		c.t.Fatalf("method %d: %d chunks, %v", method, len(chunks), failed)
	}
	return value(chunks[0])
}

func (c *oldClient) none(method uint64, args ...any) {
	c.t.Helper()
	if chunks, failed := c.call(method, args...); failed != nil || len(chunks) != 0 {
		c.t.Fatalf("method %d: %d chunks, %v", method, len(chunks), failed)
	}
}

func value(b []byte) any {
	r := msgpack.NewReader(b)
	return r.Value()
}

// resolved is what the locator of v0.11 tells of a service.
type resolved struct {
	address string
	version uint64
	methods map[uint64]string
}

func decodeResolved(t testing.TB, b []byte) resolved {
	t.Helper()
	r := msgpack.NewReader(b)
	r.Array()
	r.Array()
	host, port := r.String(), r.Uint()
	v := resolved{net.JoinHostPort(host, strconv.Itoa(int(port))), r.Uint(), make(map[uint64]string)}
	for range r.Map() {
		id := r.Uint()
		v.methods[id] = r.String()
	}
	if r.Err() != nil {
		t.Fatalf("resolve answers %x: %v", b, r.Err())
	}
	return v
}

// service resolves a service and connects to it.
func (c *oldClient) service(name string) *oldClient {
	c.t.Helper()
	chunks, failed := c.call(0, name)
	if failed != nil {
		c.t.Fatalf("resolve %s: %v", name, failed)
	}
	return dialOld(c.t, decodeResolved(c.t, chunks[0]).address)
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	g, err := msgpack.AppendValue(nil, got)
	w, err2 := msgpack.AppendValue(nil, want)
	if err != nil || err2 != nil || string(g) != string(w) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

type dict = map[string]any

// A client of v0.11 finds and drives every service, apps included.
func TestOldClientDrivesAllServices(t *testing.T) {
	d := start(t, daemon.Options{Config: configuration(directory(t), nil), Version: "v1"})
	newApp("hello").upload(t, dial(t, d.Addr().String()))
	loc := dialOld(t, d.Addr().String())

	node := loc.service("node")
	equal(t, "list", node.one(2), []any{})
	if _, failed := loc.call(0, "hello"); failed == nil || *failed != (oldError{1, "service hello is not available"}) {
		t.Errorf("an app that does not run: %v", failed)
	}
	equal(t, "start_app", node.one(0, dict{"hello": "hello"}), dict{"hello": "the app has been started"})
	equal(t, "start_app again", node.one(0, dict{"hello": "hello"}), dict{"hello": "the app is already running"})
	equal(t, "list", node.one(2), []any{"hello"})

	app := loc.service("hello")
	for _, text := range []string{"", "x", strings.Repeat("long", 50000)} {
		chunks, failed := app.call(0, "echo", text)
		if failed != nil || len(chunks) != 1 || string(chunks[0]) != text {
			t.Errorf("echo of %d bytes: %d chunks, %v", len(text), len(chunks), failed)
		}
	}
	if _, failed := app.call(0, "nosuch", ""); failed == nil || failed.code != -100 {
		t.Errorf("an event without a handler: %v", failed)
	}
	info, _ := app.one(1).(dict)
	equal(t, "profile of info", info["profile"], "hello")
	equal(t, "state of info", info["state"], "running")
	if have := slices.Sorted(maps.Keys(info)); !slices.Equal(have, []string{"load-median", "profile", "queue", "sessions", "slaves", "state"}) {
		t.Errorf("info has %v", have)
	}

	storage := loc.service("storage")
	storage.none(1, "c", "k", "blob", []any{"t"})
	equal(t, "read", storage.one(0, "c", "k"), "blob")
	equal(t, "find", storage.one(3, "c", []any{"t"}), []any{"k"})
	storage.none(2, "c", "k")
	if _, failed := storage.call(0, "c", "k"); failed == nil || *failed != (oldError{1, "object 'k' has not been found in 'c'"}) {
		t.Errorf("a key that is missing: %v", failed)
	}

	log := loc.service("logging")
	equal(t, "verbosity", log.one(1), 4)
	log.none(0, 1, "app/hello", "an old error")
	if got := severityOf(t, dial(t, d.Addr().String()), "an old error"); got != 3 {
		t.Errorf("level 1 is recorded with severity %d", got)
	}

	unicorn := loc.service("unicorn") // which v0.11 did not know
	equal(t, "create", unicorn.one(4, "/a", dict{"x": strings.Repeat("y", 40)}), true)
	equal(t, "get", unicorn.one(3, "/a"), []any{dict{"x": strings.Repeat("y", 40)}, 0})
	status, _ := loc.service("admin").one(0).(dict)
	equal(t, "status", status["version"], "v1")

	reports, _ := loc.one(2).(dict)
	if n := reports["unicorn"].([]any)[0]; n != int64(1) {
		t.Errorf("unicorn has %v connections", n)
	}
	loc.none(3, "group")

	equal(t, "pause_app", node.one(1, []any{"hello", "other"}), dict{"hello": "the app has been stopped", "other": "the app is not running"})
	if _, failed := loc.call(0, "hello"); failed == nil {
		t.Error("an app that has been stopped resolves")
	}
}

// Both generations are served on the port of the locator at once, and each is told
// where its own language is spoken.
func TestDualProtocolLocator(t *testing.T) {
	d := start(t, daemon.Options{Config: configuration(directory(t), nil), Version: "v1"})
	address := d.Addr().String()
	recent := dial(t, address)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			loc := dialOld(t, address)
			for range 50 {
				if chunks, failed := loc.call(0, "storage"); failed != nil || len(chunks) != 1 {
					t.Errorf("%d chunks, %v", len(chunks), failed)
				}
			}
		})
		wg.Go(func() {
			for range 50 {
				if _, err := recent.Locator().Resolve(t.Context(), "storage"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()

	r, err := recent.Locator().Resolve(t.Context(), "storage")
	if err != nil {
		t.Fatal(err)
	}
	chunks, _ := dialOld(t, address).call(0, "storage")
	old := decodeResolved(t, chunks[0])
	if at := r.Endpoints[0]; old.address == at || !strings.HasPrefix(old.address, "127.0.0.1:") {
		t.Errorf("both are told %s", at)
	}
	want := map[uint64]string{0: "read", 1: "write", 2: "remove", 3: "find"}
	if old.version != 1 || !maps.Equal(old.methods, want) {
		t.Errorf("storage is %+v", old)
	}

	// A first frame of v0.12 with three elements, as one framework writes it.
	c := dialOld(t, address)
	if _, err := c.conn.Write([]byte("\x93\x01\x00\x91\xa7storage")); err != nil {
		t.Fatal(err)
	}
	if f, err := c.recv(); err != nil || f.Channel != 1 || f.Type != idl.Value || f.Headers == nil {
		t.Errorf("got %v, %v", f, err)
	}
	// The ports of services speak v0.11 to who cannot mean anything else.
	c = dialOld(t, r.Endpoints[0])
	if _, failed := c.call(0, "c", "k"); failed == nil || failed.text != "object 'k' has not been found in 'c'" {
		t.Errorf("got %v", failed)
	}
	c.none(1, "c", "k", "v")
}

// Services that others publish have no port for v0.11.
func TestOldResolveOfPublished(t *testing.T) {
	d := start(t, daemon.Options{Config: configuration(directory(t), nil), Version: "v1"})
	raw := dialOld(t, d.Addr().String())
	args, err := msgpack.AppendValue(nil, []any{"external", []any{[]any{"127.0.0.1", 9}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.conn.Write(wire.AppendFrame(nil, wire.Frame{Channel: 1, Type: 4, Args: args})); err != nil {
		t.Fatal(err)
	}
	if f, err := raw.recv(); err != nil || f.Type != idl.Value {
		t.Fatalf("got %v, %v", f, err)
	}
	if _, failed := dialOld(t, d.Addr().String()).call(0, "external"); failed == nil || failed.text != "service external is not available" {
		t.Errorf("got %v", failed)
	}
}

// Rule 7: a client that is writing when the runtime goes sees the end of the
// connection, not a reset; and rule 6: nobody hung up on it before.
func TestOldClientSeesTheEnd(t *testing.T) {
	d, err := daemon.New(t.Context(), daemon.Options{Config: configuration(directory(t), map[string]string{"cluster.type": "predefine"}), Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	loc := dialOld(t, d.Addr().String())
	log := loc.service("logging")
	loc.send(1) // follows the directory
	if f, err := loc.recv(); err != nil || f.Channel != 4 {
		t.Fatalf("got %v, %v", f, err)
	}
	written := make(chan error, 1)
	go func() { // a logger: it writes and writes
		call, err := msgpack.AppendValue([]byte{0x93, 0, 1}, []any{4, "app/a", "text"})
		for err == nil {
			_, err = log.conn.Write(call)
		}
		written <- err
	}()
	read := make(chan error, 1)
	go func() { // and hangs up when the runtime has
		_, err := io.Copy(io.Discard, log.conn)
		log.conn.Close()
		read <- err
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := d.Stop(ctx); err != nil {
		t.Error(err)
	}
	if err := <-read; err != nil {
		t.Errorf("reading ended with %v", err)
	}
	t.Logf("writing ended with %v", <-written) // its own hanging up, or that of a machine that was faster
	for choked := false; ; {
		f, err := loc.recv()
		if err != nil {
			if !errors.Is(err, io.EOF) || !choked {
				t.Errorf("the locator's connection ended with %v, choke %v", err, choked)
			}
			return
		}
		choked = f.Channel == 6
	}
}

// Rule 13: a runtime on all addresses is reached by clients of either family, at a
// host that they can dial.
func TestOldClientsOfBothFamilies(t *testing.T) {
	if ln, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skip("there is no IPv6 here")
	} else {
		ln.Close()
	}
	d := start(t, daemon.Options{Config: configuration(directory(t), map[string]string{
		"network.endpoint": "::", "network.insecure": "true", "network.hostname": "localhost"}), Version: "v1"})
	for _, host := range []string{"127.0.0.1", "::1", "localhost"} {
		loc := dialOld(t, net.JoinHostPort(host, strconv.Itoa(int(d.Addr().Port()))))
		chunks, failed := loc.call(0, "storage")
		if failed != nil {
			t.Fatal(failed)
		}
		r := decodeResolved(t, chunks[0])
		if !strings.HasPrefix(r.address, "localhost:") {
			t.Errorf("storage is at %s", r.address)
		}
		_, port, err := net.SplitHostPort(r.address)
		if err != nil {
			t.Fatal(err)
		}
		dialOld(t, net.JoinHostPort(host, port)).none(1, "c", "k", "v")
	}
}

// severityOf waits for a record of the app hello with a message, and gives its severity.
func severityOf(t *testing.T, c *cocaine.Client, message string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	type line struct {
		Message  string `codec:"message"`
		Severity int    `codec:"severity"`
	}
	for r, err := range cocaine.Chunks[line](ctx, c.Service("admin"), "logs", []string{"hello"}, map[string]any{"follow": true, "last": 100}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Message == message {
			return r.Severity
		}
	}
	t.Fatalf("there is no record %q", message)
	return 0
}
