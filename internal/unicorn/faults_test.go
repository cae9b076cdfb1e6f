package unicorn_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/faultnet"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

const (
	// tallies is how many nodes the clients share. All put to the same one would mostly
	// be refused.
	tallies = 8
	mutex   = "/site/mutex"
)

// TestUnderFaults: clients whose connections break, and a runtime that is stopped
// and started again, and still: never do two hold the lock, no acknowledged put is
// lost, no subscriber sees a version go back, and all end with the last one.
func TestUnderFaults(t *testing.T) {
	clients, rounds := 200, 2
	if raceEnabled || testing.Short() {
		clients, rounds = 40, 2
	}
	t.Run("Stopped", func(t *testing.T) {
		contend(t, &inProcess{dir: t.TempDir()}, clients, rounds, 3)
	})
	t.Run("CutOff", func(t *testing.T) {
		contend(t, &inProcess{dir: t.TempDir(), rude: true}, clients, rounds, 3)
	})
	t.Run("Killed", func(t *testing.T) {
		if os.Getenv("COCAINE_TEST_UNICORN") != "long" {
			contend(t, &killed{dir: t.TempDir()}, 20, 2, 2)
			return
		}
		contend(t, &killed{dir: t.TempDir()}, 200, 20, 20)
	})
}

// A site is where the clients meet.
type site struct {
	t    *testing.T
	life life
	seed uint64

	mu       sync.Mutex
	changed  sync.Cond
	now      *epoch // nil while the runtime is down
	epochs   int
	holder   *leash // who holds the mutex in this epoch
	grants   int
	tallies  [tallies]tally
	progress chan struct{} // one for each round that a client has done

	conns atomic.Int64 // connections made
	drops atomic.Int64 // that broke before their client was done with them
}

// A tally is a node that its clients write versions to, and what they know of it.
type tally struct {
	path  string
	final atomic.Int64 // version that is the last, -1 until there is one

	// Guarded by site.mu.
	acked   map[int64]bool // versions that acknowledged puts have made
	unknown int            // puts of which nobody knows
}

// An epoch is the time from one start of the runtime to its next end.
type epoch struct{ addr string }

func contend(t *testing.T, l life, clients, rounds, restarts int) {
	began := time.Now()
	s := &site{t: t, life: l, seed: faultnet.Seed(t), progress: make(chan struct{}, clients*rounds)}
	s.changed.L = &s.mu
	s.up()
	for i := range s.tallies {
		y := &s.tallies[i]
		y.path, y.acked = fmt.Sprintf("/site/tally%d", i), make(map[int64]bool)
		y.final.Store(-1)
		s.make(y.path)
	}
	var workers, readers sync.WaitGroup
	for i := range clients {
		workers.Go(func() { s.work(i, rounds) })
		readers.Go(func() { s.read(clients + i) })
	}
	worked := make(chan struct{})
	go func() {
		defer close(worked)
		workers.Wait()
	}()
	for range restarts {
		for range clients * rounds / (restarts + 1) {
			select {
			case <-s.progress:
			case <-worked: // too early: they have failed
			}
		}
		s.down()
		s.up()
	}
	<-worked
	acked, unknown := 0, 0
	for i := range s.tallies {
		s.settle(&s.tallies[i])
		acked += len(s.tallies[i].acked)
		unknown += s.tallies[i].unknown
	}
	readers.Wait()
	s.down()
	t.Logf("%d clients, %d restarts: %d grants, %d acknowledged puts and %d unknown, %d connections of which %d broke, %v",
		clients, restarts, s.grants, acked, unknown, s.conns.Load(), s.drops.Load(), time.Since(began).Round(time.Millisecond))
}

func (s *site) up() {
	addr, err := s.life.start()
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = &epoch{addr}
	s.epochs++
	s.changed.Broadcast()
}

// down ends the runtime. What is held by it counts no more from before that.
func (s *site) down() {
	s.mu.Lock()
	s.now, s.holder = nil, nil
	s.mu.Unlock()
	if err := s.life.stop(); err != nil {
		s.t.Error(err)
	}
}

// current waits for a runtime that is up.
func (s *site) current() *epoch {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.now == nil {
		s.changed.Wait()
	}
	return s.now
}

// A leash is the connection of a client, and knows when it breaks: before the runtime
// can, which then gives to others what the client held.
type leash struct {
	net.Conn
	s       *site
	epoch   *epoch
	dropped bool // guarded by s.mu
}

func (l *leash) drop() {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.dropped = true
	if l.s.holder == l {
		l.s.holder = nil
	}
}

