// Package report writes results for people: tables for a terminal.
package report

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/cocaine/cocaine-go/bench/internal/result"
)

// noisy is the share of the machine used by others from which on figures are not
// to be trusted.
const noisy = 0.05

// Print writes all tables. It stops at the first error of w.
func Print(w io.Writer, r *result.Results) error {
	p := &printer{w: w}
	p.head(r)
	for _, cells := range panels(r) {
		p.echo(r, cells)
	}
	p.ratios(r)
	p.once(r)
	p.warnings(r)
	return p.err
}

// panels groups the cells that differ only in how many are in flight.
func panels(r *result.Results) [][]result.Cell {
	var all [][]result.Cell
	for _, e := range r.Echo {
		last := len(all) - 1
		switch {
		case last >= 0 && all[last][0].Bytes == e.Bytes && all[last][0].Connections == e.Connections:
			if !slices.Contains(all[last], e.Cell) {
				all[last] = append(all[last], e.Cell)
			}
		default:
			all = append(all, []result.Cell{e.Cell})
		}
	}
	return all
}

type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// table aligns rows whose cells are separated by tabs.
func (p *printer) table(rows []string) {
	t := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range rows {
		if p.err == nil {
			_, p.err = fmt.Fprintln(t, row+"\t")
		}
	}
	if p.err == nil {
		p.err = t.Flush()
	}
}

func (p *printer) head(r *result.Results) {
	m := r.Machine
	p.printf("%s, %d CPUs, %s %s, %s; medians of %s of %.2g s\n",
		m.CPU, m.CPUs, m.OS, m.Kernel, m.Go, Plural(r.Rounds, "round"), r.Duration)
}

func (p *printer) echo(r *result.Results, cells []result.Cell) {
	p.printf("\necho, %d B, %s\n", cells[0].Bytes, Plural(cells[0].Connections, "connection"))
	rows := []string{"in flight\ttarget\treq/s\tslowest\tfastest\tp50\tp99\tserver CPU/req\tworker\tclient"}
	for _, c := range cells {
		for _, name := range result.Targets() {
			if f, ok := r.Find(name, c); ok {
				rows = append(rows, fmt.Sprintf("%d\t%s\t%s\t%s\t%s", c.InFlight, name, figures(f), cpu(f.WorkerCPU), cpu(f.ClientCPU)))
			}
		}
	}
	p.table(rows)
}

func figures(f result.Figures) string {
	return strings.Join([]string{Count(f.RPS), Count(f.Slowest), Count(f.Fastest), Micros(f.P50), Micros(f.P99), cpu(f.ServerCPU)}, "\t")
}

// cpu is processor time per request, as far as it is known.
func cpu(v float64) string {
	if v <= 0 {
		return "-"
	}
	return Micros(v)
}

func (p *printer) ratios(r *result.Results) {
	var targets []string
	for _, ratio := range r.Ratios {
		if !slices.Contains(targets, ratio.Of) {
			targets = append(targets, ratio.Of)
		}
	}
	for _, name := range targets {
		p.ratiosOf(r, name)
	}
}

// ratiosOf prints how one target compares with others.
func (p *printer) ratiosOf(r *result.Results, of string) {
	p.printf("\n%s against each, in the same rounds: req/s as a multiple (p50 as a multiple)\n", of)
	rows := []string{"bytes\tconnections\tin flight"}
	var others []string
	for _, ratio := range r.Ratios {
		if ratio.Of == of && !slices.Contains(others, ratio.Against) {
			others = append(others, ratio.Against)
			rows[0] += "\t" + ratio.Against
		}
	}
	for _, cells := range panels(r) {
		for _, c := range cells {
			if _, measured := r.Find(of, c); !measured {
				continue
			}
			row := fmt.Sprintf("%d\t%d\t%d", c.Bytes, c.Connections, c.InFlight)
			for _, name := range others {
				row += "\t" + ratioAt(r, result.Pair{Of: of, Against: name}, c)
			}
			rows = append(rows, row)
		}
	}
	p.table(rows)
}

