package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var remake = flag.Bool("remake", false, "write testdata/picture.svg anew instead of comparing it")

// check returns the text in a picture, and fails the test if it is not XML, or if
// something in it lies outside.
func check(t *testing.T, p *Picture) string {
	t.Helper()
	var drawn bytes.Buffer
	if err := p.WriteSVG(&drawn); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for d := xml.NewDecoder(bytes.NewReader(drawn.Bytes())); ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, &drawn)
		}
		switch token := token.(type) {
		case xml.CharData:
			text.Write(token)
		case xml.StartElement:
			within(t, token)
		}
	}
	return text.String()
}

var coordinate = regexp.MustCompile(`-?\d+(\.\d+)?`)

// within checks that an element of a panel lies in it.
func within(t *testing.T, e xml.StartElement) {
	t.Helper()
	for _, a := range e.Attr {
		switch a.Name.Local {
		case "x1", "x2", "y1", "y2", "cx", "cy", "width", "height", "d":
			if strings.ContainsAny(a.Value, "NIne") {
				t.Fatalf("%s of %s is %s", a.Name.Local, e.Name.Local, a.Value)
			}
			for _, s := range coordinate.FindAllString(a.Value, -1) {
				v, err := strconv.ParseFloat(s, 64)
				if err != nil || v < 0 || v > pictureWidth && a.Name.Local != "height" {
					t.Fatalf("%s of %s is %s: %v", a.Name.Local, e.Name.Local, a.Value, err)
				}
			}
		}
	}
}

func example() *Picture {
	rising := []Point{{1000, 2.5}, {2000, 2.7}, {10_000, 3.2}, {100_000, 3.9}}
	return &Picture{
		Title: `Ours & "theirs" <i>`, Note: "a note", About: "about it",
		Panels: []Panel{
			{Title: "Lines", X: Axis{"nodes", Log}, Y: Axis{"hops", Linear}, Curves: []Curve{
				{Name: "ours", Points: rising}, {Name: "log2 N", Points: []Point{{1000, 10}, {100_000, 16.6}}, Reference: true}, {Name: "more", Points: rising[1:]},
			}},
			{Title: "Gaps", X: Axis{"s", Linear}, Y: Axis{"share", Share}, Curves: []Curve{
				{Name: "alive", Points: []Point{{0, 1}, {1, 0.98}, {2, math.NaN()}, {3, 0.97}, {4, 2}, {5, 0.99}, {6, 1}}},
			}},
			{Title: "Bars", X: Axis{"hops", Linear}, Y: Axis{"share", Share}, Bars: true, Curves: []Curve{
				{Name: "a", Points: []Point{{1, 0.1}, {2, 0.6}, {3, 0.3}}}, {Name: "b", Points: []Point{{2, 0.5}, {4, 0.5}}},
			}},
			{Title: "Nothing", Curves: []Curve{{Name: "none", Points: []Point{{math.Inf(1), 0}}}}},
		},
	}
}

