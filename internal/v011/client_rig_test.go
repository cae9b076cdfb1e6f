package v011_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
	"github.com/cocaine/cocaine-go/internal/storage"
	"github.com/cocaine/cocaine-go/internal/v011"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// A rig has one service of each kind, as the original programs found them when their
// conversations were recorded, and a few more.
type rig struct {
	services  map[string]*v011.ClientService
	directory *v011.Directory
	groups    *fakeGroups
	apps      *fakeApps
	emitted   *emitted
	remove    map[string]func() // out of the directory
}

func newRig() *rig {
	r := &rig{directory: v011.NewDirectory(), groups: new(fakeGroups), apps: newApps("app1", "app2"), emitted: new(emitted),
		remove: make(map[string]func())}
	o := rpc.MuxOptions{}
	r.services = map[string]*v011.ClientService{
		"locator": v011.Locator(r.directory, r.groups, true, o),
		"node":    v011.Node(r.apps, o),
		"storage": v011.Storage(storage.NewMemory(), o),
		"probe":   v011.Generic(probeProtocol(), probe()),
		"logging": v011.Logging(r.emitted, 0, o),
		"echo":    v011.App(echoApp{}, func() (map[string]any, error) { return echoReport, nil }, o),
	}
	for i, name := range []string{"node", "storage", "probe", "logging", "echo"} {
		r.remove[name] = r.directory.Add(v011.Listing{Name: name, Service: r.services[name], Host: "127.0.0.1", Port: uint16(0x8001 + i)})
	}
	return r
}

// dial gives a connection to a service on which v0.11 is spoken.
func (r *rig) dial(t testing.TB, service string) *oldPeer {
	s := r.services[service]
	return &oldPeer{rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: s, Recognise: s.Recognise(wire.Limits{})}})}
}

// oldPeer is a client of v0.11.
type oldPeer struct{ *rpctest.Peer }

// call sends one call.
func (p *oldPeer) call(method, session uint64, args ...any) {
	p.Write(oldFrame(method, session, p.Args(args...)))
}

// oldFrame is [a, b, args].
func oldFrame(a, b uint64, args []byte) []byte {
	f := msgpack.AppendUint(msgpack.AppendUint([]byte{0x93}, a), b)
	return append(f, args...)
}

// wantChunk reads a chunk whose payload is the msgpack of a value.
func (p *oldPeer) wantChunk(t *testing.T, session uint64, value any) {
	t.Helper()
	payload, err := msgpack.AppendValue(nil, value)
	if err != nil {
		t.Fatal(err)
	}
	p.Want(4, session, payload)
}

// wantError reads an error and the one choke behind it.
func (p *oldPeer) wantError(session uint64, code int, text string) {
	p.Want(5, session, code, text)
	p.wantChoke(session)
}

func (p *oldPeer) wantChoke(session uint64) { p.Want(6, session) }

// bubble runs a test of a rig in virtual time.
func bubble(t *testing.T, f func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		f(t, r)
	})
}

// fakeGroups has one group, "group", whose members are the services with a weight.
type fakeGroups struct {
	mu        sync.Mutex
	members   []string
	refreshed []string
}

func (g *fakeGroups) Member(group string, there func(string) bool) string {
	if group == "group" {
		for _, m := range g.members {
			if there(m) {
				return m
			}
		}
	}
	return ""
}

func (g *fakeGroups) Refresh(_ context.Context, groups []string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refreshed = append(g.refreshed, groups...)
	if groups[0] == "unreadable" {
		return errors.New("storage is away")
	}
	return nil
}

type fakeApps struct {
	mu      sync.Mutex
	running map[string]bool
}

func newApps(names ...string) *fakeApps {
	a := &fakeApps{running: make(map[string]bool)}
	for _, n := range names {
		a.running[n] = true
	}
	return a
}

func (a *fakeApps) Start(_ context.Context, app, profile string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case profile == "absent":
		_, err := storage.NewMemory().Read(context.Background(), "profiles", profile)
		return fmt.Errorf("cannot start app %s: %w", app, err)
	case profile == "no code":
		return rpc.Errorf(idl.CategoryGeneric, idl.GenericNotFound, "app %s has no code", app)
	case profile == "no archive":
		return rpc.Errorf(idl.CategoryUnknown, int(syscall.EILSEQ), "code of app %s is no archive", app)
	case profile == "odd":
		return fmt.Errorf("cannot start app %s: it is odd", app)
	case a.running[app]:
		return rpc.Errorf(idl.CategoryNode, idl.NodeAlreadyStarted, "app %s runs", app)
	}
	a.running[app] = true
	return nil
}

