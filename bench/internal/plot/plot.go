// Package plot draws results as one SVG: a column of two panels for each payload
// size and number of connections, requests per second above and median latency
// below, both over the number of requests in flight, all axes logarithmic.
package plot

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"math"
	"slices"
	"strconv"

	"github.com/cocaine/cocaine-go/bench/internal/report"
	"github.com/cocaine/cocaine-go/bench/internal/result"
)

const (
	panelW, panelH = 250.0, 190.0 // of the drawing area of one panel
	gapX, gapY     = 62.0, 62.0
	left, top      = 72.0, 84.0
	bottom         = 84.0
)

// A look is how a target is drawn.
type look struct{ target, label, colour, dash string }

func looks() []look {
	return []look{
		{result.Cocaine, "cocaine", "#d6336c", ""},
		{result.Forwarder, "bare forwarder (ceiling)", "#495057", "6 4"},
		{result.NATS, "NATS request-reply", "#2f9e44", ""},
		{result.GRPC, "gRPC-Go direct (no broker)", "#1c7ed6", ""},
		{result.SDK, "cocaine, with the framework", "#f783ac", ""},
		{result.SDKEach, "the same, InvokeEach", "#f783ac", "6 4"},
	}
}

// A row of panels shows one figure.
type row struct {
	title string
	unit  func(float64) string
	value func(result.Figures) float64
}

func rows() []row {
	return []row{
		{"requests / s", report.Count, func(f result.Figures) float64 { return f.RPS }},
		{"p50 latency", report.Micros, func(f result.Figures) float64 { return f.P50 }},
	}
}

// SVG draws r. The figures of r are positive: nothing was measured otherwise.
func SVG(w io.Writer, r *result.Results) error {
	out := bufio.NewWriter(w)
	d := &drawing{w: out, r: r}
	d.draw()
	return out.Flush() // holds the first error of any write
}

type drawing struct {
	w *bufio.Writer
	r *result.Results
}

func (d *drawing) printf(format string, args ...any) {
	fmt.Fprintf(d.w, format+"\n", args...)
}

func (d *drawing) draw() {
	columns := d.columns()
	width := left + float64(max(len(columns), 1))*(panelW+gapX)
	height := top + float64(len(rows()))*(panelH+gapY) - gapY + bottom
	d.printf(`<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" font-family="system-ui, sans-serif" font-size="12">`,
		width, height, width, height)
	d.printf(`<rect width="100%%" height="100%%" fill="#ffffff"/>`)
	d.text(left, 26, `font-size="17" font-weight="600" fill="#212529"`, "Echo through the runtime, side by side")
	m := d.r.Machine
	d.text(left, 46, `fill="#868e96"`, fmt.Sprintf("%s, %d CPUs; medians of %s of %.2g s, %s",
		m.CPU, m.CPUs, report.Plural(d.r.Rounds, "round"), d.r.Duration, d.r.Time.Format("2006-01-02")))
	for y, row := range rows() {
		s := d.scale(row)
		for x, c := range columns {
			p := panel{
				x: left + float64(x)*(panelW+gapX), y: top + float64(y)*(panelH+gapY),
				cells: c, row: row, scale: s, first: x == 0,
			}
			d.panel(p)
		}
	}
	d.legend(height - 20)
	d.printf(`</svg>`)
}

// columns groups the cells that differ only in how many are in flight.
func (d *drawing) columns() [][]result.Cell {
	var all [][]result.Cell
	for _, e := range d.r.Echo {
		i := slices.IndexFunc(all, func(c []result.Cell) bool {
			return c[0].Bytes == e.Bytes && c[0].Connections == e.Connections
		})
		if i < 0 {
			all, i = append(all, nil), len(all)
		}
		if !slices.Contains(all[i], e.Cell) {
			all[i] = append(all[i], e.Cell)
		}
	}
	return all
}

// A scale maps values to the height of a panel, in powers of ten.
type scale struct{ low, high float64 }

// scale spans all panels of a row, so that they can be compared by eye.
func (d *drawing) scale(r row) scale {
	low, high := math.Inf(1), math.Inf(-1)
	for _, e := range d.r.Echo {
		if v := r.value(e.Figures); v > 0 {
			low, high = min(low, math.Log10(v)), max(high, math.Log10(v))
		}
	}
	if low > high {
		return scale{0, 1}
	}
	// Half powers keep the curves from the edges without wasting much.
	low, high = math.Floor(low*2)/2, math.Ceil(high*2)/2
	return scale{low, max(high, low+0.5)}
}

