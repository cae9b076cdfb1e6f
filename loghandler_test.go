package cocaine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/slogtest"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/logging"
	"github.com/cocaine/cocaine-go/internal/logtest"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/standin"
)

const logAddr = "10.0.0.4:1"

// An emitted is a record as the logging service got it.
type emitted struct {
	severity        int
	source, message string
	names           []string // of the attributes, in order
	attrs           map[string]any
	trace           rpc.Trace
}

// logStage is a client and a logging service in memory and virtual time.
type logStage struct {
	*network
	t         *testing.T
	client    *cocaine.Client
	fallback  logtest.Buffer
	verbosity atomic.Int64
	asked     atomic.Int64
	hold      chan struct{}  // if not nil, the service reads nothing before it is closed
	gate      chan struct{}  // if not nil, nobody connects to the service before it is closed
	written   atomic.Int64   // writes to the service
	sent      logtest.Buffer // what they were

	mu   sync.Mutex
	got  []emitted
	stop func()
}

// onLogStage runs a test in virtual time. The logging service is known, but not
// there before start.
func onLogStage(t *testing.T, f func(t *testing.T, s *logStage)) {
	onLogStageAt(t, logAddr, f)
}

func onLogStageAt(t *testing.T, addr string, f func(t *testing.T, s *logStage)) {
	r := standin.New(t)
	r.Publish("logging", idl.Logging, addr)
	synctest.Test(t, func(t *testing.T) {
		s := &logStage{network: new(network), t: t}
		stopLocator := s.serve(locatorAddr, r.Acceptor())
		client, err := cocaine.New(cocaine.Options{Locators: []string{locatorAddr}, Dial: s.dial, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		s.client = client
		f(t, s)
		client.Close()
		if s.stop != nil {
			s.stop()
		}
		stopLocator()
		if t.Failed() {
			t.Logf("the fallback has:\n%s", &s.fallback)
		}
	})
}

func (s *logStage) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := s.network.dial(ctx, network, addr)
	if err != nil || addr != logAddr {
		return conn, err
	}
	if s.gate != nil {
		<-s.gate
	}
	return &tapped{conn, s}, nil
}

// tapped is a connection to the service.
type tapped struct {
	net.Conn
	s *logStage
}

func (c *tapped) Write(p []byte) (int, error) {
	c.s.written.Add(1)
	_, _ = c.s.sent.Write(p)
	return c.Conn.Write(p)
}

// start starts the logging service.
func (s *logStage) start() {
	m := rpc.NewMux(idl.Logging, rpc.MuxOptions{})
	m.Mute("emit", s.emit)
	m.Inline("verbosity", func(context.Context, *rpc.Call) ([]byte, error) {
		s.asked.Add(1)
		return standin.Value(s.verbosity.Load()), nil
	})
	s.stop = s.serve(logAddr, m)
}

func (s *logStage) emit(_ context.Context, c *rpc.Call) error {
	if s.hold != nil {
		<-s.hold
	}
	r := c.Reader()
	e := emitted{severity: int(r.Int()), source: r.String(), message: r.String(), attrs: make(map[string]any), trace: c.Trace}
	if c.NArgs > 3 {
		for range r.Array() {
			r.Array()
			name := r.String()
			e.names = append(e.names, name)
			e.attrs[name] = r.Value()
		}
	}
	if r.Err() != nil {
		s.t.Errorf("malformed record: %v", r.Err())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, e)
	return nil
}

// records waits until nothing moves any more and gives what has come.
func (s *logStage) records() []emitted {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.got
	s.got = nil
	return got
}

func (s *logStage) handler(opts ...func(*cocaine.LogHandlerOptions)) *cocaine.LogHandler {
	o := cocaine.LogHandlerOptions{Source: "app/test", Fallback: &s.fallback}
	for _, f := range opts {
		f(&o)
	}
	return cocaine.NewLogHandler(s.client, o)
}

func (s *logStage) close(h *cocaine.LogHandler) {
	s.t.Helper()
	if err := h.Close(s.t.Context()); err != nil {
		s.t.Errorf("Close: %v", err)
	}
}

// pass lets virtual time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestSlogLevels(t *testing.T) {
	onLogStage(t, func(t *testing.T, s *logStage) {
		s.start()
		h := s.handler()
		log := slog.New(h)
		for _, l := range []slog.Level{-8, slog.LevelDebug, -1, slog.LevelInfo, 2, slog.LevelWarn, slog.LevelError, 12} {
			log.Log(t.Context(), l, l.String())
		}
		var severities []int
		for _, e := range s.records() {
			severities = append(severities, e.severity)
			if e.source != "app/test" || len(e.attrs) > 0 {
				t.Errorf("got %+v", e)
			}
		}
		if want := []int{0, 0, 0, 1, 1, 2, 3, 3}; !slices.Equal(severities, want) {
			t.Errorf("severities %v, want %v", severities, want)
		}
		s.close(h)
		if text := s.fallback.String(); text != "" {
			t.Errorf("the fallback has %q", text)
		}
	})
}

