package daemon_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/archive"
	"github.com/cocaine/cocaine-go/internal/config"
	"github.com/cocaine/cocaine-go/internal/daemon"
	"github.com/cocaine/cocaine-go/internal/manifest"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// configuration is that of a daemon with everything below dir, on ports that are
// free.
func configuration(dir string, set map[string]string) *config.Config {
	all := map[string]string{"paths.state": dir, "paths.runtime": filepath.Join(dir, "run"),
		"network.port": "0", "node.grace": "5s"}
	maps.Copy(all, set)
	c, err := config.Load("", config.Host{UID: os.Getuid()}, all)
	if err != nil {
		panic(err)
	}
	return c
}

// directory is a short one: sockets lie in it.
func directory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "d")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// start starts a daemon that ends with the test.
func start(t testing.TB, o daemon.Options) *daemon.Daemon {
	t.Helper()
	d, err := daemon.New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, d) })
	if err := d.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	return d
}

func stop(t testing.TB, d *daemon.Daemon) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := d.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// dial gives a client that ends with the test, and before the daemon.
func dial(t testing.TB, locator string) *cocaine.Client {
	t.Helper()
	c, err := cocaine.New(cocaine.Options{Locators: []string{locator}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// An app is this test binary, packed as an empty directory: its program lies
// outside.
type app struct {
	name     string
	stubborn bool
	mark     string // NAME=VALUE in the environment of its workers
	program  string // that runs, with the test binary's role of a worker; "" is the test binary
	profile  manifest.Profile
}

func newApp(name string) *app { return &app{name: name, profile: *manifest.DefaultProfile()} }

// upload writes the records of an app.
func (a *app) upload(t testing.TB, c *cocaine.Client) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	m := &manifest.Manifest{Slave: cmp.Or(a.program, self), Environment: map[string]string{child: "worker"}}
	if a.stubborn {
		m.Environment["STUBBORN"] = "1"
	}
	if name, value, ok := strings.Cut(a.mark, "="); ok {
		m.Environment[name] = value
	}
	var code bytes.Buffer
	if _, err := archive.Pack(t.Context(), &code, t.TempDir(), archive.PackOptions{}); err != nil {
		t.Fatal(err)
	}
	encode := func(b []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for collection, value := range map[string][]byte{"apps": msgpack.AppendBytes(nil, code.Bytes()),
		"manifests": encode(m.Encode()), "profiles": encode(a.profile.Encode())} {
		if err := c.Storage().Write(t.Context(), collection, a.name, value, "app"); err != nil {
			t.Fatal(err)
		}
	}
}

// deploy uploads the app and waits until a worker is ready.
func (a *app) deploy(t testing.TB, c *cocaine.Client) {
	t.Helper()
	a.upload(t, c)
	if err := cocaine.Exec(t.Context(), c.Service("admin"), "deploy", a.name, a.name); err != nil {
		t.Fatal(err)
	}
}

// echo calls the app once.
func echo(ctx context.Context, c *cocaine.Client, app, text string) error {
	st, err := c.App(app).Enqueue(ctx, "echo")
	if err != nil {
		return err
	}
	defer st.Close()
	if err := st.Send(ctx, []byte(text)); err != nil {
		return err
	}
	if err := st.CloseSend(ctx); err != nil {
		return err
	}
	var have strings.Builder
	for chunk, err := range st.All(ctx) {
		if err != nil {
			return err
		}
		have.Write(chunk)
	}
	if have.String() != text {
		return fmt.Errorf("echo of %q is %q", text, have.String())
	}
	return nil
}

// status is a part of what the admin service tells.
type status struct {
	Node     string            `codec:"node"`
	Locator  string            `codec:"locator"`
	Services map[string]string `codec:"services"`
	Apps     []struct {
		Name  string `codec:"name"`
		State string `codec:"state"`
	} `codec:"apps"`
}

func statusOf(t testing.TB, c *cocaine.Client) status {
	t.Helper()
	s, err := cocaine.Get[status](t.Context(), c.Service("admin"), "status")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEverythingIsResolvableUntilStop(t *testing.T) {
	dir := directory(t)
	d := start(t, daemon.Options{Config: configuration(dir, nil), Version: "v1"})
	c := dial(t, d.Addr().String())
	names := []string{"admin", "locator", "logging", "node", "storage", "unicorn"}
	for _, name := range names {
		r, err := c.Locator().Resolve(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Endpoints) != 1 || len(r.Methods) == 0 || r.Version < 1 {
			t.Errorf("%s is %+v", name, r)
		}
	}
	s := statusOf(t, c)
	if have := slices.Sorted(maps.Keys(s.Services)); !slices.Equal(have, names) {
		t.Errorf("the services are %v, want %v", have, names)
	}
	if id, err := c.Locator().UUID(t.Context()); err != nil || id != s.Node {
		t.Errorf("the locator's uuid is %q, %v; the node's is %q", id, err, s.Node)
	}
	newApp("app").deploy(t, c)
	if err := echo(t.Context(), c, "app", "hello"); err != nil {
		t.Error(err)
	}
	c.Close()
	stop(t, d)
	stop(t, d) // the second time nothing happens
	for name, address := range s.Services {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			t.Errorf("%s still listens on %s", name, address)
		}
	}
	sockets, err := os.ReadDir(filepath.Join(dir, "run"))
	if err != nil || len(sockets) > 0 {
		t.Errorf("left in the runtime directory: %v, %v", sockets, err)
	}
}

// TestUnicornOutlivesTheDaemon: values do, locks and subscriptions do not, and they do
// not keep the daemon from ending.
func TestUnicornOutlivesTheDaemon(t *testing.T) {
	dir := directory(t)
	d := start(t, daemon.Options{Config: configuration(dir, nil)})
	c := dial(t, d.Addr().String())
	ctx := t.Context()
	if err := c.Unicorn().Create(ctx, "/site/limit", 7); err != nil {
		t.Fatal(err)
	}
	if _, done, err := c.Unicorn().Put(ctx, "/site/limit", 8, 0); err != nil || !done {
		t.Fatal(done, err)
	}
	lock, err := c.Unicorn().Lock(ctx, "/site/leader")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		for _, err := range c.Unicorn().Subscribe(ctx, "/site/limit") {
			if err != nil {
				ended <- err
				return
			}
			close(seen)
		}
	}()
	<-seen
	began := time.Now()
	stop(t, d)
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("the daemon takes %v to end", took)
	}
	<-lock.Done()
	if err := <-ended; err == nil {
		t.Error("the subscription ends without an error")
	}

	d = start(t, daemon.Options{Config: configuration(dir, nil)})
	c = dial(t, d.Addr().String())
	v, err := c.Unicorn().Get(ctx, "/site/limit")
	if err != nil {
		t.Fatal(err)
	}
	var limit int
	if err := v.Decode(&limit); err != nil || limit != 8 || v.Version != 1 {
		t.Errorf("after the restart the value is %d, version %v, %v", limit, v.Version, err)
	}
	again, err := c.Unicorn().Lock(ctx, "/site/leader")
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Unlock(); err != nil {
		t.Error(err)
	}
}

func TestStopBeforeStart(t *testing.T) {
	d, err := daemon.New(t.Context(), daemon.Options{Config: configuration(directory(t), nil)})
	if err != nil {
		t.Fatal(err)
	}
	addr := d.Addr().String()
	stop(t, d)
	if conn, err := net.Dial("tcp", addr); err == nil {
		conn.Close()
		t.Error("the locator still listens")
	}
}

func TestNewUnwinds(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	file := func(parts ...string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			path := filepath.Join(append([]string{dir}, parts...)...)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte("in the way"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		name  string
		spoil func(t *testing.T, dir string)
		set   map[string]string
		debug string
		is    error // nil: any
		text  string
	}{
		{name: "the locator's port is taken", set: map[string]string{"network.port": port},
			is: syscall.EADDRINUSE, text: "cannot listen on 127.0.0.1:" + port + " for service locator: address already in use"},
		{name: "another service's port is taken", set: map[string]string{"network.pinned": "admin=" + port},
			is: syscall.EADDRINUSE, text: "for service admin"},
		{name: "no port of the range is free", set: map[string]string{"network.shared": port + "-" + next(port)}, text: "no free port in"},
		{name: "the directory has an owner", spoil: own, is: daemon.ErrInUse, text: "another runtime uses it (pid "},
		{name: "the runtime directory is a file", spoil: file("run"), is: syscall.ENOTDIR, text: "cannot create directory"},
		{name: "the spool is a file", spoil: file("spool"), is: syscall.ENOTDIR, text: "cannot create directory"},
		{name: "the state engine's directory is a file", spoil: file("jetstream")},
		{name: "the log directory is a file", spoil: file("logs")},
		{name: "the node's uuid is none", spoil: file("node.uuid"), text: "cannot read the node's uuid in"},
		{name: "debug pages for everybody", debug: "0.0.0.0:0", is: daemon.ErrNotLoopback},
		{name: "debug pages on a name", debug: "localhost:0", is: daemon.ErrNotLoopback},
		{name: "debug pages nowhere", debug: "127.0.0.1", text: "missing port"},
		{name: "debug pages on a taken port", debug: "127.0.0.1:" + port, is: syscall.EADDRINUSE},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := directory(t)
			before := goleak.IgnoreCurrent()
			if tt.spoil != nil {
				tt.spoil(t, dir)
			}
			d, err := daemon.New(t.Context(), daemon.Options{Config: configuration(dir, tt.set), DebugAddr: tt.debug})
			if err == nil {
				stop(t, d)
				t.Fatal("it was made all the same")
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("the error is %v, want one that is %v", err, tt.is)
			}
			if !strings.Contains(err.Error(), tt.text) || !strings.HasPrefix(err.Error(), "cannot ") || strings.Contains(err.Error(), "\n") {
				t.Errorf("the error reads %q, want %q in it", err, tt.text)
			}
			if tt.name != "the directory has an owner" {
				goleak.VerifyNone(t, before)
			}
		})
	}
}

