// Package result is what a run of the benchmark has found: the samples of each
// cell, their medians, the ratios between targets, and the file they are kept in.
package result

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Names of the targets, in the order they are measured and shown.
const (
	Cocaine     = "cocaine"
	Forwarder   = "forwarder"
	NATS        = "nats" // its client with callbacks, and no goroutine for a request
	GRPC        = "grpc"
	NATSRequest = "nats-request" // its client as programs use it, a goroutine for a request
	SDK         = "sdk"          // the framework, a value there and one back, likewise
	SDKEach     = "sdk-each"     // the framework, many values there and back, without
	SDKStream   = "sdk-stream"   // the framework, a chunk there and one back
)

// Targets lists them all.
func Targets() []string {
	return []string{Cocaine, Forwarder, NATS, GRPC, NATSRequest, SDK, SDKEach, SDKStream}
}

// A Pair is two targets that are compared.
type Pair struct {
	Of      string `json:"of"`
	Against string `json:"against"`
}

// Pairs lists the comparisons: the runtime with all others, and the framework with
// the bare frames through the same runtime and with NATS, whose client is a library
// too: a goroutine for each request against the same, none against none.
func Pairs() []Pair {
	return []Pair{
		{Cocaine, Forwarder}, {Cocaine, NATS}, {Cocaine, GRPC},
		{SDK, Cocaine}, {SDK, NATSRequest}, {SDKEach, Cocaine}, {SDKEach, NATS}, {SDKStream, Cocaine}, {SDKStream, NATSRequest},
	}
}

// A Sample is one run of one client process. The client prints it as JSON.
type Sample struct {
	RPS   float64 `json:"rps"`
	P50   float64 `json:"p50_us"`
	P99   float64 `json:"p99_us"`
	Total uint64  `json:"total"` // answers, warm-up included

	ServerCPU float64 `json:"server_cpu_us,omitempty"` // per request; 0 when unknown
	WorkerCPU float64 `json:"worker_cpu_us,omitempty"` // likewise
	ClientCPU float64 `json:"client_cpu_us,omitempty"`

	ClientAllocs float64 `json:"client_allocs,omitempty"` // heap allocations per request; of the framework only
	WorkerAllocs float64 `json:"worker_allocs,omitempty"`

	Foreign float64 `json:"foreign_cpu,omitempty"` // share of the machine that others used
}

// A Cell is one point of the echo matrix.
type Cell struct {
	Bytes       int `json:"bytes"`
	Connections int `json:"connections"`
	InFlight    int `json:"inflight"`
}

// Echo is what was found for one target at one cell: medians over the rounds.
type Echo struct {
	Target string `json:"target"`
	Cell
	Figures
}

// Method is the same for a plain method of the runtime.
type Method struct {
	Method   string `json:"method"`
	InFlight int    `json:"inflight"`
	Figures
}

// Figures are medians over rounds, with the extremes of the rate.
type Figures struct {
	RPS       float64 `json:"rps"`
	P50       float64 `json:"p50_us"`
	P99       float64 `json:"p99_us"`
	Slowest   float64 `json:"rps_min"`
	Fastest   float64 `json:"rps_max"`
	ServerCPU float64 `json:"server_cpu_us,omitempty"`
	WorkerCPU float64 `json:"worker_cpu_us,omitempty"`
	ClientCPU float64 `json:"client_cpu_us,omitempty"`

	ClientAllocs float64 `json:"client_allocs,omitempty"`
	WorkerAllocs float64 `json:"worker_allocs,omitempty"`

	Foreign float64 `json:"foreign_cpu"`
	Rounds  int     `json:"rounds"`
}

// A Ratio sets a target against another at one cell. Each is the median of
// the ratios of single rounds, whose two runs are neighbours in time, so that
// what slows the machine for a while slows both.
type Ratio struct {
	Pair
	Cell
	RPS float64 `json:"rps"`
	P50 float64 `json:"p50"`
}

// ColdStart compares the first call of an app that has no worker with the least
// that could be done for it.
type ColdStart struct {
	Bare    float64 `json:"bare_ms"` // fork, exec, connect, one call
	Cocaine float64 `json:"cocaine_ms,omitempty"`
	Ratio   float64 `json:"ratio,omitempty"`
	Samples int     `json:"samples"`
}