func TestEmitGolden(t *testing.T) {
	onLogStage(t, func(t *testing.T, s *logStage) {
		s.start()
		h := s.handler()
		slog.New(h).Warn("disk", "free", 5, "path", "/var")
		s.close(h)
		// [n, emit, [2, "app/test", "disk", [["free", 5], ["path", "/var"]]], []]
		if golden := "\x00\x94\x02\xa8app/test\xa4disk\x92\x92\xa4free\x05\x92\xa4path\xa4/var\x90"; !strings.Contains(s.sent.String(), golden) {
			t.Errorf("sent %q", s.sent.String())
		}
	})
}

// Records of a program that does not say what it is come from what the original called
// standalone.
func TestLogSource(t *testing.T) {
	onLogStage(t, func(t *testing.T, s *logStage) {
		s.start()
		for given, want := range map[string]string{"": "app/standalone", "app/shop": "app/shop", "daemon": "daemon"} {
			h := s.handler(func(o *cocaine.LogHandlerOptions) { o.Source = given })
			slog.New(h).Info("m")
			if got := s.records(); len(got) != 1 || got[0].source != want {
				t.Errorf("%q: got %+v, want the source %s", given, got, want)
			}
			s.close(h)
		}
	})
}

func TestLogLevelOption(t *testing.T) {
	onLogStage(t, func(t *testing.T, s *logStage) {
		level := new(slog.LevelVar)
		h := s.handler(func(o *cocaine.LogHandlerOptions) { o.Level = level })
		for l, want := range map[slog.Level]bool{slog.LevelDebug: false, slog.LevelInfo: true} {
			if h.Enabled(t.Context(), l) != want {
				t.Errorf("%v: want %t", l, want)
			}
		}
		level.Set(slog.LevelDebug)
		if !h.Enabled(t.Context(), slog.LevelDebug) {
			t.Error("the changed level has no effect")
		}
		s.close(h) // nothing was logged, nobody connected
		if n := len(s.dials); n > 0 {
			t.Errorf("%d connections for no record", n)
		}
	})
}

func TestVerbosityRefresh(t *testing.T) {
	onLogStage(t, func(t *testing.T, s *logStage) {
		s.start()
		h := s.handler()
		log := slog.New(h)
		verbose := cocaine.WithTrace(t.Context(), cocaine.Trace{ID: 1, Span: 1, Verbose: true})
		log.Debug("one")
		if got := s.records(); len(got) != 1 || !h.Enabled(t.Context(), slog.LevelDebug) {
			t.Errorf("got %v", got)
		}
		s.verbosity.Store(2)
		pass(29 * time.Second)
		if !h.Enabled(t.Context(), slog.LevelDebug) {
			t.Error("it was asked too early")
		}
		pass(2 * time.Second)
		if h.Enabled(t.Context(), slog.LevelInfo) || !h.Enabled(t.Context(), slog.LevelWarn) || !h.Enabled(verbose, slog.LevelDebug) {
			t.Error("a verbosity of 2 has no effect")
		}
		log.Info("two")
		log.Warn("three")
		log.DebugContext(verbose, "four")
		if got := s.records(); len(got) != 2 || got[0].message != "three" || got[1].message != "four" {
			t.Errorf("got %v", got)
		}
		s.verbosity.Store(0)
		pass(30 * time.Second)
		if !h.Enabled(t.Context(), slog.LevelDebug) {
			t.Error("a verbosity of 0 has no effect")
		}
		if n := s.asked.Load(); n != 3 {
			t.Errorf("asked %d times, want 3", n)
		}
		s.close(h)
	})
}

// How often the service is asked is the program's to say.
func TestVerbosityRefreshOption(t *testing.T) {
	onLogStage(t, func(t *testing.T, s *logStage) {
		s.start()
		h := s.handler(func(o *cocaine.LogHandlerOptions) { o.Refresh = time.Hour })
		slog.New(h).Info("one")
		pass(59 * time.Minute)
		if n := s.asked.Load(); n != 1 {
			t.Errorf("asked %d times within the hour", n)
		}
		pass(2 * time.Minute)
		if n := s.asked.Load(); n != 2 {
			t.Errorf("asked %d times after an hour", n)
		}
		s.close(h)
	})
}