func next(port string) string {
	n, _ := strconv.Atoi(port) // it was made of a number
	return strconv.Itoa(n + 1)
}

// own has another daemon use a directory.
func own(t *testing.T, dir string) { start(t, daemon.Options{Config: configuration(dir, nil)}) }

func TestFailedNewLeavesTheDirectoryUsable(t *testing.T) {
	dir := directory(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	pinned := map[string]string{"network.pinned": "admin=" + strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)}
	if _, err := daemon.New(t.Context(), daemon.Options{Config: configuration(dir, pinned)}); err == nil {
		t.Fatal("it was made on a taken port")
	}
	start(t, daemon.Options{Config: configuration(dir, nil)})
}

func TestConfigurationIsLeftAlone(t *testing.T) {
	c := configuration(directory(t), nil)
	start(t, daemon.Options{Config: c})
	if len(c.Network.Pinned) != 0 {
		t.Errorf("the configuration has pinned ports now: %v", c.Network.Pinned)
	}
}

func TestPinnedAndSharedPorts(t *testing.T) {
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := probe.Addr().(*net.TCPAddr).Port
	probe.Close()
	d := start(t, daemon.Options{Config: configuration(directory(t), map[string]string{
		"network.pinned": "storage=" + strconv.Itoa(port), "network.shared": "20000-30000"})})
	s := statusOf(t, dial(t, d.Addr().String()))
	if want := "127.0.0.1:" + strconv.Itoa(port); s.Services["storage"] != want {
		t.Errorf("storage is at %s, want %s", s.Services["storage"], want)
	}
	for _, name := range []string{"admin", "node", "logging"} {
		_, text, _ := strings.Cut(s.Services[name], ":")
		if n, _ := strconv.Atoi(text); n < 20000 || n >= 30000 {
			t.Errorf("%s is at %s, outside of the range", name, s.Services[name])
		}
	}
}

