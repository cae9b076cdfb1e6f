package worker

import "testing"

// An event is brief once several handlers were, stays so for a few that were not, and
// is it no more when they get more, or when calls were held up again and again.
func TestPace(t *testing.T) {
	var p pace
	note := func(n int, quick bool) {
		for range n {
			if quick {
				p.note(brevity)
			} else {
				p.note(brevity + 1)
			}
		}
	}
	expect := func(when string, brief bool) {
		t.Helper()
		if p.brief() != brief {
			t.Errorf("%s: brief is %v, score %d", when, p.brief(), p.score.Load())
		}
	}
	expect("nothing known", false)
	note(3, true)
	expect("three samples", false)
	note(1, true)
	expect("four samples", true)
	note(1000, true)
	note(1, false)
	expect("one that was not", true)
	note(1, false)
	expect("a second one", false)
	note(4, true)
	expect("four that were", true)
	for range 100 { // a tenth is slow
		note(9, true)
		note(1, false)
	}
	expect("a tenth slow", true)
	p.late()
	expect("one held up others", false)
	for range 1000 {
		p.late()
	}
	note(highest, true)
	expect("many held up others", false)
	note(-lowest, true)
	expect("long ago", true)
}