func (l *leash) Close() error {
	l.drop()
	return l.Conn.Close()
}

func (l *leash) CloseWrite() error {
	l.drop()
	return l.Conn.(*net.TCPConn).CloseWrite()
}

func (l *leash) Reset() error {
	l.drop()
	l.Conn.(*net.TCPConn).SetLinger(0)
	return l.Conn.Close()
}

// granted notes that a client has been told that it holds the mutex.
func (l *leash) granted() {
	s := l.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.dropped || s.now != l.epoch {
		return // it does not any more
	}
	if s.holder != nil {
		s.t.Error("two clients hold the lock")
	}
	s.holder = l
	s.grants++
}

// releasing notes that a client is about to give the mutex up.
func (l *leash) releasing() {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if l.s.holder == l {
		l.s.holder = nil
	}
}

// A client is one connection after the other.
type client struct {
	s       *site
	tally   *tally
	r       *rand.Rand
	tame    bool // its connections do not break by themselves
	leash   *leash
	session *rpc.Session
}

func (s *site) client(i int) *client {
	return &client{s: s, tally: &s.tallies[i%tallies], r: rand.New(rand.NewPCG(faultnet.Sub(s.seed, i), 0))}
}

// connect makes sure that there is a connection.
func (c *client) connect() {
	for c.session == nil {
		e := c.s.current()
		conn, err := net.Dial("tcp", e.addr)
		if err != nil {
			continue // the runtime is about to end
		}
		c.leash = &leash{Conn: conn, s: c.s, epoch: e}
		c.session = rpc.Start(faultnet.Wrap(c.leash, c.script()), rpc.SessionOptions{})
		c.s.conns.Add(1)
	}
}

// script lets half of the connections break somewhere, and cuts all transfers.
func (c *client) script() faultnet.Script {
	script := faultnet.Script{
		Read:  []faultnet.Fault{faultnet.Chop(c.r.Uint64(), 64)},
		Write: []faultnet.Fault{faultnet.Chop(c.r.Uint64(), 64)},
	}
	blow := faultnet.ResetAt(c.r.Int64N(400))
	switch c.r.IntN(8) {
	case 0, 1:
		script.Write = append(script.Write, blow)
	case 2:
		script.Read = append(script.Read, blow)
	case 3:
		script.Write = append(script.Write, faultnet.CloseAt(c.r.Int64N(400)))
	}
	if c.tame {
		script = faultnet.Script{}
	}
	return script
}

// hangUp ends the connection, if there is one.
func (c *client) hangUp() {
	if c.session == nil {
		return
	}
	if c.session.Err() != nil {
		c.s.drops.Add(1)
	}
	_ = c.session.Close()
	c.session.Wait()
	c.session = nil
}

// open opens a channel.
func (c *client) open(ctx context.Context, method string, args ...any) (*rpc.Stream, error) {
	m := idl.Unicorn.Method(method)
	b, err := msgpack.AppendValue(nil, args)
	if err != nil {
		return nil, err
	}
	return c.session.Call(ctx, m.ID, b, rpc.CallOptions{Send: m.Next, Recv: m.Reply.Node})
}

// call opens a channel and gives its answer.
func (c *client) call(ctx context.Context, method string, args ...any) ([]any, error) {
	st, err := c.open(ctx, method, args...)
	if err != nil {
		return nil, err
	}
	m, err := st.Recv(ctx)
	if err != nil {
		return nil, err
	}
	return decode(m.Args), nil
}

func decode(args []byte) []any {
	r := msgpack.NewReader(args)
	values, _ := r.Value().([]any)
	return values
}

// within bounds what a client waits for.
func within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 4*patience)
}

// tolerable tells an error that comes of faults from one that must not be.
func (s *site) tolerable(what string, err error) {
	switch {
	case errors.Is(err, rpc.ErrDisconnected), errors.Is(err, rpc.ErrClosed):
	case errors.Is(err, &rpc.Error{Category: idl.CategoryUnicorn, Code: idl.UnicornConnectionLost}):
	case errors.Is(err, &rpc.Error{Category: idl.CategoryStream, Code: 2}), errors.Is(err, &rpc.Error{Category: idl.CategorySocket, Code: 104}),
		errors.Is(err, &rpc.Error{Category: idl.CategorySocket, Code: 125}):
	default:
		s.t.Errorf("%s: %v", what, err)
	}
}