func (s scale) at(v float64) float64 {
	return panelH * (1 - (math.Log10(v)-s.low)/(s.high-s.low))
}

type panel struct {
	x, y  float64
	cells []result.Cell
	row   row
	scale scale
	first bool
}

// across is where a number in flight lies; the cells are in ascending order.
func (p panel) across(inFlight int) float64 {
	last := math.Log2(float64(p.cells[len(p.cells)-1].InFlight))
	if last == 0 {
		return panelW / 2
	}
	const margin = 14
	return margin + (panelW-2*margin)*math.Log2(float64(inFlight))/last
}

func (d *drawing) panel(p panel) {
	d.printf(`<g transform="translate(%.1f %.1f)">`, p.x, p.y)
	d.printf(`<rect width="%.0f" height="%.0f" fill="none" stroke="#ced4da"/>`, panelW, panelH)
	title := fmt.Sprintf("%s: %s, %s", p.row.title, size(p.cells[0].Bytes), report.Plural(p.cells[0].Connections, "connection"))
	d.text(0, -8, `font-weight="600" fill="#343a40"`, title)
	for e := math.Ceil(p.scale.low); e <= p.scale.high; e++ {
		y := p.scale.at(math.Pow(10, e))
		d.printf(`<line x2="%.0f" y1="%.1f" y2="%.1f" stroke="#e9ecef"/>`, panelW, y, y)
		if p.first {
			d.text(-8, y+4, `text-anchor="end" fill="#868e96"`, p.row.unit(math.Pow(10, e)))
		}
	}
	for _, c := range p.cells {
		x := p.across(c.InFlight)
		d.printf(`<line x1="%.1f" x2="%.1f" y1="%.0f" y2="%.0f" stroke="#ced4da"/>`, x, x, panelH, panelH+4)
		d.text(x, panelH+17, `text-anchor="middle" fill="#868e96"`, strconv.Itoa(c.InFlight))
	}
	d.text(panelW/2, panelH+33, `text-anchor="middle" fill="#868e96"`, "in flight")
	for _, l := range looks() {
		d.curve(p, l)
	}
	d.printf(`</g>`)
}

func (d *drawing) curve(p panel, l look) {
	var points, dots string
	for _, c := range p.cells {
		f, ok := d.r.Find(l.target, c)
		if v := p.row.value(f); ok && v > 0 {
			x, y := p.across(c.InFlight), p.scale.at(v)
			points += fmt.Sprintf("%.1f,%.1f ", x, y)
			dots += fmt.Sprintf(`<circle cx="%.1f" cy="%.1f" r="3" fill="%s"><title>%s, %d in flight: %s</title></circle>`,
				x, y, l.colour, html.EscapeString(l.label), c.InFlight, p.row.unit(v))
		}
	}
	if points == "" {
		return
	}
	d.printf(`<polyline points="%s" fill="none" stroke="%s" stroke-width="2" stroke-dasharray="%s"/>%s`, points, l.colour, l.dash, dots)
}

func (d *drawing) legend(y float64) {
	x := left
	for _, l := range looks() {
		if !slices.ContainsFunc(d.r.Echo, func(e result.Echo) bool { return e.Target == l.target }) {
			continue
		}
		d.printf(`<line x1="%.0f" x2="%.0f" y1="%.1f" y2="%.1f" stroke="%s" stroke-width="2" stroke-dasharray="%s"/>`, x, x+26, y-4, y-4, l.colour, l.dash)
		d.text(x+32, y, `fill="#343a40"`, l.label)
		x += 62 + 6.6*float64(len(l.label))
	}
}

func (d *drawing) text(x, y float64, attributes, s string) {
	d.printf(`<text x="%.1f" y="%.1f" %s>%s</text>`, x, y, attributes, html.EscapeString(s))
}

func size(bytes int) string {
	if bytes >= 1024 && bytes%1024 == 0 {
		return fmt.Sprintf("%d KiB", bytes/1024)
	}
	return fmt.Sprintf("%d B", bytes)
}