func (a *fakeApps) Pause(_ context.Context, app string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.running[app] {
		return rpc.Errorf(idl.CategoryNode, idl.NodeNotRunning, "app %s does not run", app)
	}
	delete(a.running, app)
	return nil
}

func (a *fakeApps) Names() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(maps.Keys(a.running))
}

// emitted is the logging service of v0.12.
type emitted struct {
	mu   sync.Mutex
	args [][]byte
}

func (e *emitted) Accept(_ *rpc.Batch, _ *rpc.Session, _ uint64, f *rpc.Frame) rpc.Receiver {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.args = append(e.args, bytes.Clone(f.Args))
	return nil
}

// probeProtocol is that of the service that the conversations were recorded with.
func probeProtocol() *idl.Protocol {
	p := &idl.Protocol{Name: "probe", Version: 1}
	for i, name := range []string{"one", "many", "fail", "partial", "never", "slow", "drop", "errnochoke", "bytewise", "garbage",
		"latechunk", "doublechoke", "foreign", "orderly", "nilchunk", "rawchunk", "unpublish", "onewrite", "echoargs"} {
		m := idl.Message{ID: uint64(i), Name: name, Next: idl.Terminal}
		switch name {
		case "one":
			m.Args = []idl.Arg{{Name: "value"}}
			m.Reply = idl.Echo.Messages[0].Reply
		case "many", "partial", "never", "nilchunk":
			m.Reply = idl.Echo.Messages[0].Reply
			m.Reply.Kind = idl.ReplyStream
			m.Reply.Node = idl.App.Messages[0].Reply.Node
		case "unpublish":
			m.Reply = idl.Reply{Kind: idl.ReplyMute, Node: idl.Terminal}
		default:
			m.Reply = idl.Echo.Messages[0].Reply
		}
		p.Messages = append(p.Messages, m)
	}
	return p
}

// probe serves those methods that answer as a service should.
func probe() *rpc.Mux {
	m := rpc.NewMux(probeProtocol(), rpc.MuxOptions{})
	m.Inline("one", func(_ context.Context, c *rpc.Call) ([]byte, error) {
		r := c.Reader()
		return append([]byte{0x91}, r.Raw()...), nil
	})
	m.Inline("echoargs", func(_ context.Context, c *rpc.Call) ([]byte, error) { return bytes.Clone(c.Args), nil })
	m.Inline("bytewise", func(context.Context, *rpc.Call) ([]byte, error) {
		return msgpack.AppendString([]byte{0x91}, "bytewise"), nil
	})
	m.Mute("unpublish", func(context.Context, *rpc.Call) error { return nil })
	m.Unary("fail", func(_ context.Context, c *rpc.Call) ([]byte, error) {
		r := c.Reader()
		return nil, &rpc.Error{Category: idl.CategoryUser, Code: int(r.Int()), Message: r.String()}
	})
	m.Unary("slow", func(_ context.Context, c *rpc.Call) ([]byte, error) {
		r := c.Reader()
		time.Sleep(time.Duration(r.Float() * float64(time.Second)))
		return msgpack.AppendString([]byte{0x91}, "slow"), nil
	})
	m.Stream("never", func(ctx context.Context, _ *rpc.Call, _ *rpc.Stream) error {
		<-ctx.Done()
		return ctx.Err()
	})
	m.Stream("nilchunk", func(ctx context.Context, _ *rpc.Call, s *rpc.Stream) error {
		return errors.Join(s.Send(ctx, idl.Write, []byte{0x91, 0xc0}), s.Send(ctx, idl.Write, []byte{0x91, 0}),
			s.Send(ctx, idl.Write, []byte{0x91, 0xa0}))
	})
	many := func(ctx context.Context, c *rpc.Call, s *rpc.Stream) (int64, error) {
		r := c.Reader()
		n, gap := r.Int(), time.Duration(0)
		if c.NArgs > 1 {
			gap = time.Duration(r.Float() * float64(time.Second))
		}
		for i := range min(n, 1000) {
			time.Sleep(gap)
			if err := s.Send(ctx, idl.Write, msgpack.AppendInt([]byte{0x91}, i+1)); err != nil {
				return 0, err
			}
		}
		return n, nil
	}
	m.Stream("many", func(ctx context.Context, c *rpc.Call, s *rpc.Stream) error {
		_, err := many(ctx, c, s)
		return err
	})
	m.Stream("partial", func(ctx context.Context, c *rpc.Call, s *rpc.Stream) error {
		n, err := many(ctx, c, s)
		if err != nil {
			return err
		}
		return rpc.Errorf(idl.CategoryUser, 7, "after %d chunks", n)
	})
	return m
}

