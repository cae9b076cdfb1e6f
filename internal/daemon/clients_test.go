package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/daemon"
	"github.com/cocaine/cocaine-go/internal/idl"
)

// soon bounds what a test waits for.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// must fails the test with what went wrong, if anything did.
func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// The typed client of unicorn and the service of the runtime understand each other.
func TestClientOfUnicorn(t *testing.T) {
	d := start(t, daemon.Options{Config: configuration(directory(t), nil)})
	u, ctx := dial(t, d.Addr().String()).Unicorn(), soon(t)
	if v := must[cocaine.Versioned](t)(u.Get(ctx, "/a/b")); v.Exists() {
		t.Errorf("a node that nobody made: %+v", v)
	}
	if err := u.Create(ctx, "/a/b", map[string]int{"n": 1}); err != nil {
		t.Fatal(err)
	}
	if err := u.Create(ctx, "/a/b", 1); !errors.Is(err, cocaine.ErrNodeExists) {
		t.Errorf("made twice: %v", err)
	}
	if _, err := u.Get(ctx, "/a"); !errors.Is(err, cocaine.ErrHasChildren) {
		t.Errorf("the value of a parent: %v", err)
	}
	v, done, err := u.Put(ctx, "/a/b", map[string]int{"n": 2}, 0)
	if err != nil || !done || v.Version != 1 {
		t.Errorf("put: %+v, %v, %v", v, done, err)
	}
	v, done, err = u.Put(ctx, "/a/b", nil, 0)
	var have struct {
		N int `json:"n"`
	}
	if err != nil || done || v.Version != 1 || v.Decode(&have) != nil || have.N != 2 {
		t.Errorf("put too late: %+v, %v, %v", v, done, err)
	}
	if _, _, err := u.Put(ctx, "/nosuch", 1, 0); !errors.Is(err, cocaine.ErrNoNode) {
		t.Errorf("put without a node: %v", err)
	}
	for i := range 3 {
		n := must[cocaine.Versioned](t)(u.Increment(ctx, "/n", 5))
		var sum int
		if err := n.Decode(&sum); err != nil || sum != 5*(i+1) || n.Version != cocaine.Version(i) {
			t.Errorf("increment: %d at %v, %v", sum, n.Version, err)
		}
	}
	var sum float64
	if n := must[cocaine.Versioned](t)(u.IncrementFloat(ctx, "/n", 0.5)); n.Decode(&sum) != nil || sum != 15.5 {
		t.Errorf("increment by a fraction: %v", sum)
	}
	if err := u.Remove(ctx, "/n", 0); !errors.Is(err, cocaine.ErrBadVersion) {
		t.Errorf("remove of another version: %v", err)
	}
	if err := errors.Join(u.Remove(ctx, "/n", cocaine.NoVersion), u.Remove(ctx, "/a/b", 1)); err != nil {
		t.Error(err)
	}
	if err := u.Remove(ctx, "/a/b", 1); !errors.Is(err, cocaine.ErrNoNode) {
		t.Errorf("removed twice: %v", err)
	}
}

func TestSubscriptionsOfUnicorn(t *testing.T) {
	d := start(t, daemon.Options{Config: configuration(directory(t), nil)})
	u, ctx := dial(t, d.Addr().String()).Unicorn(), soon(t)
	want := cocaine.NoVersion
	for v, err := range u.Subscribe(ctx, "/config") {
		switch {
		case errors.Is(err, cocaine.ErrNoNode) && want == 3:
			want++
		case err != nil:
			t.Fatal(err)
		case v.Version != want:
			t.Fatalf("version %v, want %v", v.Version, want)
		case want == cocaine.NoVersion:
			want++
			err = u.Create(ctx, "/config", "v")
		case want < 2:
			want++
			_, _, err = u.Put(ctx, "/config", "v", v.Version)
		default:
			want++
			err = u.Remove(ctx, "/config", v.Version)
		}
		if err != nil && want < 4 {
			t.Fatal(err)
		}
	}
	if want != 4 {
		t.Errorf("the subscription ended before the node did, at %v", want)
	}
	if err := u.Create(ctx, "/list/a", 1); err != nil {
		t.Fatal(err)
	}
	for c, err := range u.SubscribeChildren(ctx, "/list") {
		if err != nil {
			t.Fatal(err)
		}
		if slices.Equal(c.Names, []string{"a", "b"}) {
			break
		}
		if err := u.Create(ctx, "/list/b", 1); err != nil {
			t.Fatal(err)
		}
	}
}