func TestFallbackThenRecover(t *testing.T) {
	onLogStage(t, func(t *testing.T, s *logStage) {
		h := s.handler()
		log := slog.New(h).With("pid", 5).WithGroup("req")
		log.Info("one", "id", "a b")
		synctest.Wait()
		text := s.fallback.String()
		if !strings.Contains(text, `level=INFO msg=one pid=5 req.id="a b"`) || strings.Count(text, "logging service is away") != 1 {
			t.Errorf("the fallback has %s", text)
		}
		pass(time.Hour)
		if n := len(s.dials); n < 120 || n > 300 { // every 15 to 30 s
			t.Errorf("%d connections tried in an hour", n)
		}
		log.Info("two")
		synctest.Wait()
		if text := s.fallback.String(); !strings.Contains(text, "msg=two") || strings.Count(text, "away") != 1 {
			t.Errorf("the fallback has %s", text)
		}
		s.start()
		pass(30 * time.Second)
		log.Info("three")
		if got := s.records(); len(got) != 1 || got[0].message != "three" {
			t.Errorf("got %v", got)
		}
		if text := s.fallback.String(); strings.Contains(text, "three") || strings.Count(text, "logging service is back") != 1 {
			t.Errorf("the fallback has %s", text)
		}
		s.close(h)
	})
}

func TestLogAfterDisconnect(t *testing.T) {
	onLogStage(t, func(t *testing.T, s *logStage) {
		s.start()
		h := s.handler()
		log := slog.New(h)
		log.Info("before")
		if got := s.records(); len(got) != 1 {
			t.Fatalf("got %v", got)
		}
		s.stop()
		synctest.Wait()
		for i := range 10 {
			if err := h.Handle(t.Context(), slog.NewRecord(time.Now(), slog.LevelInfo, fmt.Sprint("lost ", i), 0)); err != nil {
				t.Error(err)
			}
		}
		pass(time.Second)
		if n := strings.Count(s.fallback.String(), "lost "); n != 10 {
			t.Errorf("the fallback has %d of 10 records", n)
		}
		s.start()
		pass(time.Minute)
		log.Info("after")
		if got := s.records(); len(got) != 1 || got[0].message != "after" {
			t.Errorf("got %v", got)
		}
		s.close(h)
	})
}

// A service that is restarted quickly gets the records that waited for it.
func TestLogAcrossRestart(t *testing.T) {
	onLogStage(t, func(t *testing.T, s *logStage) {
		s.start()
		h := s.handler()
		log := slog.New(h)
		log.Info("before")
		s.records()
		s.stop()
		synctest.Wait()
		s.start()
		log.Info("meanwhile")
		pass(time.Second)
		if got := s.records(); len(got) != 1 || got[0].message != "meanwhile" || s.fallback.String() != "" {
			t.Errorf("got %v, the fallback has %q", got, s.fallback.String())
		}
		s.close(h)
	})
}

// A service that hangs up at once is not pestered.
func TestLogServiceThatHangsUp(t *testing.T) {
	onLogStage(t, func(t *testing.T, s *logStage) {
		var conns atomic.Int64
		s.stop = s.serve(logAddr, hangUp{&conns})
		h := s.handler()
		log := slog.New(h)
		for range 600 {
			log.Info("x")
			pass(time.Second)
		}
		if n := conns.Load(); n < 10 || n > 60 {
			t.Errorf("%d connections in 10 minutes", n)
		}
		_ = h.Close(t.Context()) // whether it is away just now is a matter of luck
	})
}

// hangUp ends every session with its first frame.
type hangUp struct{ conns *atomic.Int64 }

func (a hangUp) Accept(_ *rpc.Batch, s *rpc.Session, _ uint64, _ *rpc.Frame) rpc.Receiver {
	a.conns.Add(1)
	s.Close()
	return nil
}

type point struct{ X, Y int }

type valuer struct{ v any }

func (v valuer) LogValue() slog.Value { return slog.AnyValue(v.v) }

type panics struct{}

func (panics) String() string { panic("oops") }