// echoReport is what the engine reports of an app.
var echoReport = map[string]any{
	"profile": map[string]any{"name": "p"}, "load": 3, "state": "running",
	"queue": map[string]any{"capacity": 100, "depth": 2, "depth_average": 1.5},
	"pool": map[string]any{"active": 1, "idle": 2, "capacity": 10, "slaves": map[string]any{
		"a": map[string]any{"load:total": 5}, "b": map[string]any{"load:total": 1}, "c": map[string]any{"load:total": 2}}},
}

// echoApp answers requests frame by frame: with what they hold, or with the error that
// the event names.
type echoApp struct{}

func (echoApp) Accept(b *rpc.Batch, s *rpc.Session, ch uint64, f *rpc.Frame) rpc.Receiver {
	r := msgpack.NewReader(f.Args)
	r.Array()
	event := r.String()
	if e, ok := enqueueErrors[event]; ok {
		_ = s.Send(b, ch, idl.StreamError, rpc.AppendError(nil, e), nil)
		return nil
	}
	return echoRequest{s, ch, event}
}

// enqueueErrors are the errors of an engine and of its workers.
var enqueueErrors = map[string]*rpc.Error{
	"full":     rpc.Errorf(idl.CategoryOverseer, idl.OverseerQueueFull, "queue is full"),
	"stopped":  rpc.Errorf(idl.CategoryGeneric, idl.GenericBrokenPipe, "the application has been stopped"),
	"expired":  rpc.Errorf(idl.CategoryNode, idl.NodeDeadline, "the event has expired in the queue"),
	"timeout":  rpc.Errorf(idl.CategoryNode, idl.NodeWorkerTimeout, "the worker did not answer in time"),
	"died":     rpc.Errorf(idl.CategoryStream, idl.StreamEOF, "slave has been discarded"),
	"handler":  rpc.Errorf(idl.CategoryWorker, idl.WorkerNoHandler, "no handler"),
	"custom":   rpc.Errorf(idl.CategoryUser, -100, "own"),
	"nowords":  rpc.Errorf(idl.CategoryOverseer, idl.OverseerPoolFull, ""),
	"anything": rpc.Errorf(idl.CategoryGeneric, 5, "disk"),
}

type echoRequest struct {
	s     *rpc.Session
	ch    uint64
	event string
}

func (q echoRequest) Receive(b *rpc.Batch, f *rpc.Frame) bool {
	if f.Type == idl.Close {
		_ = q.s.Send(b, q.ch, idl.Close, nil, nil)
		return true
	}
	args := bytes.Clone(f.Args)
	if q.event == "bin" { // as a worker of the newer msgpack would write it
		r := msgpack.NewReader(args)
		r.Array()
		chunk := r.Bytes()
		args = append([]byte{0x91, 0xc4, byte(len(chunk))}, chunk...)
	}
	_ = q.s.Send(b, q.ch, f.Type, args, nil)
	return false
}
func (echoRequest) Lost(*rpc.Batch, error) {}

// TestConversations plays what the original v0.11 Python framework said to its
// services, and wants the answers that it got, byte for byte.
func TestConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/client-*.txt")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d conversations, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			steps, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			bubble(t, func(t *testing.T, r *rig) { play(t, r, steps) })
		})
	}
}

// play plays the steps of a conversation.
func play(t *testing.T, r *rig, steps []byte) {
	conns := make(map[string]*oldPeer)
	lines := bufio.NewScanner(bytes.NewReader(steps))
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		name := fields[0]
		if fields[1] == "close" {
			if conns[name] != nil {
				conns[name].Close()
			}
			continue
		}
		if conns[name] == nil {
			service, _, _ := strings.Cut(name, "#")
			conns[name] = r.dial(t, service)
		}
		b, err := hex.DecodeString(fields[2])
		if err != nil {
			t.Fatal(err)
		}
		if fields[1] == ">" {
			conns[name].Write(b)
			continue
		}
		got := make([]byte, len(b))
		if err := readFull(conns[name], got); err != nil || !bytes.Equal(got, b) {
			t.Fatalf("line %d: %s\ngot %x, %v", n, lines.Text(), got, err)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

func readFull(p *oldPeer, b []byte) error {
	if err := p.Conn().SetReadDeadline(time.Now().Add(rpctest.Patience)); err != nil {
		return err
	}
	_, err := io.ReadFull(p.Conn(), b)
	if err != nil {
		return fmt.Errorf("cannot read the answer: %w", err)
	}
	return nil
}

type service = v011.ClientService

var (
	generic = v011.Generic
	either  = v011.Either
)