// Start is the time from exec of the runtime to its ready line.
type Start struct {
	Empty   float64 `json:"empty_ms"` // on an empty state directory
	Again   float64 `json:"again_ms"` // on the state of an earlier run
	Samples int     `json:"samples"`
}

// Memory is resident memory of a server process, in KiB.
type Memory struct {
	Idle  int64 `json:"idle_kib"`  // after the start
	After int64 `json:"after_kib"` // after all echo runs
}

// Machine is where it was measured.
type Machine struct {
	OS     string `json:"os"`
	Arch   string `json:"arch"`
	CPUs   int    `json:"cpus"`
	CPU    string `json:"cpu,omitempty"`
	Kernel string `json:"kernel,omitempty"`
	Go     string `json:"go"`
}

// Results is the whole file.
type Results struct {
	Time      time.Time          `json:"time"`
	Machine   Machine            `json:"machine"`
	Fast      bool               `json:"fast"`
	Rounds    int                `json:"rounds"`
	WarmUp    float64            `json:"warmup_s"`
	Duration  float64            `json:"duration_s"`
	Skipped   map[string]string  `json:"skipped,omitempty"`
	Echo      []Echo             `json:"echo"`
	Ratios    []Ratio            `json:"ratios,omitempty"`
	Methods   []Method           `json:"methods,omitempty"`
	Start     *Start             `json:"start,omitempty"`
	ColdStart *ColdStart         `json:"cold_start,omitempty"`
	Memory    map[string]*Memory `json:"memory,omitempty"`
	Allocs    map[string]float64 `json:"allocs_per_frame,omitempty"`
}

// Find returns the figures of a target at a cell.
func (r *Results) Find(target string, c Cell) (Figures, bool) {
	for _, e := range r.Echo {
		if e.Target == target && e.Cell == c {
			return e.Figures, true
		}
	}
	return Figures{}, false
}

// Write writes r as JSON, creating the directory.
func (r *Results) Write(path string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return nil
}

// Read reads what Write has written.
func Read(path string) (*Results, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read results: %w", err)
	}
	r := new(Results)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("cannot read results of %s: %w", path, err)
	}
	return r, nil
}

// Summarize turns the samples of the rounds into figures. A round in which
// nothing was answered counts for the rate and has no latency.
func Summarize(samples []Sample) Figures {
	var rates, halves, tails []float64
	for _, s := range samples {
		rates = append(rates, s.RPS)
		if s.RPS > 0 {
			halves = append(halves, s.P50)
			tails = append(tails, s.P99)
		}
	}
	f := Figures{
		RPS: Median(rates), P50: Median(halves), P99: Median(tails),
		ServerCPU:    median(samples, func(s Sample) float64 { return s.ServerCPU }),
		WorkerCPU:    median(samples, func(s Sample) float64 { return s.WorkerCPU }),
		ClientCPU:    median(samples, func(s Sample) float64 { return s.ClientCPU }),
		ClientAllocs: median(samples, func(s Sample) float64 { return s.ClientAllocs }),
		WorkerAllocs: median(samples, func(s Sample) float64 { return s.WorkerAllocs }),
		Foreign:      median(samples, func(s Sample) float64 { return s.Foreign }),
		Rounds:       len(samples),
	}
	if len(rates) > 0 {
		f.Slowest, f.Fastest = slices.Min(rates), slices.Max(rates)
	}
	return f
}

func median(samples []Sample, of func(Sample) float64) float64 {
	var all []float64
	for _, s := range samples {
		all = append(all, of(s))
	}
	return Median(all)
}

// Compare makes the ratio of two targets from the samples of the same rounds.
func Compare(a, b []Sample) (rps, p50 float64) {
	var rates, halves []float64
	for i := range min(len(a), len(b)) {
		if b[i].RPS > 0 && b[i].P50 > 0 {
			rates = append(rates, a[i].RPS/b[i].RPS)
			halves = append(halves, a[i].P50/b[i].P50)
		}
	}
	return Median(rates), Median(halves)
}

// Median is the middle value, or the mean of the two in the middle; zero of none.
func Median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
