package daemon_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/archive"
	"github.com/cocaine/cocaine-go/internal/config"
	"github.com/cocaine/cocaine-go/internal/daemon"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// replayPatience bounds every wait of a replay that goes well.
const replayPatience = time.Minute

// A replay plays the client's side of a conversation that was heard between the
// original v0.12 runtime and others, and the worker's if there is one, to a runtime of
// its own, over sockets. What the runtime says must be what the original said, in the
// same order on each connection. testdata/captures/README.md tells the language of the
// conversations.
type replay struct {
	t       *testing.T
	dir     string
	config  *config.Config
	log     *slog.Logger // printed if the test fails
	d       *daemon.Daemon
	client  *cocaine.Client // resolves services
	stopped chan error      // the end of a Stop under way, nil if there is none
	peers   map[string]*replayPeer
	names   map[string]string // of clients
	workers net.Listener      // where the processes of workers announce themselves
	started chan *puppet
}

// TestReplay plays every conversation of testdata/captures.
func TestReplay(t *testing.T) {
	files, err := filepath.Glob("testdata/captures/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d conversations, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			newReplay(t).play(file)
		})
	}
}

func newReplay(t *testing.T) *replay {
	r := &replay{t: t, dir: directory(t), peers: make(map[string]*replayPeer), names: make(map[string]string), started: make(chan *puppet, 64)}
	workers, err := net.Listen("unix", filepath.Join(r.dir, "puppets"))
	if err != nil {
		t.Fatal(err)
	}
	r.workers = workers
	r.log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
	served := make(chan struct{})
	go func() {
		defer close(served)
		r.meet()
	}()
	t.Cleanup(func() { // after the runtime has ended, and so its workers
		workers.Close()
		<-served
	})
	r.config = withServices(t, r.dir, "[services.cache]\ntype = \"cache\"\n[services.chrono]\ntype = \"chrono\"\n"+
		"[services.uniresis]\ntype = \"uniresis\"\n[services.unicat]\ntype = \"unicat\"\n[services.logging_v2]\ntype = \"logging::v2\"\n"+
		"args = { default_metafilter = [[\"severity\", 1]] }\n")
	return r
}

// meet takes the announcements of processes until the listener is closed.
func (r *replay) meet() {
	defer close(r.started)
	for {
		conn, err := r.workers.Accept()
		if err != nil {
			return
		}
		line, err := bufio.NewReader(conn).ReadBytes('\n')
		p := &puppet{conn: conn}
		if err == nil {
			err = json.Unmarshal(line, p)
		}
		if err != nil {
			r.t.Errorf("a worker announces itself with %q: %v", line, err)
			conn.Close()
			continue
		}
		select {
		case r.started <- p:
		default:
			r.t.Error("too many workers")
			conn.Close()
		}
	}
}

// play plays a conversation, line by line.
func (r *replay) play(file string) {
	script, err := os.ReadFile(file)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(r.stop)
	for i, line := range strings.Split(string(script), "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" || words[0] == "original" {
			continue
		}
		r.step(fmt.Sprintf("line %d: %.300s", i+1, line), words)
	}
	for name, p := range r.peers {
		if r.stopped == nil {
			p.silent(name)
		}
	}
}

func (r *replay) step(where string, words []string) {
	switch words[0] {
	case "ours":
		if differences[words[1]].words == "" {
			r.t.Fatalf("%s: there is no difference %q", where, words[1])
		}
		words = words[2:]
	case "app":
		r.runtime()
		r.upload(words[1], words[2:])
		return
	case "record":
		r.runtime()
		r.check(where, r.client.Storage().Write(r.t.Context(), words[1], words[2], unhex(r.t, words[3]), words[4:]...))
		return
	case "start":
		r.check(where, cocaine.Exec(r.t.Context(), r.client.Service("node"), "start_app", words[1], words[1]))
		return
	case "restart":
		r.stop()
		r.runtime()
		return
	case "await":
		r.await(words[1])
		return
	case "stop":
		stopped := make(chan error, 1)
		d := r.d
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			defer cancel()
			stopped <- d.Stop(ctx)
		}()
		r.stopped = stopped
		return
	}
	if words[1] == "dials" {
		r.dial(words[0], words[2])
		return
	}
	if words[1] == "starts" {
		r.worker(words[0])
		return
	}
	p := r.peers[words[0]]
	if p == nil {
		r.t.Fatalf("%s: who is that?", where)
	}
	p.step(where, words[1:])
}

