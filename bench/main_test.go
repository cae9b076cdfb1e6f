//go:build linux

package main

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/bench/internal/result"
	"github.com/cocaine/cocaine-go/bench/internal/suite"
)

// The test binary plays the benchmark's processes and a runtime: the suite
// starts them with a command as the first argument, which `go test` never does.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if os.Args[1] == "server" {
			if err := runFakeRuntime(os.Args[2:]); err != nil {
				os.Stderr.WriteString(err.Error() + "\n")
				os.Exit(1)
			}
			return
		}
		if slices.ContainsFunc(commands(), func(c command) bool { return c.name == os.Args[1] }) {
			main()
			return
		}
	}
	goleak.VerifyTestMain(m,
		// of the HTTP client that reads /debug/vars; they end when idle
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

func config(t *testing.T) suite.Config {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	return suite.Config{
		Self: self, Root: root, Cocaine: self,
		Cells: []result.Cell{
			{Bytes: 128, Connections: 1, InFlight: 1},
			{Bytes: 128, Connections: 1, InFlight: 16},
			{Bytes: 4096, Connections: 4, InFlight: 64},
		},
		Only:   []string{result.Cocaine, result.Forwarder, result.NATS, result.GRPC}, // the framework needs more than the fake runtime
		Rounds: 1, WarmUp: 2 * time.Millisecond, Duration: 30 * time.Millisecond, Starts: 2,
	}
}

// The whole comparison, too short to mean anything, with a fake runtime.
func TestSuiteMeasuresEverything(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it starts many processes")
	}
	var log strings.Builder
	r, err := suite.Run(t.Context(), config(t), &log)
	if err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	if len(r.Echo) != 4*3 || len(r.Ratios) != 3*3 || len(r.Methods) != 6 {
		t.Errorf("%d echo figures, %d ratios, %d methods", len(r.Echo), len(r.Ratios), len(r.Methods))
	}
	for _, target := range []string{result.Cocaine, result.Forwarder, result.GRPC, result.NATS} {
		f, ok := r.Find(target, result.Cell{Bytes: 128, Connections: 1, InFlight: 16})
		if !ok || f.RPS <= 0 || f.P50 <= 0 || f.P99 < f.P50 {
			t.Errorf("%s: %+v", target, f)
		}
		if m := r.Memory[target]; m == nil || m.Idle < 1<<10 || m.After < 1<<10 {
			t.Errorf("%s: memory %+v", target, m)
		}
	}
	if a, ok := r.Allocs[result.Forwarder]; !ok || a > 0.5 {
		t.Errorf("the forwarder allocates %v times a frame", a)
	}
	if c := r.ColdStart; c == nil || c.Bare <= 0 || c.Cocaine <= 0 || c.Ratio <= 0 {
		t.Errorf("cold start: %+v", c)
	}
	if s := r.Start; s == nil || s.Empty <= 0 || s.Again <= 0 {
		t.Errorf("start: %+v", s)
	}
	if len(r.Skipped) != 0 {
		t.Errorf("skipped: %v", r.Skipped)
	}

	dir := t.TempDir()
	if err := save(r, dir); err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(dir, "again.svg")
	if err := runPlot([]string{filepath.Join(dir, "latest.json"), again}); err != nil {
		t.Fatal(err)
	}
	first, err1 := os.ReadFile(filepath.Join(dir, "latest.svg"))
	second, err2 := os.ReadFile(again)
	if err := errors.Join(err1, err2); err != nil || string(first) != string(second) {
		t.Errorf("the plot of the file differs from that of the run, %v", err)
	}
	if err := xml.Unmarshal(first, new(struct{})); err != nil && !errors.Is(err, io.EOF) {
		t.Errorf("the plot is no XML: %v", err)
	}
}

func TestMissingTargetIsSkipped(t *testing.T) {
	c := config(t)
	c.Only = []string{result.Cocaine, result.Forwarder}
	c.Cocaine = ""
	c.Root = rootWithout(t, c.Root)
	var log strings.Builder
	r, err := suite.Run(t.Context(), c, &log)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(log.String(), "cocaine: skipped: no cmd/cocaine in ") || strings.Contains(strings.SplitN(log.String(), "\n", 2)[1], "cocaine") {
		t.Errorf("it says:\n%s", &log)
	}
	if r.Skipped[result.Cocaine] == "" || len(r.Echo) != 3 || len(r.Ratios) != 0 {
		t.Errorf("skipped %v, %d figures, %d ratios", r.Skipped, len(r.Echo), len(r.Ratios))
	}
}

// rootWithout is a tree with this module in it and no cmd/cocaine.
func rootWithout(t *testing.T, root string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(root, "bench"), filepath.Join(dir, "bench")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestFailingTargetLeavesTheOthers(t *testing.T) {
	c := config(t)
	c.Only = []string{result.Cocaine, result.Forwarder}
	c.Cocaine = "/bin/false"
	var log strings.Builder
	r, err := suite.Run(t.Context(), c, &log)
	if err == nil || !strings.Contains(err.Error(), "cannot measure cocaine: cocaine server ended before it was ready") {
		t.Errorf("got %v", err)
	}
	if r == nil || len(r.Echo) != 3 {
		t.Fatalf("the forwarder was not measured:\n%s", &log)
	}
	c.Only = []string{"rabbits"}
	if _, err := suite.Run(t.Context(), c, &log); err == nil || !strings.Contains(err.Error(), "no such target") {
		t.Errorf("an unknown target: %v", err)
	}
}

func TestInterruptEndsTheSuite(t *testing.T) {
	c := config(t)
	c.Only = []string{result.Forwarder}
	c.Rounds = 1000
	ctx, cancel := context.WithCancel(t.Context())
	log := writerFunc(func(p []byte) (int, error) {
		if strings.HasPrefix(string(p), "round 1/") {
			cancel()
		}
		return len(p), nil
	})
	if _, err := suite.Run(ctx, c, log); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// The framework needs a runtime that is one.
func TestSuiteMeasuresTheFramework(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it builds and starts a runtime")
	}
	c := config(t)
	c.Cocaine, c.Only = "", []string{result.SDK, result.SDKEach, result.SDKStream}
	c.Cells = []result.Cell{{Bytes: 128, Connections: 1, InFlight: 16}, {Bytes: 128, Connections: 4, InFlight: 16}}
	var log strings.Builder
	r, err := suite.Run(t.Context(), c, &log)
	if err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	for _, target := range c.Only {
		f, ok := r.Find(target, c.Cells[0])
		if !ok || f.ClientAllocs <= 0 || f.WorkerAllocs <= 0 { // a rate may be nothing in so short a time
			t.Errorf("%s: %+v", target, f)
		}
		if f, ok := r.Find(target, c.Cells[1]); ok {
			t.Errorf("%s was measured on four connections: %+v", target, f)
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestClientRefusesNonsense(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"client", "-inflight", "0", "-duration", "1s"},
		{"client", "-protocol", "carrier-pigeon", "-duration", "1s"},
		{"client", "-method", "dance", "-duration", "1s"},
		{"client", "-address", "127.0.0.1:1", "-duration", "1s"},
		{"plot", "only-one"},
		{"plot", "none.json", "none.svg"},
	} {
		out, err := exec.CommandContext(t.Context(), self, args...).CombinedOutput()
		if err == nil || !strings.HasPrefix(string(out), "bench: ") || strings.Count(string(out), "\n") != 1 {
			t.Errorf("%v: %v: %s", args, err, out)
		}
	}
}