// The locator answers on both loopbacks, and on no other address than it was given.
func TestLocatorOnBothLoopbacks(t *testing.T) {
	six, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("there is no ::1 here: ", err)
	}
	six.Close()
	for endpoint, twin := range map[string]bool{"127.0.0.1": true, "127.0.0.2": false} {
		d := start(t, daemon.Options{Config: configuration(directory(t), map[string]string{"network.endpoint": endpoint})})
		address := netip.AddrPortFrom(netip.IPv6Loopback(), d.Addr().Port()).String()
		if !twin {
			if conn, err := net.Dial("tcp", address); err == nil {
				conn.Close()
				t.Errorf("%s is served by a runtime on %s", address, endpoint)
			}
			continue
		}
		s, err := dial(t, address).Locator().Resolve(soon(t), "storage")
		if err != nil || len(s.Endpoints) != 1 {
			t.Errorf("on %s: %v, %v", address, s.Endpoints, err)
		}
	}
}

// TestAppsRunAgain restarts a runtime: what ran runs, what was stopped does not,
// and who the node is has not changed.
func TestAppsRunAgain(t *testing.T) {
	dir := directory(t)
	first := start(t, daemon.Options{Config: configuration(dir, nil)})
	c := dial(t, first.Addr().String())
	newApp("runs").deploy(t, c)
	newApp("stops").deploy(t, c)
	if err := c.Node().Pause(t.Context(), "stops"); err != nil {
		t.Fatal(err)
	}
	if err := c.Storage().Write(t.Context(), "things", "key", []byte("value")); err != nil {
		t.Fatal(err)
	}
	id := statusOf(t, c).Node
	c.Close()
	stop(t, first)

	second := start(t, daemon.Options{Config: configuration(dir, nil)})
	c = dial(t, second.Addr().String())
	awaitRunning(t, c, "runs")
	if err := echo(t.Context(), c, "runs", "again"); err != nil {
		t.Error(err)
	}
	s := statusOf(t, c)
	if s.Node != id {
		t.Errorf("the node is %s, was %s", s.Node, id)
	}
	for _, a := range s.Apps {
		if a.Name == "stops" && a.State != "stopped" {
			t.Errorf("stops is %s", a.State)
		}
	}
	if v, err := c.Storage().Read(t.Context(), "things", "key"); err != nil || string(v) != "value" {
		t.Errorf("the key is %q, %v", v, err)
	}
}