func ratioAt(r *result.Results, pair result.Pair, c result.Cell) string {
	for _, ratio := range r.Ratios {
		if ratio.Pair == pair && ratio.Cell == c {
			return fmt.Sprintf("%.2f (%.2f)", ratio.RPS, ratio.P50)
		}
	}
	return "-"
}

// allocations prints what the framework allocates for a call.
func (p *printer) allocations(r *result.Results) {
	for _, e := range r.Echo {
		if e.ClientAllocs > 0 && e.InFlight == 256 {
			p.printf("%s, %d B: %.1f heap allocations per call in the client, %.1f in the worker\n", e.Target, e.Bytes, e.ClientAllocs, e.WorkerAllocs)
		}
	}
}

func (p *printer) once(r *result.Results) {
	if len(r.Methods) > 0 {
		p.printf("\nplain methods of the runtime, 1 connection\n")
		rows := []string{"method\tin flight\treq/s\tslowest\tfastest\tp50\tp99\tserver CPU/req"}
		for _, m := range r.Methods {
			rows = append(rows, fmt.Sprintf("%s\t%d\t%s", m.Method, m.InFlight, figures(m.Figures)))
		}
		p.table(rows)
	}
	p.printf("\n")
	if s := r.Start; s != nil {
		p.printf("runtime start to ready: %.1f ms on an empty state, %.1f ms again\n", s.Empty, s.Again)
	}
	if c := r.ColdStart; c != nil {
		p.printf("first call, no worker: bare fork+exec+connect %.2f ms", c.Bare)
		if c.Cocaine > 0 {
			p.printf(", cocaine %.2f ms, ratio %.2f", c.Cocaine, c.Ratio)
		}
		p.printf("\n")
	}
	for _, name := range result.Targets() {
		if m := r.Memory[name]; m != nil {
			p.printf("%s server, resident: %.1f MiB idle, %.1f MiB after the run\n", name, mib(m.Idle), mib(m.After))
		}
	}
	for _, name := range result.Targets() {
		if a, ok := r.Allocs[name]; ok {
			p.printf("%s: %.4f heap allocations per forwarded frame\n", name, a)
		}
	}
	p.allocations(r)
}

func (p *printer) warnings(r *result.Results) {
	for _, name := range append(result.Targets(), "start", "cold start") {
		if why, ok := r.Skipped[name]; ok {
			p.printf("%s: not measured: %s\n", name, why)
		}
	}
	var disturbed int
	for _, e := range r.Echo {
		if e.Foreign > noisy {
			disturbed++
		}
	}
	if disturbed > 0 {
		p.printf("%d of %d echo figures were taken while other programs used more than %.0f%% of the machine: do not trust them\n",
			disturbed, len(r.Echo), 100*noisy)
	}
}

// Count writes a rate for people: 950, 12.3k, 1.24M.
func Count(v float64) string {
	switch {
	case v >= 999_500:
		return strconv.FormatFloat(v/1e6, 'f', 2, 64) + "M"
	case v >= 99_950:
		return strconv.FormatFloat(v/1e3, 'f', 0, 64) + "k"
	case v >= 9_999.5:
		return strconv.FormatFloat(v/1e3, 'f', 1, 64) + "k"
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

// Micros writes microseconds for people: 0.42 us, 85 us, 12.3 ms, 1.2 s.
func Micros(v float64) string {
	switch {
	case v >= 999_500:
		return strconv.FormatFloat(v/1e6, 'f', 1, 64) + " s"
	case v >= 9_999.5:
		return strconv.FormatFloat(v/1e3, 'f', 1, 64) + " ms"
	case v >= 9.995:
		return strconv.FormatFloat(v, 'f', 0, 64) + " us"
	}
	return strconv.FormatFloat(v, 'f', 2, 64) + " us"
}

func mib(kib int64) float64 { return float64(kib) / 1024 }

// Plural counts things: 1 round, 3 rounds.
func Plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