// runtime starts the runtime unless it runs.
func (r *replay) runtime() {
	if r.d != nil {
		return
	}
	d, err := daemon.New(context.Background(), daemon.Options{Config: r.config, Log: r.log})
	if err != nil {
		r.t.Fatal(err)
	}
	r.d, r.stopped = d, nil
	if err := d.Start(context.Background()); err != nil {
		r.t.Fatal(err)
	}
	r.client, err = cocaine.New(cocaine.Options{Locators: []string{d.Addr().String()}})
	if err != nil {
		r.t.Fatal(err)
	}
}

// await waits until an app is resolvable.
func (r *replay) await(app string) {
	for {
		_, err := r.client.Locator().Resolve(r.t.Context(), app)
		if err == nil {
			return
		}
		if !errors.Is(err, cocaine.ErrServiceNotFound) {
			r.t.Fatal(err)
		}
	}
}

// stop ends the runtime, and waits until it has.
func (r *replay) stop() {
	if r.d == nil {
		return
	}
	r.client.Close()
	for _, p := range r.peers {
		p.conn.Close()
	}
	if r.stopped != nil {
		r.check("stop", <-r.stopped)
	}
	stop(r.t, r.d)
	r.d = nil
}

func (r *replay) check(where string, err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatalf("%s: %v", where, err)
	}
}

// upload writes the records of an app. Its workers are puppets of this test, or serve
// what the application served that the original was heard with.
func (r *replay) upload(name string, profile []string) {
	program, err := os.Executable()
	r.check("the program", err)
	var code bytes.Buffer
	_, err = archive.Pack(r.t.Context(), &code, r.t.TempDir(), archive.PackOptions{})
	r.check("the archive", err)
	mode := "puppet"
	if len(profile) > 0 && profile[0] == "python" {
		mode, profile = "python", profile[1:]
	}
	keys := map[string]any{"handshake-timeout": 60, "spawn-timeout": 60, "isolate": map[string]any{"type": "process"}}
	for _, p := range profile {
		key, value, _ := strings.Cut(p, "=")
		n, err := strconv.Atoi(value)
		r.check("the profile", err)
		keys[key] = n
	}
	for collection, value := range map[string]any{"apps": code.Bytes(), "profiles": keys, "manifests": map[string]any{
		"slave": program, "environment": map[string]any{child: mode, puppetSocket: r.workers.Addr().String()}}} {
		b, err := msgpack.AppendValue(nil, value)
		r.check(collection, err)
		r.check(collection, r.client.Storage().Write(r.t.Context(), collection, name, b, "app"))
	}
}

// dial connects a client to a service.
func (r *replay) dial(name, service string) {
	r.runtime()
	address := r.d.Addr().String()
	if service != "locator" {
		s, err := r.client.Locator().Resolve(r.t.Context(), service)
		r.check("resolve "+service, err)
		address = s.Endpoints[0]
	}
	conn, err := net.Dial("tcp", address)
	r.check("dial "+service, err)
	if old := r.peers[name]; old != nil {
		old.silent(name)
	}
	r.peers[name] = &replayPeer{frameReader: frameReader{conn: conn, scan: wire.NewScanner(wire.Limits{})}, t: r.t, names: r.names}
}

// worker awaits the start of a worker, and plays its part from now on.
func (r *replay) worker(name string) {
	ctx, cancel := context.WithTimeout(r.t.Context(), replayPatience)
	defer cancel()
	select {
	case p := <-r.started:
		r.t.Cleanup(func() { p.conn.Close() })
		conn, err := net.Dial("unix", p.Endpoint)
		r.check(name, err)
		r.peers[name] = &replayPeer{frameReader: frameReader{conn: conn, scan: wire.NewScanner(wire.Limits{})}, t: r.t, puppet: p,
			names: map[string]string{"uuid": hex.EncodeToString([]byte(p.UUID))}}
	case <-ctx.Done():
		r.t.Fatalf("%s is not started", name)
	}
}

// A puppet is the process of a worker, which does nothing of its own.
type puppet struct {
	Endpoint, UUID string
	conn           net.Conn
}

// replayPeer is a client, or a worker, of the runtime.
type replayPeer struct {
	frameReader
	t      *testing.T
	puppet *puppet // nil for clients
	later  [][]byte
	names  map[string]string // what {NAME} stands for in what is sent, in hex
}

