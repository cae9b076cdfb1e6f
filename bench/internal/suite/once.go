//go:build linux

package suite

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/cocaine/cocaine-go/bench/internal/deploy"
	"github.com/cocaine/cocaine-go/bench/internal/proc"
	"github.com/cocaine/cocaine-go/bench/internal/report"
	"github.com/cocaine/cocaine-go/bench/internal/result"
)

// methodTests are the plain methods of the runtime that are measured.
var methodTests = []struct{ method, service string }{
	{"resolve", "locator"},
	{"storage.write", "storage"}, // before read: it leaves what read finds
	{"storage.read", "storage"},
}

// methodRound measures the plain methods once; it does nothing without the runtime.
func (s *Suite) methodRound(ctx context.Context) {
	t := s.find(result.Cocaine)
	if t == nil {
		return
	}
	for _, m := range methodTests {
		addr, err := t.address(ctx, m.service)
		if err != nil {
			s.remove(t, err)
			return
		}
		for _, inFlight := range []int{1, 64} {
			if ctx.Err() != nil {
				return
			}
			sample, err := s.measure(ctx, t, []string{
				"-protocol", "cocaine", "-address", addr, "-method", m.method, "-inflight", strconv.Itoa(inFlight)})
			if err != nil {
				s.remove(t, err)
				return
			}
			key := methodKey{m.method, inFlight}
			s.methods[key] = append(s.methods[key], sample)
			s.say("          %-14s %4d in flight  %s/s", m.method, inFlight, report.Count(sample.RPS))
		}
	}
}

func (s *Suite) find(name string) *target {
	for _, t := range s.targets {
		if t.name == name {
			return t
		}
	}
	return nil
}

// afterRounds measures what is measured once: memory, allocations, starts.
func (s *Suite) afterRounds(ctx context.Context) {
	for _, t := range s.targets {
		s.memory(t)
	}
	for _, t := range s.targets {
		if t.debug == "" || ctx.Err() != nil {
			continue
		}
		allocs, err := s.allocs(ctx, t)
		if err != nil {
			s.say("%s: no allocations: %v", t.name, err)
			continue
		}
		s.results.Allocs[t.name] = allocs
	}
	if err := s.coldStarts(ctx); err != nil && ctx.Err() == nil {
		s.fail("cold start", err)
	}
	if s.binary != "" && ctx.Err() == nil {
		if err := s.starts(ctx); err != nil {
			s.fail("start", err)
		}
	}
}

func (s *Suite) memory(t *target) {
	if t.server == nil || t.shared {
		return
	}
	after, err := proc.Resident(t.server.PID())
	if err != nil {
		s.fail(t.name, err)
		return
	}
	s.results.Memory[t.name] = &result.Memory{Idle: t.idle >> 10, After: after >> 10}
}

// framesPerCall: enqueue, write, close; write, close.
const framesPerCall = 5

// allocs counts heap allocations in the server per frame it forwards, over one
// steady run. Reading the counter allocates too; two readings in a row say how
// much, and that is taken off.
func (s *Suite) allocs(ctx context.Context, t *target) (float64, error) {
	var counts [3]uint64
	var err error
	for i := range 2 {
		if counts[i], err = mallocs(ctx, t.debug); err != nil {
			return 0, err
		}
	}
	reading := counts[1] - counts[0]
	sample, err := s.measure(ctx, t, append(append([]string(nil), t.client...), "-bytes", "128", "-connections", "1", "-inflight", "256"))
	if err != nil {
		return 0, err
	}
	if counts[2], err = mallocs(ctx, t.debug); err != nil {
		return 0, err
	}
	made := counts[2] - counts[1]
	made -= min(made, reading)
	return float64(made) / float64(framesPerCall*sample.Total), nil
}

// mallocs reads memstats.Mallocs of a process that serves expvar.
func mallocs(ctx context.Context, addr string) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	url := "http://" + addr + "/debug/vars"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, fmt.Errorf("cannot read %s: %w", url, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, fmt.Errorf("cannot read %s: %w", url, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return 0, fmt.Errorf("cannot read %s: %w", url, err)
	}
	var vars struct {
		Memstats struct{ Mallocs uint64 } `json:"memstats"`
	}
	if err := json.Unmarshal(body, &vars); err != nil {
		return 0, fmt.Errorf("cannot read %s: %w", url, err)
	}
	if vars.Memstats.Mallocs == 0 {
		return 0, fmt.Errorf("cannot read %s: no memstats in it", url)
	}
	return vars.Memstats.Mallocs, nil
}

// coldStarts times first calls, bare and through the runtime in turn. It needs
// the app paused, so it comes after everything that calls it.
func (s *Suite) coldStarts(ctx context.Context) error {
	t := s.find(result.Cocaine)
	payload := make([]byte, 128)
	if t != nil {
		if err := t.runtime.PauseApp(ctx); err != nil {
			return err
		}
	}
	var bare, cocaine, ratios []float64
	for range s.Starts {
		b, err := deploy.BareStart(ctx, s.worker, payload)
		if err != nil {
			return err
		}
		bare = append(bare, milliseconds(b))
		if t == nil {
			continue
		}
		c, err := t.runtime.ColdStart(ctx, payload)
		if err != nil {
			return err
		}
		cocaine = append(cocaine, milliseconds(c))
		ratios = append(ratios, float64(c)/float64(b))
	}
	s.results.ColdStart = &result.ColdStart{
		Bare: result.Median(bare), Cocaine: result.Median(cocaine), Ratio: result.Median(ratios), Samples: s.Starts,
	}
	return nil
}

func (s *Suite) starts(ctx context.Context) error {
	empty, again, err := deploy.TimeStarts(ctx, s.binary, s.Starts)
	if err != nil {
		return err
	}
	s.results.Start = &result.Start{Empty: medianMS(empty), Again: medianMS(again), Samples: s.Starts}
	return nil
}

func medianMS(times []time.Duration) float64 {
	var v []float64
	for _, t := range times {
		v = append(v, milliseconds(t))
	}
	return result.Median(v)
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }
