package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/cocaine/cocaine-go/bench/internal/result"
)

func sample() *result.Results {
	r := &result.Results{Machine: result.Machine{CPU: `A <"&"> CPU`}, Rounds: 3, Duration: 0.9}
	for _, target := range []string{result.Forwarder, result.GRPC} {
		for _, connections := range []int{1, 4} {
			for _, inFlight := range []int{1, 16, 1024} {
				rps := 1e3 * float64(inFlight)
				r.Echo = append(r.Echo, result.Echo{
					Target:  target,
					Cell:    result.Cell{Bytes: 4096, Connections: connections, InFlight: inFlight},
					Figures: result.Figures{RPS: rps, P50: 1e6 / 1e3},
				})
			}
		}
	}
	return r
}

func TestSVGIsWellFormedAndComplete(t *testing.T) {
	var b bytes.Buffer
	if err := SVG(&b, sample()); err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(bytes.NewReader(b.Bytes()))
	count := make(map[string]int)
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok {
			count[e.Name.Local]++
		}
	}
	// Two columns of two panels with two curves of three points.
	if count["g"] != 4 || count["polyline"] != 8 || count["circle"] != 24 {
		t.Errorf("drawn: %v", count)
	}
	for _, want := range []string{"4 KiB, 1 connection", "4 KiB, 4 connections", "gRPC-Go", "A &lt;", "forwarder"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(b.String(), "NATS") || strings.Contains(b.String(), "NaN") {
		t.Error("drawn: a target that was not measured, or a number that is none")
	}
}

// A rate 1024 times as high lies higher by the same share of the axis, and every
// point lies inside its panel.
func TestPointsLieWhereTheyBelong(t *testing.T) {
	var b bytes.Buffer
	if err := SVG(&b, sample()); err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`<polyline points="([^"]+)"`).FindStringSubmatch(b.String())
	if line == nil {
		t.Fatal("no curve")
	}
	var ys []float64
	for point := range strings.FieldsSeq(line[1]) {
		x, y, _ := strings.Cut(point, ",")
		px, err1 := strconv.ParseFloat(x, 64)
		py, err2 := strconv.ParseFloat(y, 64)
		if err1 != nil || err2 != nil || px < 0 || px > panelW || py < 0 || py > panelH {
			t.Fatalf("a point at %q", point)
		}
		ys = append(ys, py)
	}
	// 1e3 to 1.6e4 to 1.024e6 on an axis from 1e3 to 10^6.5.
	perDecade := panelH / 3.5
	for i, want := range []float64{panelH, panelH - perDecade*math.Log10(16), panelH - perDecade*math.Log10(1024)} {
		if math.Abs(ys[i]-want) > 0.1 {
			t.Errorf("point %d at %v, want %v", i, ys[i], want)
		}
	}
}

func TestSVGOfNothing(t *testing.T) {
	var b bytes.Buffer
	if err := SVG(&b, new(result.Results)); err != nil || !strings.HasSuffix(b.String(), "</svg>\n") {
		t.Errorf("%v: %s", err, b.String())
	}
}
