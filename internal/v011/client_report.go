package v011

import (
	"maps"
	"slices"
)

// medianLoad is the median of the requests that the workers of a report have, as the
// original estimated it.
func medianLoad(workers any) int64 {
	all, _ := workers.(map[string]any)
	var m median
	for _, id := range slices.Sorted(maps.Keys(all)) {
		one, _ := all[id].(map[string]any)
		switch n := one["load:total"].(type) {
		case int:
			m.add(float64(n))
		case int64:
			m.add(float64(n))
		}
	}
	return int64(m.markers[2])
}

// median estimates the median of numbers by the P2 algorithm (R. Jain, I. Chlamtac,
// 1985), of which the middle one of five markers is the result. Before the fifth number
// the markers are the numbers as they came, so the median of one or two is 0.
type median struct {
	n       int
	markers [5]float64
	at      [5]float64 // where the markers are among the numbers
	want    [5]float64 // where they should be
}

func (m *median) add(v float64) {
	m.n++
	if m.n <= len(m.markers) {
		m.markers[m.n-1] = v
		if m.n == len(m.markers) {
			slices.Sort(m.markers[:])
			m.at, m.want = [5]float64{1, 2, 3, 4, 5}, [5]float64{1, 2, 3, 4, 5}
		}
		return
	}
	m.markers[0], m.markers[4] = min(m.markers[0], v), max(m.markers[4], v)
	cell := 1
	for cell < 4 && v >= m.markers[cell] {
		cell++
	}
	for i := cell; i < 5; i++ {
		m.at[i]++
	}
	for i := range m.want {
		m.want[i] += float64(i) / 4
	}
	for i := 1; i < 4; i++ {
		m.move(i)
	}
}

// move shifts a marker by one place if it is off by that.
func (m *median) move(i int) {
	off, up, down := m.want[i]-m.at[i], m.at[i+1]-m.at[i], m.at[i-1]-m.at[i]
	step := 1.0
	switch {
	case off >= 1 && up > 1:
	case off <= -1 && down < -1:
		step = -1
	default:
		return
	}
	above, below := (m.markers[i+1]-m.markers[i])/up, (m.markers[i-1]-m.markers[i])/down
	v := m.markers[i] + step/(up-down)*((step-down)*above+(up-step)*below)
	if v <= m.markers[i-1] || v >= m.markers[i+1] {
		v = m.markers[i] + above
		if step < 0 {
			v = m.markers[i] - below
		}
	}
	m.markers[i], m.at[i] = v, m.at[i]+step
}