func (p *replayPeer) step(where string, words []string) {
	switch words[0] {
	case "sends":
		text := words[1]
		for name, value := range p.names {
			text = strings.ReplaceAll(text, "{"+name+"}", value)
		}
		p.sends(unhex(p.t, text))
	case "gets", "gets~":
		var masks []string
		if len(words) > 3 {
			masks = strings.Split(words[3], ",")
		}
		want := unhex(p.t, words[1])
		got, err := p.frame(want, words[0] == "gets~")
		if err != nil {
			p.t.Fatalf("%s\n%v", where, err)
		}
		if err := same(got, want, masks); err != nil {
			p.t.Fatalf("%s\ngot  %x\nthat is\n%s\n%v", where, got, dumped(got), err)
		}
		if len(words) > 5 {
			p.names[words[5]] = hex.EncodeToString(part(got, masks[0]))
		}
	case "ends":
		if got, err := p.next(); err == nil {
			p.t.Fatalf("%s\ngot %x\nthat is\n%s", where, got, dumped(got))
		} else if !hungUp(err) {
			p.t.Fatalf("%s\n%v", where, err)
		}
	case "closes":
		p.silent(where)
	case "stays": // where the original hung up
	case "drops": // inside of a frame
		p.conn.Close()
	case "shuts":
		if err := p.conn.(*net.TCPConn).CloseWrite(); err != nil {
			p.t.Fatal(err)
		}
	case "exits":
		if _, err := fmt.Fprintln(p.puppet.conn, words[1]); err != nil {
			p.t.Fatal(err)
		}
	default:
		p.t.Fatalf("%s: what is that?", where)
	}
}

// sends writes bytes. A runtime that has hung up is noticed by who reads next.
func (p *replayPeer) sends(b []byte) { _, _ = p.conn.Write(b) }

// hungUp tells whether an error is the end of a connection, in one way or another.
func hungUp(err error) bool {
	var timeout net.Error
	return !errors.As(err, &timeout) || !timeout.Timeout()
}

// frame gives the next frame that is as one that is wanted. A worker's heartbeats are an
// order of their own: their answers come between the frames of requests, sooner or
// later.
func (p *replayPeer) frame(want []byte, sameChannel bool) ([]byte, error) {
	fits := func(f []byte) bool {
		if sameChannel {
			return channelOf(f) == channelOf(want)
		}
		return p.puppet == nil || beat(f) == beat(want)
	}
	for i, f := range p.later {
		if fits(f) {
			p.later = append(p.later[:i:i], p.later[i+1:]...)
			return f, nil
		}
	}
	for {
		f, err := p.next()
		if err != nil || fits(f) {
			return f, err
		}
		p.later = append(p.later, f)
	}
}

func channelOf(frame []byte) uint64 {
	f, _, _ := wire.Parse(frame, wire.Limits{}) // a scanner has found its end
	return f.Channel
}

// beat tells the answer of a heartbeat: an empty message 0.
func beat(frame []byte) bool {
	f, _, err := wire.Parse(frame, wire.Limits{})
	return err == nil && f.Type == 0 && bytes.Equal(f.Args, []byte{0x90})
}

// next reads the next frame, in time.
func (p *replayPeer) next() ([]byte, error) {
	if err := p.conn.SetReadDeadline(time.Now().Add(replayPatience)); err != nil {
		return nil, err
	}
	return p.frameReader.next()
}

// silent wants the runtime to have nothing more to say: the answer of a ping on a
// channel above all others is its next word, if the connection is still there.
func (p *replayPeer) silent(name string) {
	defer p.conn.Close()
	if p.puppet != nil {
		return
	}
	const ping = "94cfffffffffffffffff" + "cdfffd9090"
	p.sends(unhex(p.t, ping))
	f, err := p.frame(unhex(p.t, "90"), false)
	if err == nil && !bytes.Equal(f, unhex(p.t, "94cfffffffffffffffff009090")) {
		p.t.Errorf("%s gets more: %x\nthat is\n%s", name, f, dumped(f))
	}
	if err != nil && !hungUp(err) {
		p.t.Errorf("%s: %v", name, err)
	}
}

// dumped reads a frame to a person.
func dumped(frame []byte) string {
	var b strings.Builder
	if err := wire.Dump(&b, frame, wire.Style{}); err != nil {
		return err.Error()
	}
	return b.String()
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatalf("%.40q: %v", s, err)
	}
	return b
}