func TestSlogAttrs(t *testing.T) {
	onLogStage(t, func(t *testing.T, s *logStage) {
		s.start()
		h := s.handler()
		log := slog.New(h).With("a", 1).WithGroup("g").With("b", uint64(1<<63)).WithGroup("")
		log.Info("m",
			"text", "x", "int", -5, "float", 1.5, "bool", true, "duration", 1500*time.Millisecond, "time", time.Unix(0, 5).UTC(),
			"err", errors.New("bad"), "nil", nil, "bytes", []byte("raw"), "struct", point{1, 2}, "panics", panics{},
			"valuer", valuer{7}, "deep", valuer{valuer{slog.GroupValue(slog.Int("x", 1), slog.Group("y", "z", "w"))}},
			slog.Group("empty"), slog.Group("", "inlined", 1), slog.Attr{}, "long", strings.Repeat("x", 100_000))
		got := s.records()
		if len(got) != 1 {
			t.Fatalf("got %v", got)
		}
		want := map[string]any{
			"a": int64(1), "g.b": uint64(1 << 63), "g.text": "x", "g.int": int64(-5), "g.float": 1.5, "g.bool": true, "g.duration": "1.5s",
			"g.time": "1970-01-01T00:00:00.000000005Z", "g.err": "bad", "g.nil": "<nil>", "g.bytes": "raw", "g.struct": "{1 2}",
			"g.panics": "%!v(PANIC=String method: oops)", "g.valuer": int64(7), "g.deep.x": int64(1), "g.deep.y.z": "w", "g.inlined": int64(1),
			"g.long": strings.Repeat("x", 64<<10),
		}
		for name, v := range want {
			if g := got[0].attrs[name]; g != v && name != "g.panics" {
				t.Errorf("%s: got %.100v (%T), want %.100v", name, g, g, v)
			}
		}
		if names := slices.Sorted(maps.Keys(got[0].attrs)); !slices.Equal(names, slices.Sorted(maps.Keys(want))) {
			t.Errorf("got attributes %v", names)
		}
		if text, _ := got[0].attrs["g.panics"].(string); !strings.Contains(text, "PANIC") {
			t.Errorf("an attribute that panics became %q", text)
		}
		s.close(h)
	})
}

// What is logged is what it was when it was logged.
func TestSlogAttrsAreTakenAtOnce(t *testing.T) {
	onLogStage(t, func(t *testing.T, s *logStage) {
		s.start()
		h := s.handler()
		p := &point{1, 2}
		slog.New(h).Info("m", "p", p)
		p.X = 5
		if got := s.records(); len(got) != 1 || got[0].attrs["p"] != "&{1 2}" {
			t.Errorf("got %v", got)
		}
		s.close(h)
	})
}

func TestTraceAttr(t *testing.T) {
	onLogStage(t, func(t *testing.T, s *logStage) {
		s.start()
		h := s.handler()
		log := slog.New(h)
		trace := cocaine.Trace{ID: 0xabc, Span: 0xdef, Parent: 1}
		log.InfoContext(t.Context(), "plain")
		log.InfoContext(cocaine.WithTrace(t.Context(), trace), "traced", "a", 1)
		trace.Verbose = true
		log.InfoContext(cocaine.WithTrace(t.Context(), trace), "verbose")
		got := s.records()
		if len(got) != 3 || len(got[0].names) != 0 || got[0].trace.ID != 0 {
			t.Fatalf("got %v", got)
		}
		if !slices.Equal(got[1].names, []string{"a", "trace_id"}) || got[1].attrs["trace_id"] != "0000000000000abc" || got[1].trace.ID != 0 {
			t.Errorf("got %v", got[1])
		}
		if len(got[2].names) != 0 || got[2].trace != trace { // the service shows it by itself
			t.Errorf("got %v", got[2])
		}
		s.stop()
		synctest.Wait()
		log.InfoContext(cocaine.WithTrace(t.Context(), trace), "away")
		pass(time.Minute)
		if !strings.Contains(s.fallback.String(), "msg=away trace_id=0000000000000abc") {
			t.Error("the trace is missing")
		}
		s.stop = nil
		s.close(h)
	})
}