func TestPicture(t *testing.T) {
	p := example()
	text := check(t, p)
	for _, want := range []string{p.Title, "a note", "about it", "log2 N", "100k", "98 %", "nothing to show", "ours: 4 points from 2.5 to 3.9", "none: nothing."} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	var drawn bytes.Buffer
	if err := p.WriteSVG(&drawn); err != nil {
		t.Fatal(err)
	}
	const name = "testdata/picture.svg"
	if *remake {
		if err := os.WriteFile(name, drawn.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(drawn.Bytes(), bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n"))) {
		t.Errorf("%s is not what is drawn today; look at the difference after go test ./routing/sim/chart -remake", name)
	}
}

// Where a point has no place the line is broken, and a point alone is a dot.
func TestGaps(t *testing.T) {
	var drawn bytes.Buffer
	points := make([]Point, 30)
	for i := range points {
		points[i] = Point{float64(i), 1}
	}
	points[10].Y, points[12].Y = math.NaN(), math.Inf(-1)
	p := Picture{Panels: []Panel{{Curves: []Curve{{Points: points}}}}}
	if err := p.WriteSVG(&drawn); err != nil {
		t.Fatal(err)
	}
	path := regexp.MustCompile(`class="line s0" d="([^"]*)"`).FindStringSubmatch(drawn.String())
	if path == nil || strings.Count(path[1], "M") != 3 || strings.Count(path[1], "L") != 9+0+16 || strings.Count(drawn.String(), "<circle") != 1 {
		t.Errorf("the path is %q in\n%s", path, &drawn)
	}
}

// Whatever is drawn is XML, has all of its text, and lies within the picture.
func TestAnythingIsAPicture(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	strange := []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, 1, -1, 1e-300, 5e-324, math.MaxFloat64, -math.MaxFloat64, 1e15, -1e15, 1e-15, 1e15 + 1, 0.1 + 0.2, math.Copysign(0, -1)}
	number := func() float64 {
		if rng.IntN(3) == 0 {
			return strange[rng.IntN(len(strange))]
		}
		return (rng.Float64() - 0.3) * math.Pow(10, float64(rng.IntN(30)-15))
	}
	words := []string{"", "plain", `<a href="x">&'`, "]]>", "\x00\x01\uFFFE\xff", "ü → 漢", strings.Repeat("long ", 30)}
	word := func() string { return words[rng.IntN(len(words))] }
	for range 3000 {
		p := &Picture{Title: word(), Note: word(), About: word()}
		for range rng.IntN(3) {
			panel := Panel{Title: word(), X: Axis{word(), Scale(rng.IntN(3))}, Y: Axis{word(), Scale(rng.IntN(3))}, Bars: rng.IntN(3) == 0}
			for range rng.IntN(6) {
				c := Curve{Name: word(), Reference: rng.IntN(4) == 0}
				for range rng.IntN(16) {
					c.Points = append(c.Points, Point{number(), number()})
				}
				panel.Curves = append(panel.Curves, c)
			}
			p.Panels = append(p.Panels, panel)
		}
		text := check(t, p)
		if len(p.Panels) > 0 && strings.Contains(p.Panels[0].Title, "href") && !strings.Contains(text, `<a href="x">&'`) {
			t.Fatalf("text is lost: %s", text)
		}
	}
}

func TestSpans(t *testing.T) {
	for _, c := range []struct {
		scale    Scale
		lo, hi   float64
		bars     bool
		up       bool
		from, to float64
		labels   string
	}{
		{scale: Linear, lo: 2, hi: 3.4, up: true, from: 0, to: 4, labels: "0 1 2 3 4"},
		{scale: Linear, lo: 0, hi: 10.3, from: 0, to: 10.3, labels: "0 2 4 6 8 10"},
		{scale: Linear, lo: -3, hi: 7, up: true, from: -4, to: 8, labels: "-4 -2 0 2 4 6 8"},
		{scale: Linear, lo: 0, hi: 0, up: true, from: 0, to: 1, labels: "0 0.2 0.4 0.6 0.8 1"},
		{scale: Linear, lo: 0, hi: 5200, up: true, from: 0, to: 6000, labels: "0 2k 4k 6k"},
		{scale: Share, lo: 1, hi: 1, up: true, from: 0.98, to: 1, labels: "98 % 98.5 % 99 % 99.5 % 100 %"},
		{scale: Share, lo: 0.93, hi: 1, up: true, from: 0.9, to: 1, labels: "90 % 92 % 94 % 96 % 98 % 100 %"},
		{scale: Share, lo: 0, hi: 1, up: true, from: 0, to: 1, labels: "0 % 20 % 40 % 60 % 80 % 100 %"},
		{scale: Share, lo: 0.3, hi: 0.75, up: true, bars: true, from: 0, to: 0.8, labels: "0 % 20 % 40 % 60 % 80 %"},
		{scale: Log, lo: 1000, hi: 100_000, from: 831.8, to: 120_226, labels: "1k 2k 5k 10k 20k 50k 100k"},
		{scale: Log, lo: 0.8, hi: 0.9, from: 0.784, to: 0.918, labels: "0.8 0.85 0.9"},
		{scale: Log, lo: 1, hi: 1e12, from: 0.331, to: 3.02e12, labels: "1 100 10k 1M 100M 10G 1000G"},
		{scale: Linear, lo: 0, hi: 4, bars: true, from: -0.5, to: 4.5, labels: "0 1 2 3 4"},
	} {
		a := Axis{Scale: c.scale}
		s := a.across(c.lo, c.hi, c.bars)
		if c.up {
			s = a.up(c.lo, c.hi, c.bars)
		}
		var labels []string
		for _, v := range s.ticks {
			labels = append(labels, a.label(v))
			if at := s.at(v); at < -1e-6 || at > 1+1e-6 {
				t.Errorf("%+v: the mark %v lies at %v", c, v, at)
			}
		}
		if got := strings.Join(labels, " "); got != c.labels || math.Abs(s.lo-c.from) > 1e-3*math.Abs(c.from)+1e-9 || math.Abs(s.hi-c.to) > 1e-3*math.Abs(c.to) || !slices.IsSorted(s.ticks) {
			t.Errorf("%+v: from %v to %v, marked %s", c, s.lo, s.hi, got)
		}
	}
}

type full struct{ room int }

func (f *full) Write(b []byte) (int, error) {
	if f.room -= len(b); f.room < 0 {
		return 0, errFull
	}
	return len(b), nil
}

var errFull = errors.New("full")

func TestWriterFails(t *testing.T) {
	if err := example().WriteSVG(&full{5000}); !errors.Is(err, errFull) {
		t.Errorf("%v", err)
	}
}

// Every curve that differs has a look in light and in dark.
func TestStyle(t *testing.T) {
	light, dark, _ := strings.Cut(style, "prefers-color-scheme:dark")
	for i := range strokes {
		for _, class := range []string{".s" + strconv.Itoa(i) + "{", ".f" + strconv.Itoa(i) + "{"} {
			if !strings.Contains(light, class) || !strings.Contains(dark, class) {
				t.Errorf("%s has no look", class)
			}
		}
	}
}