// same wants two frames to be the same bytes, but for what is masked: paths of indices
// and keys with dots between them, where * is any.
func same(got, want []byte, masks []string) error {
	c := comparison{got: msgpack.NewReader(got), want: msgpack.NewReader(want), masks: masks}
	if !c.value("") {
		return fmt.Errorf("they differ at %q", strings.TrimPrefix(c.at, "."))
	}
	if rest := c.got.Len() + c.want.Len(); rest > 0 || c.got.Err() != nil || c.want.Err() != nil {
		return fmt.Errorf("%d bytes are left over: %v, %v", rest, c.got.Err(), c.want.Err())
	}
	return nil
}

// part gives the bytes of what is at a path of a frame, which is there.
func part(frame []byte, path string) []byte {
	for _, step := range strings.Split(path, ".") {
		r := msgpack.NewReader(frame)
		n, _ := strconv.Atoi(step)
		r.Array()
		for range n {
			r.Skip()
		}
		frame = r.Raw()
	}
	return frame
}

// A comparison walks along two values.
type comparison struct {
	got, want msgpack.Reader
	masks     []string
	at        string // where they differ
}

func (c *comparison) value(path string) bool {
	if c.at = path; c.masked(path) {
		g, w := c.got.Kind(), c.want.Kind()
		c.got.Skip()
		c.want.Skip()
		return g == w || numeric(g) && numeric(w)
	}
	kind := c.got.Kind()
	if kind != c.want.Kind() {
		return false
	}
	switch kind {
	case msgpack.KindArray:
		n := c.got.Array()
		if n != c.want.Array() {
			return false
		}
		for i := range n {
			if !c.value(path + "." + strconv.Itoa(i)) {
				return false
			}
		}
		return true
	case msgpack.KindMap:
		return c.pairs(path)
	}
	return bytes.Equal(c.got.Raw(), c.want.Raw())
}

// pairs compares maps, whose keys have an order.
func (c *comparison) pairs(path string) bool {
	n := c.got.Map()
	if n != c.want.Map() {
		return false
	}
	for range n {
		key := c.got.Value()
		if key != c.want.Value() || !c.value(path+"."+fmt.Sprint(key)) {
			return false
		}
	}
	return true
}

func numeric(k msgpack.Kind) bool {
	return k == msgpack.KindInt || k == msgpack.KindUint || k == msgpack.KindFloat
}

func (c *comparison) masked(path string) bool {
	steps := strings.Split(strings.TrimPrefix(path, "."), ".")
	for _, m := range c.masks {
		want := strings.Split(m, ".")
		if len(want) != len(steps) {
			continue
		}
		all := true
		for i := range want {
			all = all && (want[i] == "*" || want[i] == steps[i])
		}
		if all {
			return true
		}
	}
	return false
}

// puppetSocket names the environment's variable with the socket that a puppet
// announces itself on.
const puppetSocket = "DAEMON_TEST_PUPPET"

// runPuppet is the process of a worker: it tells how it was started, and ends when it
// is told to, with the code that it is told.
func runPuppet() int {
	conn, err := net.Dial("unix", os.Getenv(puppetSocket))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer conn.Close()
	if err := json.NewEncoder(conn).Encode(puppetOf(os.Args)); err != nil {
		fmt.Println(err)
		return 1
	}
	code := 0
	if _, err := fmt.Fscanln(conn, &code); err != nil && !errors.Is(err, io.EOF) {
		fmt.Println(err)
	}
	return code
}

// puppetOf reads the command line of a worker.
func puppetOf(args []string) *puppet {
	p := new(puppet)
	for i := 1; i+1 < len(args); i += 2 {
		switch args[i] {
		case "--endpoint":
			p.Endpoint = args[i+1]
		case "--uuid":
			p.UUID = args[i+1]
		}
	}
	return p
}

// A frameReader cuts what arrives into frames.
type frameReader struct {
	conn net.Conn
	scan wire.Scanner
	buf  []byte
}

// next gives the bytes of the next frame, which nobody writes over.
func (r *frameReader) next() ([]byte, error) {
	for {
		_, n, err := r.scan.Next(r.buf)
		if err == nil {
			f := r.buf[:n:n]
			r.buf = r.buf[n:]
			return f, nil
		}
		if !errors.Is(err, wire.ErrShort) {
			return nil, fmt.Errorf("%x is no frame: %w", r.buf, err)
		}
		b := make([]byte, 64<<10)
		n, err = r.conn.Read(b)
		if r.buf = append(r.buf, b[:n]...); n == 0 && err != nil {
			return nil, err
		}
	}
}