// While a connection is being made the queue fills, and then to the fallback.
func TestLogQueueFull(t *testing.T) {
	onLogStageAt(t, blackHole, func(t *testing.T, s *logStage) {
		h := s.handler(func(o *cocaine.LogHandlerOptions) { o.Queue = 10 })
		log := slog.New(h)
		for i := range 15 {
			log.Info(fmt.Sprint("n", i))
		}
		if n := h.Dropped(); n != 5 {
			t.Errorf("%d dropped", n)
		}
		if s.fallback.String() != "" {
			t.Error("the fallback was not waited with")
		}
		pass(time.Second)
		text := s.fallback.String()
		if strings.Count(text, "msg=n") != 10 || strings.Count(text, "log records dropped") != 1 || !strings.Contains(text, "dropped=5") || !strings.Contains(text, "msg=n9 ") && !strings.Contains(text, "msg=n9\n") {
			t.Errorf("the fallback has %s", text)
		}
		log.Info("later")
		synctest.Wait()
		if text := s.fallback.String(); !strings.Contains(text, "msg=later") || strings.Count(text, "records dropped") != 1 || h.Dropped() != 5 {
			t.Errorf("the fallback has %s", text)
		}
		s.close(h)
	})
}

// A service that does not read holds nobody up.
func TestLogNeverBlocks(t *testing.T) {
	onLogStage(t, func(t *testing.T, s *logStage) {
		s.hold = make(chan struct{})
		s.start()
		h := s.handler()
		log := slog.New(h)
		log.Info("first")
		synctest.Wait()
		start := time.Now()
		const n = 4000
		for range n {
			log.Info(strings.Repeat("x", 10_000)) // 40 MB
			synctest.Wait()
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("it took %v", took)
		}
		dropped := h.Dropped()
		if dropped == 0 || n-dropped < 1000 { // 8 MiB wait, and at least 4 MiB are on their way
			t.Errorf("%d of %d dropped", dropped, n)
		}
		close(s.hold)
		got := s.records()
		if last := got[len(got)-1]; last.message != "log records dropped: the queue was full" || last.severity != 2 || last.attrs["dropped"] != int64(dropped) {
			t.Errorf("the last record is %v", last)
		}
		if len(got) != 1+n-int(dropped)+1 {
			t.Errorf("got %d records, %d were dropped", len(got), dropped)
		}
		s.close(h)
	})
}

// Records that come together go together.
func TestLogBatch(t *testing.T) {
	onLogStage(t, func(t *testing.T, s *logStage) {
		s.gate = make(chan struct{})
		s.start()
		h := s.handler()
		log := slog.New(h)
		for range 1000 {
			log.Info("many")
		}
		synctest.Wait() // it waits for the connection
		close(s.gate)
		if got := s.records(); len(got) != 1000 {
			t.Errorf("got %d", len(got))
		}
		if n := s.written.Load(); n > 10 {
			t.Errorf("1000 records of %d bytes took %d writes", len(s.sent.String()), n)
		}
		s.close(h)
	})
}

func TestLogClose(t *testing.T) {
	onLogStage(t, func(t *testing.T, s *logStage) {
		s.start()
		h := s.handler()
		log := slog.New(h)
		for range 3000 {
			log.Info("x")
		}
		s.close(h) // before it has connected
		s.mu.Lock()
		n := len(s.got)
		s.mu.Unlock()
		if n != 3000 {
			t.Errorf("Close returned when the service had %d of 3000 records", n)
		}
		log.Info("late")
		if !strings.Contains(s.fallback.String(), "msg=late") {
			t.Error("a record after Close got lost")
		}
		s.close(h)
	})
}

func TestLogCloseGivesUp(t *testing.T) {
	onLogStageAt(t, blackHole, func(t *testing.T, s *logStage) {
		h := s.handler()
		slog.New(h).Info("x")
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		if err := h.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 100*time.Millisecond {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		if !strings.Contains(s.fallback.String(), "msg=x") {
			t.Error("the record got lost")
		}
	})
}

// A service that reads no more leaves Close in doubt.
func TestLogCloseUnconfirmed(t *testing.T) {
	onLogStage(t, func(t *testing.T, s *logStage) {
		s.start()
		h := s.handler()
		log := slog.New(h)
		log.Info("before")
		s.records()
		s.hold = make(chan struct{})
		log.Info("x")
		synctest.Wait()
		closed := make(chan error)
		go func() { closed <- h.Close(t.Context()) }()
		synctest.Wait()
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			s.stop()
		}()
		synctest.Wait()
		close(s.hold)
		<-stopped
		if err := <-closed; err == nil {
			t.Error("Close says that all is well")
		}
		s.stop = nil
	})
}