// A lock goes from hand to hand: when it is given back, when its holder goes away,
// and when the runtime does.
func TestLocksOfUnicorn(t *testing.T) {
	d := start(t, daemon.Options{Config: configuration(directory(t), nil)})
	ctx := soon(t)
	lock := must[*cocaine.Lock](t)
	holder := dial(t, d.Addr().String())
	first := lock(holder.Unicorn().Lock(ctx, "/lock"))
	waiting := dial(t, d.Addr().String())
	second := cocaine.Go(ctx, func(ctx context.Context) (*cocaine.Lock, error) {
		return waiting.Unicorn().NamedLock(ctx, "/lock", "second")
	})
	queue := dial(t, d.Addr().String()).Unicorn()
	for c, err := range queue.SubscribeChildren(ctx, "/lock") {
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Names) == 2 { // the other one has its place in the queue
			break
		}
	}
	select {
	case <-second.Done():
		t.Fatal("two hold the lock")
	default:
	}
	if err := first.Unlock(); err != nil {
		t.Error(err)
	}
	other := lock(second.Wait(ctx))
	waiting.Close() // its holder goes away
	<-other.Done()
	third := lock(holder.Unicorn().Lock(ctx, "/lock"))
	stop(t, d)
	<-third.Done()
	if err := third.Unlock(); err == nil || errors.Is(err, cocaine.ErrClosed) {
		t.Errorf("the runtime is gone, and the lock: %v", err)
	}
}

