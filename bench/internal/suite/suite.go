//go:build linux

package suite

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cocaine/cocaine-go/bench/internal/proc"
	"github.com/cocaine/cocaine-go/bench/internal/report"
	"github.com/cocaine/cocaine-go/bench/internal/result"
)

// A Suite is one run.
type Suite struct {
	Config
	log       io.Writer // progress, for people
	dir       string    // sockets, binaries, state; removed at the end
	worker    string    // binary of the echo worker
	sdkWorker string    // of the one that uses the framework
	binary    string    // of the runtime; empty when attached or absent
	targets   []*target
	echo      map[echoKey][]result.Sample
	methods   map[methodKey][]result.Sample
	results   *result.Results
	failed    []error
}

type echoKey struct {
	target string
	cell   result.Cell
}

type methodKey struct {
	method   string
	inFlight int
}

// Run measures everything and returns what it found. A target that is not there
// is left out with a line to log. One that fails is left out from then on; the
// results are those of the others, and the error says what failed.
func Run(ctx context.Context, c Config, log io.Writer) (*result.Results, error) {
	dir, err := os.MkdirTemp("", "cocaine-bench-*")
	if err != nil {
		return nil, fmt.Errorf("cannot make a directory: %w", err)
	}
	defer os.RemoveAll(dir)
	s := &Suite{
		Config: c, log: log, dir: dir,
		echo:    make(map[echoKey][]result.Sample),
		methods: make(map[methodKey][]result.Sample),
		results: &result.Results{
			Time: time.Now().UTC().Truncate(time.Second), Machine: machine(), Fast: c.Fast, Rounds: c.Rounds,
			WarmUp: c.WarmUp.Seconds(), Duration: c.Duration.Seconds(),
			Skipped: make(map[string]string), Memory: make(map[string]*result.Memory), Allocs: make(map[string]float64),
		},
	}
	if err := s.build(ctx); err != nil {
		return nil, err
	}
	defer s.stopTargets()
	s.startTargets(ctx)
	if len(s.targets) == 0 {
		return nil, errors.Join(append(s.failed, errors.New("no target to measure"))...)
	}
	for round := range c.Rounds {
		s.round(ctx, round)
	}
	if !s.EchoOnly {
		s.afterRounds(ctx)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("interrupted: %w", err)
	}
	s.summarize()
	return s.results, errors.Join(s.failed...)
}

func (s *Suite) startTargets(ctx context.Context) {
	names := s.Only
	if len(names) == 0 {
		names = result.Targets()
	}
	for _, name := range names {
		t, err := s.start(ctx, name)
		var absent absentError
		switch {
		case errors.As(err, &absent):
			s.say("%s: skipped: %v", name, err)
			s.results.Skipped[name] = err.Error()
		case err != nil:
			s.fail(name, err)
		default:
			s.targets = append(s.targets, t)
		}
	}
}

func (s *Suite) stopTargets() {
	for _, t := range s.targets {
		t.stop()
	}
}

// fail notes that a target is out.
func (s *Suite) fail(name string, err error) {
	s.say("%s: failed: %v", name, err)
	s.results.Skipped[name] = "failed: " + err.Error()
	s.failed = append(s.failed, fmt.Errorf("cannot measure %s: %w", name, err))
}

func (s *Suite) say(format string, args ...any) {
	fmt.Fprintf(s.log, format+"\n", args...)
}

// round measures every cell of every target once.
func (s *Suite) round(ctx context.Context, round int) {
	for _, cell := range s.Cells {
		var line strings.Builder
		for _, t := range slices.Clone(s.targets) {
			if ctx.Err() != nil {
				return
			}
			if !t.measures(cell) {
				continue
			}
			sample, err := s.measure(ctx, t, append(slices.Clone(t.client),
				"-bytes", strconv.Itoa(cell.Bytes),
				"-connections", strconv.Itoa(cell.Connections),
				"-inflight", strconv.Itoa(cell.InFlight)))
			if err != nil {
				s.remove(t, err)
				continue
			}
			key := echoKey{t.name, cell}
			s.echo[key] = append(s.echo[key], sample)
			fmt.Fprintf(&line, "  %s %s/s", t.name, report.Count(sample.RPS))
		}
		s.say("round %d/%d  %4d B  %d conn  %4d in flight %s",
			round+1, s.Rounds, cell.Bytes, cell.Connections, cell.InFlight, &line)
	}
	if !s.EchoOnly {
		s.methodRound(ctx)
	}
}

// remove stops a target that failed.
func (s *Suite) remove(t *target, err error) {
	if t.server != nil && errors.Is(err, errMeasure) {
		err = fmt.Errorf("%w (the server said: %s)", err, t.server.Tail())
	}
	s.fail(t.name, err)
	s.targets = slices.DeleteFunc(s.targets, func(o *target) bool { return o == t })
	t.stop()
}

// errMeasure marks the failure of a client process.
var errMeasure = errors.New("cannot run a client")

// measure runs one client process and adds what the kernel says about it.
func (s *Suite) measure(ctx context.Context, t *target, flags []string) (result.Sample, error) {
	argv := append([]string{s.Self, "client", "-warmup", s.WarmUp.String(), "-duration", s.Duration.String()}, flags...)
	before := s.usage(t)
	begin := time.Now()
	out, client, err := proc.Output(ctx, "the client", argv...)
	wall := time.Since(begin)
	if err != nil {
		return result.Sample{}, fmt.Errorf("%w with %s: %w", errMeasure, strings.Join(flags, " "), err)
	}
	after := s.usage(t)
	var sample result.Sample
	if err := json.Unmarshal(out, &sample); err != nil {
		return result.Sample{}, fmt.Errorf("cannot read what the client says: %w", err)
	}
	if n := float64(sample.Total); n > 0 {
		sample.ServerCPU = (after.server - before.server).Seconds() * 1e6 / n
		sample.WorkerCPU = (after.workers - before.workers).Seconds() * 1e6 / n
		sample.ClientCPU = client.Seconds() * 1e6 / n
	}
	others := after.machine - before.machine - (after.ours - before.ours) - client
	sample.Foreign = max(0, others.Seconds()/wall.Seconds()/float64(runtime.NumCPU()))
	return sample, nil
}

// usage is processor time so far. What cannot be read counts as none: it only
// costs a column.
type usage struct{ machine, ours, server, workers time.Duration }

func (s *Suite) usage(t *target) usage {
	var u usage
	u.machine, _ = proc.MachineCPU()
	u.ours, _ = proc.CPU(os.Getpid())
	if t.server != nil {
		u.server, _ = proc.CPU(t.server.PID())
		family, _ := proc.FamilyCPU(t.server.PID())
		u.ours += family
		u.workers = family - u.server
	}
	for _, w := range t.workers {
		c, _ := proc.CPU(w.PID())
		u.ours += c
		u.workers += c
	}
	return u
}

func machine() result.Machine {
	m := result.Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), Go: runtime.Version()}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = string(bytes.TrimRight(u.Release[:], "\x00"))
	}
	b, _ := os.ReadFile("/proc/cpuinfo") // a name for people; no harm without it
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			m.CPU = strings.TrimSpace(value)
			break
		}
	}
	return m
}