func TestLogHandlerOutlivesClient(t *testing.T) {
	onLogStage(t, func(t *testing.T, s *logStage) {
		s.start()
		h := s.handler()
		slog.New(h).Info("one")
		s.records()
		s.client.Close()
		slog.New(h).Info("two")
		s.close(h)
		h = s.handler()
		slog.New(h).Info("three")
		s.close(h)
		if text := s.fallback.String(); strings.Contains(text, "one") || !strings.Contains(text, "msg=two") || !strings.Contains(text, "msg=three") {
			t.Errorf("the fallback has %q", text)
		}
	})
}

func TestLogConcurrently(t *testing.T) {
	onLogStage(t, func(t *testing.T, s *logStage) {
		s.start()
		h := s.handler()
		log := slog.New(h)
		var wg sync.WaitGroup
		for i := range 20 {
			log := log.With("g", i)
			wg.Go(func() {
				for j := range 100 {
					log.Info("x", "n", j)
				}
			})
		}
		wg.Wait()
		s.close(h)
		next := make(map[any]int64)
		for _, e := range s.records() {
			if e.attrs["n"] != next[e.attrs["g"]] {
				t.Errorf("goroutine %v: got %v, want %d", e.attrs["g"], e.attrs["n"], next[e.attrs["g"]])
			}
			next[e.attrs["g"]]++
		}
		if len(next) != 20 || next[int64(0)] != 100 {
			t.Errorf("got %v", next)
		}
	})
}

// sink keeps what the runtime's own service makes of records.
type sink struct {
	mu  sync.Mutex
	got []logging.Record
}

func (s *sink) Emit(r logging.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, r)
}

func TestLogToTheRuntime(t *testing.T) {
	r := standin.New(t)
	kept := new(sink)
	r.Serve("logging", logging.Service(kept, logging.ServiceOptions{Verbosity: logging.Warning}))
	h := cocaine.NewLogHandler(newClient(t, r), cocaine.LogHandlerOptions{Source: "app/shop"})
	log := slog.New(h)
	verbose := cocaine.WithTrace(t.Context(), cocaine.Trace{ID: 5, Span: 6, Verbose: true})
	log.Info("below the verbosity")
	log.Warn("low", "left", 2)
	log.DebugContext(verbose, "every step")
	if err := h.Close(patient(t)); err != nil {
		t.Fatal(err)
	}
	want := []logging.Record{
		{Severity: logging.Warning, Source: "app/shop", App: "shop", Message: "low", Attrs: []logging.Attr{{Name: "left", Value: int64(2)}}},
		{Severity: logging.Debug, Source: "app/shop", App: "shop", Message: "every step", Attrs: []logging.Attr{
			{Name: "trace_id", Value: "0000000000000005"}, {Name: "span_id", Value: "0000000000000006"}, {Name: "parent_id", Value: "0000000000000000"},
		}},
	}
	for i := range kept.got {
		kept.got[i].Time = time.Time{}
	}
	if fmt.Sprint(kept.got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", kept.got, want)
	}
}

// The rules of log/slog for handlers. Groups arrive as dotted names; the time of a
// record is when the service gets it.
func TestSlogtest(t *testing.T) {
	r := standin.New(t)
	s := &logStage{t: t}
	m := rpc.NewMux(idl.Logging, rpc.MuxOptions{})
	m.Mute("emit", s.emit)
	m.Inline("verbosity", func(context.Context, *rpc.Call) ([]byte, error) { return standin.Value(0), nil })
	r.Serve("logging", m)
	client := newClient(t, r)
	var h *cocaine.LogHandler
	slogtest.Run(t, func(t *testing.T) slog.Handler {
		s.got = nil
		h = cocaine.NewLogHandler(client, cocaine.LogHandlerOptions{Fallback: &s.fallback})
		return h
	}, func(t *testing.T) map[string]any {
		if err := h.Close(patient(t)); err != nil {
			t.Fatal(err)
		}
		if len(s.got) != 1 {
			t.Fatalf("got %v", s.got)
		}
		e := s.got[0]
		fields := map[string]any{slog.MessageKey: e.message, slog.LevelKey: slog.LevelInfo}
		if !strings.HasSuffix(t.Name(), "/zero-time") {
			fields[slog.TimeKey] = time.Now()
		}
		for name, v := range e.attrs {
			nest(fields, strings.Split(name, "."), v)
		}
		return fields
	})
}

// nest makes groups of a dotted name.
func nest(m map[string]any, path []string, v any) {
	if len(path) == 1 {
		m[path[0]] = v
		return
	}
	inner, ok := m[path[0]].(map[string]any)
	if !ok {
		inner = make(map[string]any)
		m[path[0]] = inner
	}
	nest(inner, path[1:], v)
}