func TestClientOfTheLocator(t *testing.T) {
	d := start(t, daemon.Options{Config: configuration(directory(t), nil)})
	c, ctx := dial(t, d.Addr().String()), soon(t)
	l := c.Locator()
	db := cocaine.Resolution{Name: "db", Endpoints: []string{"10.0.0.7:5432"}}
	p := must[*cocaine.Publication](t)(l.Publish(ctx, db))
	if r, err := l.Resolve(ctx, "db"); err != nil || r.Endpoints[0] != db.Endpoints[0] || len(r.Methods) != 0 {
		t.Errorf("resolved %+v, %v", r, err)
	}
	if _, err := l.Publish(ctx, db); !errors.Is(err, &cocaine.Error{Category: idl.CategoryLocator, Code: idl.LocatorAlreadyPublished}) {
		t.Errorf("published twice: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := l.Resolve(ctx, "db"); !errors.Is(err, cocaine.ErrServiceNotFound) {
		t.Errorf("after the end: %v", err)
	}

	// A service under another name is the same service.
	storage := *must[*cocaine.Resolution](t)(l.Resolve(ctx, "storage"))
	storage.Name = "vault"
	vault := must[*cocaine.Publication](t)(l.Publish(ctx, storage))
	if err := cocaine.Exec(ctx, c.Service("vault"), "write", "c", "k", []byte("v")); err != nil {
		t.Error(err)
	}
	if v, err := c.Storage().Read(ctx, "c", "k"); err != nil || string(v) != "v" {
		t.Errorf("read %q, %v", v, err)
	}

	weights := must[cocaine.Raw](t)(cocaine.Encode(map[string]uint{"vault": 1, "storage": 2}))
	if err := c.Storage().Write(ctx, "groups", "blobs", weights, "group", "active"); err != nil {
		t.Fatal(err)
	}
	tables := 0
	for table, err := range l.Routing(ctx, "test") {
		if err != nil {
			t.Fatal(err)
		}
		if tables++; tables == 1 {
			if err := l.Refresh(ctx, "blobs"); err != nil {
				t.Fatal(err)
			}
			continue
		}
		for i := range 50 {
			seed := fmt.Sprint("user", i)
			name := table.Pick("blobs", seed)
			if name != "vault" && name != "storage" {
				t.Errorf("seed %s picks %q", seed, name)
			}
			if _, err := l.ResolveSeed(ctx, "blobs", seed); err != nil {
				t.Error(err)
			}
		}
		break
	}
	if nodes, err := l.Cluster(ctx); err != nil || len(nodes) != 0 {
		t.Errorf("the nodes are %v, %v", nodes, err)
	}
	for a, err := range l.Synchronize(ctx, "test") {
		t.Errorf("a node without a cluster announces %+v, %v", a, err)
	}
	stop(t, d)
	if err := vault.Close(); err != nil { // while it tries to publish again
		t.Error(err)
	}
}

func TestClientsOfAnApp(t *testing.T) {
	d := start(t, daemon.Options{Config: configuration(directory(t), nil)})
	c, ctx := dial(t, d.Addr().String()), soon(t)
	newApp("app").deploy(t, c)
	for name, open := range map[string]func() (*cocaine.PoolControl, error){
		"app":  func() (*cocaine.PoolControl, error) { return c.App("app").Control(ctx) },
		"node": func() (*cocaine.PoolControl, error) { return c.Node().Control(ctx, "app") },
	} {
		pool := must[*cocaine.PoolControl](t)(open())
		want := 2 + len(name)%2
		if err := pool.Resize(ctx, want); err != nil {
			t.Fatal(err)
		}
		for have := 0; have != want; {
			info := must[cocaine.AppInfo](t)(c.App("app").Info(ctx))
			have = info.Pool.Active + info.Pool.Idle
			time.Sleep(time.Millisecond)
		}
		if err := pool.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	nosuch := must[*cocaine.PoolControl](t)(c.Node().Control(ctx, "nosuch"))
	<-nosuch.Done()
	if _, ok := errors.AsType[*cocaine.Error](nosuch.Close()); !ok {
		t.Errorf("control of nothing: %v", nosuch.Err())
	}

	byNode := must[*cocaine.Stream](t)(c.Service("node").Call(ctx, "enqueue", "app", "echo"))
	defer byNode.Close()
	if err := byNode.Send(ctx, "one"); err != nil {
		t.Fatal(err)
	}
	byApp := must[*cocaine.AppStream](t)(c.App("app").Enqueue(ctx, "echo", []byte("one")))
	defer byApp.Close()
	for _, st := range []*cocaine.Stream{byNode, byApp.Stream()} {
		if err := st.CloseSend(ctx); err != nil {
			t.Fatal(err)
		}
		if m, err := st.Recv(ctx); err != nil || string(m.Bytes()) != "one" {
			t.Errorf("got %q, %v", m.Bytes(), err)
		}
		if _, err := st.Recv(ctx); err != io.EOF {
			t.Errorf("the end is %v", err)
		}
	}
}

func TestClientOfLogging(t *testing.T) {
	d := start(t, daemon.Options{Config: configuration(directory(t), nil)})
	c, ctx := dial(t, d.Addr().String()), soon(t)
	l := c.Logging()
	least := must[cocaine.Severity](t)(l.Verbosity(ctx))
	if err := l.Emit(ctx, max(least, cocaine.SeverityWarning), "app/hello", "a record"); err != nil {
		t.Fatal(err)
	}
	if err := l.SetVerbosity(ctx, least); !errors.Is(err, &cocaine.Error{Category: idl.CategoryDispatch, Code: idl.DispatchUnbound}) {
		t.Errorf("the verbosity was set: %v", err)
	}
	type record struct {
		Message string `codec:"message"`
	}
	for r, err := range cocaine.Chunks[record](ctx, c.Service("admin"), "logs", []string{"hello"}, map[string]any{"follow": true, "last": 10}) {
		if err != nil || r.Message != "a record" {
			t.Errorf("got %+v, %v", r, err)
		}
		break
	}
}