// make creates a node of value zero.
func (s *site) make(path string) {
	c := s.client(1e6)
	c.tame = true
	defer c.hangUp()
	c.connect()
	ctx, cancel := within()
	defer cancel()
	if _, err := c.call(ctx, "create", path, 0); err != nil {
		s.t.Fatal(err)
	}
}

// work takes the lock and adds to the counter, so many times.
func (s *site) work(i, rounds int) {
	c := s.client(i)
	defer c.hangUp()
	for done := 0; done < rounds && !s.t.Failed(); {
		c.connect()
		if err := s.round(c); err != nil {
			s.tolerable("round", err)
			c.hangUp()
			continue
		}
		done++
		s.progress <- struct{}{}
	}
}

func (s *site) round(c *client) error {
	ctx, cancel := within()
	defer cancel()
	if err := s.add(ctx, c); err != nil {
		return err
	}
	lock, err := c.open(ctx, "lock", mutex)
	if err != nil {
		return err
	}
	if _, err := lock.Recv(ctx); err != nil {
		return err
	}
	c.leash.granted()
	err = s.add(ctx, c)
	c.leash.releasing()
	if err != nil {
		return err
	}
	return lock.Send(ctx, idl.UnicornClose, nil)
}

// add makes a version of the client's node whose value is the version.
func (s *site) add(ctx context.Context, c *client) error {
	got, err := c.call(ctx, "get", c.tally.path)
	if err != nil {
		return err
	}
	for {
		value, version := versioned(got[0])
		if value != version {
			return fmt.Errorf("version %d has the value %d", version, value)
		}
		answer, err := c.call(ctx, "put", c.tally.path, version+1, version)
		s.note(c.tally, version+1, answer, err)
		if err != nil {
			return err
		}
		if answer[0] == true {
			return nil
		}
		got = answer[1:]
	}
}

// note remembers what came of a put that would make a version.
func (s *site) note(y *tally, version int64, answer []any, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		y.unknown++
	case answer[0] == true && y.acked[version]:
		s.t.Errorf("two puts have made version %d of %s: one is lost", version, y.path)
	case answer[0] == true:
		y.acked[version] = true
	}
}

// versioned reads [value, version].
func versioned(v any) (value, version int64) {
	pair := v.([]any)
	number := func(v any) int64 {
		switch v := v.(type) {
		case int64:
			return v
		case uint64:
			return int64(v)
		}
		return -2
	}
	return number(pair[0]), number(pair[1])
}

// read follows the client's node until it has seen the last version.
func (s *site) read(i int) {
	c := s.client(i)
	defer c.hangUp()
	for !s.t.Failed() {
		c.connect()
		c.tame = c.tally.final.Load() >= 0 // of connections to come
		err := s.follow(c)
		if err == nil {
			return
		}
		s.tolerable("subscription", err)
		c.hangUp()
	}
}

// follow returns nil when it has seen the last version.
func (s *site) follow(c *client) error {
	ctx, cancel := within()
	defer cancel()
	st, err := c.open(ctx, "subscribe", c.tally.path)
	if err != nil {
		return err
	}
	for seen := int64(-1); ; {
		m, err := st.Recv(ctx)
		if err != nil {
			return err
		}
		value, version := versioned(decode(m.Args)[0])
		if value != version || version <= seen {
			s.t.Errorf("version %d with the value %d comes after %d", version, value, seen)
		}
		seen = version
		if last := c.tally.final.Load(); last >= 0 && seen >= last {
			return nil
		}
	}
}

// settle looks at what has become of a node, and makes one more version of it, which
// all readers must see.
func (s *site) settle(y *tally) {
	c := s.client(1e6)
	c.tame = true
	defer c.hangUp()
	c.connect()
	ctx, cancel := within()
	defer cancel()
	got, err := c.call(ctx, "get", y.path)
	if err != nil {
		s.t.Fatal(err)
	}
	value, version := versioned(got[0])
	s.mu.Lock()
	if version != value || version < int64(len(y.acked)) || version > int64(len(y.acked)+y.unknown) {
		s.t.Errorf("%s has version %d and value %d after %d acknowledged puts and %d unknown", y.path, version, value, len(y.acked), y.unknown)
	}
	for v := range y.acked {
		if v > version {
			s.t.Errorf("acknowledged version %d of %s is lost: the last is %d", v, y.path, version)
		}
	}
	s.mu.Unlock()
	y.final.Store(version + 1)
	if answer, err := c.call(ctx, "put", y.path, version+1, version); err != nil || answer[0] != true {
		s.t.Errorf("the last put: %v, %v", answer, err)
	}
}
