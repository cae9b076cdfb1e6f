//go:build linux

package suite

import (
	"github.com/cocaine/cocaine-go/bench/internal/result"
)

// summarize turns samples into the results.
func (s *Suite) summarize() {
	for _, cell := range s.Cells {
		for _, name := range result.Targets() {
			if samples := s.echo[echoKey{name, cell}]; len(samples) > 0 {
				s.results.Echo = append(s.results.Echo, result.Echo{Target: name, Cell: cell, Figures: result.Summarize(samples)})
			}
		}
		s.compare(cell)
	}
	for _, m := range methodTests {
		for _, inFlight := range []int{1, 64} {
			if samples := s.methods[methodKey{m.method, inFlight}]; len(samples) > 0 {
				s.results.Methods = append(s.results.Methods,
					result.Method{Method: m.method, InFlight: inFlight, Figures: result.Summarize(samples)})
			}
		}
	}
}

func (s *Suite) compare(cell result.Cell) {
	for _, pair := range result.Pairs() {
		ours, theirs := s.echo[echoKey{pair.Of, cell}], s.echo[echoKey{pair.Against, cell}]
		if len(ours) == 0 || len(theirs) == 0 {
			continue
		}
		rps, p50 := result.Compare(ours, theirs)
		s.results.Ratios = append(s.results.Ratios, result.Ratio{Pair: pair, Cell: cell, RPS: rps, P50: p50})
	}
}