// awaitRunning waits until an app runs.
func awaitRunning(t testing.TB, c *cocaine.Client, name string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		info, err := c.Node().Info(t.Context(), name, 0)
		if err == nil && info.State == "running" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not run: %+v, %v", name, info, err)
		}
	}
}

func TestSocketsOfTheDeadAreSwept(t *testing.T) {
	dir := directory(t)
	run := filepath.Join(dir, "run")
	if err := os.Mkdir(run, 0o700); err != nil {
		t.Fatal(err)
	}
	dead := exited(t)
	keep := []string{"app." + strconv.Itoa(os.Getpid()), "app.sock"}
	gone := []string{"app." + strconv.Itoa(dead), "app." + strconv.Itoa(dead) + ".2"}
	for _, name := range append(keep, gone...) {
		ln, err := net.Listen("unix", filepath.Join(run, name))
		if err != nil {
			t.Fatal(err)
		}
		ln.(*net.UnixListener).SetUnlinkOnClose(false)
		ln.Close()
	}
	if err := os.WriteFile(filepath.Join(run, "notes."+strconv.Itoa(dead)), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, daemon.Options{Config: configuration(dir, nil)})
	var have []string
	entries, err := os.ReadDir(run)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		have = append(have, e.Name())
	}
	want := append(keep, "notes."+strconv.Itoa(dead))
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("left are %v, want %v", have, want)
	}
}

