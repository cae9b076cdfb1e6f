package report

import (
	"errors"
	"strings"
	"testing"

	"github.com/cocaine/cocaine-go/bench/internal/result"
)

func sample() *result.Results {
	a := result.Cell{Bytes: 128, Connections: 1, InFlight: 1}
	b := result.Cell{Bytes: 128, Connections: 1, InFlight: 256}
	return &result.Results{
		Machine: result.Machine{CPU: "A CPU", CPUs: 2}, Rounds: 3, Duration: 0.9,
		Echo: []result.Echo{
			{Target: result.Cocaine, Cell: a, Figures: result.Figures{RPS: 12345, P50: 80.4, P99: 1234}},
			{Target: result.Forwarder, Cell: a, Figures: result.Figures{RPS: 24690, P50: 40.2, P99: 100, Foreign: 0.2}},
			{Target: result.Forwarder, Cell: b, Figures: result.Figures{RPS: 1.05e6, P50: 230, P99: 500, ServerCPU: 0.4}},
		},
		Ratios:    []result.Ratio{{Pair: result.Pair{Of: result.Cocaine, Against: result.Forwarder}, Cell: a, RPS: 0.5, P50: 2}},
		Methods:   []result.Method{{Method: "resolve", InFlight: 64, Figures: result.Figures{RPS: 50000, P50: 1000, P99: 20000}}},
		Start:     &result.Start{Empty: 40, Again: 30},
		ColdStart: &result.ColdStart{Bare: 1.5, Cocaine: 3, Ratio: 2},
		Memory:    map[string]*result.Memory{result.Cocaine: {Idle: 20 << 10, After: 40 << 10}},
		Allocs:    map[string]float64{result.Forwarder: 0.00012},
		Skipped:   map[string]string{result.NATS: "failed: no port"},
	}
}

func TestPrintSaysEverything(t *testing.T) {
	var b strings.Builder
	if err := Print(&b, sample()); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(b.String()), " ")
	for _, want := range []string{
		"A CPU, 2 CPUs", "medians of 3 rounds of 0.9 s",
		"echo, 128 B, 1 connection",
		"1 cocaine 12.3k 0 0 80 us 1234 us - - -",
		"256 forwarder 1.05M 0 0 230 us 500 us 0.40 us - -",
		"cocaine against each", "bytes connections in flight forwarder 128 1 1 0.50 (2.00)",
		"resolve 64 50.0k 0 0 1000 us 20.0 ms -",
		"start to ready: 40.0 ms on an empty state, 30.0 ms again",
		"bare fork+exec+connect 1.50 ms, cocaine 3.00 ms, ratio 2.00",
		"cocaine server, resident: 20.0 MiB idle, 40.0 MiB after",
		"forwarder: 0.0001 heap allocations per forwarded frame",
		"nats: not measured: failed: no port",
		"1 of 3 echo figures were taken while other programs",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the report lacks %q:\n%s", want, b.String())
		}
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

var errFull = errors.New("disk full")

func TestPrintReportsWriteErrors(t *testing.T) {
	if err := Print(fullDisk{}, sample()); !errors.Is(err, errFull) {
		t.Errorf("got %v", err)
	}
}

func TestUnits(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 950: "950", 9999: "9999", 12345: "12.3k", 99_960: "100k", 999_400: "999k", 999_600: "1.00M"} {
		if got := Count(v); got != want {
			t.Errorf("Count(%v) is %q, want %q", v, got, want)
		}
	}
	for v, want := range map[float64]string{0.418: "0.42 us", 85.2: "85 us", 9999: "9999 us", 12_345: "12.3 ms", 1_200_000: "1.2 s"} {
		if got := Micros(v); got != want {
			t.Errorf("Micros(%v) is %q, want %q", v, got, want)
		}
	}
}