// exited is the number of a process that has ended.
func exited(t *testing.T) int {
	t.Helper()
	p, err := os.StartProcess("/bin/true", []string{"true"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	return p.Pid
}

// TestStopIsBounded stops a runtime with a worker that finishes nothing and heeds no
// signal.
func TestStopIsBounded(t *testing.T) {
	d := start(t, daemon.Options{Config: configuration(directory(t), nil)})
	c := dial(t, d.Addr().String())
	a := newApp("stuck")
	a.stubborn = true
	a.deploy(t, c)
	st, err := c.App("stuck").Enqueue(t.Context(), "stuck")
	if err != nil {
		t.Fatal(err)
	}
	if chunk, err := st.Recv(t.Context()); err != nil || string(chunk) != "stuck" {
		t.Fatalf("the worker says %q, %v", chunk, err)
	}
	const grace = 200 * time.Millisecond
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	began := time.Now()
	if err := d.Stop(ctx); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < grace || took > grace+5*time.Second {
		t.Errorf("it took %v, of which %v are the grace", took, grace)
	}
	if _, err := st.Recv(t.Context()); err == nil || err == io.EOF {
		t.Errorf("the call ended with %v", err)
	}
}

// TestDrain lets a call end before the runtime does.
func TestDrain(t *testing.T) {
	d := start(t, daemon.Options{Config: configuration(directory(t), nil)})
	c := dial(t, d.Addr().String())
	newApp("app").deploy(t, c)
	st, err := c.App("app").Enqueue(t.Context(), "echo")
	if err != nil {
		t.Fatal(err)
	}
	exchange := func(text string) {
		t.Helper()
		if err := st.Send(t.Context(), []byte(text)); err != nil {
			t.Fatal(err)
		}
		if chunk, err := st.Recv(t.Context()); err != nil || string(chunk) != text {
			t.Fatalf("echo of %q is %q, %v", text, chunk, err)
		}
	}
	exchange("before")
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		stopped <- d.Stop(ctx)
	}()
	awaitGone(t, c, "app")
	exchange("meanwhile")
	if err := st.CloseSend(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Recv(t.Context()); err != io.EOF {
		t.Errorf("the call ended with %v", err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// awaitGone waits until a name does not resolve any longer.
func awaitGone(t *testing.T, c *cocaine.Client, name string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		_, err := c.Locator().Resolve(t.Context(), name)
		if errors.Is(err, cocaine.ErrServiceNotFound) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s still resolves: %v", name, err)
		}
	}
}

func TestDebugPages(t *testing.T) {
	d := start(t, daemon.Options{Config: configuration(directory(t), nil), DebugAddr: "127.0.0.1:0"})
	vars := func() map[string]any {
		t.Helper()
		r, err := http.Get("http://" + d.DebugAddr() + "/debug/vars")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		var doc map[string]any
		if err := json.NewDecoder(r.Body).Decode(&doc); err != nil {
			t.Fatal(err)
		}
		return doc
	}
	before := vars()
	for _, name := range []string{"sessions.open", "sessions.malformed", "sessions.stalled", "sessions.refused", "frames.in",
		"frames.late", "violations", "runtime.goroutines", "runtime.heap_bytes", "runtime.mallocs", "memstats"} {
		if _, ok := before[name]; !ok {
			t.Errorf("there is no %q", name)
		}
	}
	c := dial(t, d.Addr().String())
	if _, err := c.Node().List(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := vars()
	if after["frames.in"].(float64) < before["frames.in"].(float64)+2 || after["sessions.open"].(float64) != 2 {
		t.Errorf("after two calls on two connections frames.in is %v, sessions.open %v", after["frames.in"], after["sessions.open"])
	}
	stats, err := cocaine.Get[map[string]any](t.Context(), c.Service("admin"), "stats")
	if err != nil || len(stats) == 0 {
		t.Errorf("admin.stats is %v, %v", stats, err)
	}
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/goroutine?debug=1", "/debug/pprof/symbol"} {
		r, err := http.Get("http://" + d.DebugAddr() + path)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, r.Status)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	stop(t, d)
	if conn, err := net.Dial("tcp", d.DebugAddr()); err == nil {
		conn.Close()
		t.Error("the debug pages are still served")
	}
}

func TestRemoveIsForGood(t *testing.T) {
	dir := directory(t)
	d := start(t, daemon.Options{Config: configuration(dir, nil)})
	c := dial(t, d.Addr().String())
	newApp("app").deploy(t, c)
	if err := cocaine.Exec(t.Context(), c.Service("admin"), "remove", "app"); err != nil {
		t.Fatal(err)
	}
	if apps := statusOf(t, c).Apps; len(apps) > 0 {
		t.Errorf("left are %v", apps)
	}
	if err := cocaine.Exec(t.Context(), c.Service("admin"), "remove", "app"); !errors.Is(err, cocaine.ErrNotFound) {
		t.Errorf("the second time: %v", err)
	}
	if err := c.Node().Start(t.Context(), "app", "app"); !errors.Is(err, cocaine.ErrNotFound) {
		t.Errorf("it starts: %v", err)
	}
	c.Close()
	stop(t, d)
	again := start(t, daemon.Options{Config: configuration(dir, nil)})
	if apps := statusOf(t, dial(t, again.Addr().String())).Apps; len(apps) > 0 {
		t.Errorf("after a restart there are %v", apps)
	}
}
