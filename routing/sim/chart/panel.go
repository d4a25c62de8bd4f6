package chart

import (
	"fmt"
	"math"
	"strings"
)

// Where the plot lies in its panel.
const (
	plotLeft   = 66
	plotRight  = panelWidth - 10
	plotBottom = panelHeight - 42
	// fewPoints are as many as get a dot each.
	fewPoints = 12
)

// plot is the inside of a panel.
type plot struct {
	x, y span
	top  float64
}

func (p *plot) place(at Point) (x, y float64) {
	return plotLeft + p.x.at(at.X)*(plotRight-plotLeft), plotBottom - p.y.at(at.Y)*(plotBottom-p.top)
}

// has reports whether at has a place in the panel.
func (p *Panel) has(at Point) bool { return p.X.drawable(at.X) && p.Y.drawable(at.Y) }

// panel draws one panel at the origin.
func (d *drawing) panel(p *Panel) {
	d.line(`<desc>%s</desc>`, escaped(p.describe()))
	d.text(0, 14, `class="name"`, p.Title)
	rows := d.legend(p)
	plot, any := p.plot(float64(34 + 17*rows))
	if !any {
		d.text((plotLeft+plotRight)/2, panelHeight/2, `class="quiet" text-anchor="middle"`, "nothing to show")
		return
	}
	d.axes(p, &plot)
	tones := p.tones()
	for i := range p.Curves {
		if p.Bars {
			d.bars(p, &plot, i, tones[i])
		} else {
			d.curve(p, &plot, i, tones[i])
		}
	}
}

// describe says in words what the panel shows.
func (p *Panel) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s; across: %s, upwards: %s.", p.Title, p.X.Label, p.Y.Label)
	for i := range p.Curves {
		c := &p.Curves[i]
		lo, hi, n := extent(p, i, func(at Point) float64 { return at.Y })
		if n == 0 {
			fmt.Fprintf(&b, " %s: nothing.", c.Name)
			continue
		}
		fmt.Fprintf(&b, " %s: %d points from %s to %s.", c.Name, n, p.Y.label(lo), p.Y.label(hi))
	}
	return b.String()
}

// extent returns the range of the drawable points of a curve, and how many they are.
func extent(p *Panel, curve int, of func(Point) float64) (lo, hi float64, n int) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, at := range p.Curves[curve].Points {
		if p.has(at) {
			lo, hi, n = math.Min(lo, of(at)), math.Max(hi, of(at)), n+1
		}
	}
	return lo, hi, n
}

// plot lays out the axes; any is false if there is no point to draw.
func (p *Panel) plot(top float64) (out plot, any bool) {
	x, y := [2]float64{math.Inf(1), math.Inf(-1)}, [2]float64{math.Inf(1), math.Inf(-1)}
	for i := range p.Curves {
		lo, hi, n := extent(p, i, func(at Point) float64 { return at.X })
		x[0], x[1] = math.Min(x[0], lo), math.Max(x[1], hi)
		lo, hi, _ = extent(p, i, func(at Point) float64 { return at.Y })
		y[0], y[1] = math.Min(y[0], lo), math.Max(y[1], hi)
		any = any || n > 0
	}
	if !any {
		return plot{}, false
	}
	return plot{x: p.X.across(x[0], x[1], p.Bars), y: p.Y.up(y[0], y[1], p.Bars), top: top}, true
}

// tones returns the class suffix of every curve.
func (p *Panel) tones() (all []string) {
	next := 0
	for i := range p.Curves {
		if p.Curves[i].Reference {
			all = append(all, "r")
			continue
		}
		all = append(all, fmt.Sprint(next%strokes))
		next++
	}
	return all
}

// legend names the curves in as many rows as they need, and returns these.
func (d *drawing) legend(p *Panel) (rows int) {
	const sample, gap, letter = 24, 16, 6.3
	x := 0.0
	for i, tone := range p.tones() {
		name := p.Curves[i].Name
		width := sample + 6 + letter*float64(len([]rune(name))) + gap
		if rows == 0 || x+width-gap > panelWidth {
			x, rows = 0, rows+1
		}
		y := float64(15 + 17*rows)
		if p.Bars {
			d.line(`<rect class="f%s" x="%s" y="%s" width="%d" height="10"/>`, tone, px(x), px(y-5), sample)
		} else {
			d.line(`<line class="line s%s" x1="%s" y1="%s" x2="%s" y2="%s"/>`, tone, px(x), px(y), px(x+sample), px(y))
		}
		d.text(x+sample+6, y+4, ``, name)
		x += width
	}
	return rows
}

// axes draws both axes with their marks and labels.
func (d *drawing) axes(p *Panel, in *plot) {
	for _, v := range in.y.ticks {
		y := plotBottom - in.y.at(v)*(plotBottom-in.top)
		d.line(`<line class="grid" x1="%d" y1="%s" x2="%d" y2="%s"/>`, plotLeft, px(y), plotRight, px(y))
		d.text(plotLeft-6, y+4, `class="quiet" text-anchor="end"`, p.Y.label(v))
	}
	for _, v := range in.x.ticks {
		x := plotLeft + in.x.at(v)*(plotRight-plotLeft)
		d.line(`<line class="axis" x1="%s" y1="%d" x2="%s" y2="%d"/>`, px(x), plotBottom, px(x), plotBottom+4)
		d.text(x, plotBottom+17, `class="quiet" text-anchor="middle"`, p.X.label(v))
	}
	d.line(`<path class="axis" d="M%d %sV%dH%d"/>`, plotLeft, px(in.top), plotBottom, plotRight)
	d.text((plotLeft+plotRight)/2, plotBottom+34, `class="quiet" text-anchor="middle"`, p.X.Label)
	d.text(-(in.top+plotBottom)/2, 12, `class="quiet" text-anchor="middle" transform="rotate(-90)"`, p.Y.Label)
}

// curve draws a line through the points, broken where one has no place, and dots
// where the points are few or alone.
func (d *drawing) curve(p *Panel, in *plot, i int, tone string) {
	points := p.Curves[i].Points
	var path strings.Builder
	var dots []Point
	for j, at := range points {
		if !p.has(at) {
			continue
		}
		before, after := j > 0 && p.has(points[j-1]), j+1 < len(points) && p.has(points[j+1])
		move := "L"
		if !before {
			move = "M"
		}
		x, y := in.place(at)
		fmt.Fprintf(&path, "%s%s %s", move, px(x), px(y))
		if len(points) <= fewPoints && !p.Curves[i].Reference || !before && !after {
			dots = append(dots, Point{x, y})
		}
	}
	if path.Len() > 0 {
		d.line(`<path class="line s%s" d="%s"/>`, tone, &path)
	}
	for _, at := range dots {
		d.line(`<circle class="f%s" cx="%s" cy="%s" r="3"/>`, tone, px(at.X), px(at.Y))
	}
}

// bars draws the bars of one curve, beside those of the others.
func (d *drawing) bars(p *Panel, in *plot, i int, tone string) {
	slot := (plotRight - plotLeft) / (in.x.hi - in.x.lo)
	width := slot * 0.8 / float64(len(p.Curves))
	for _, at := range p.Curves[i].Points {
		if !p.has(at) {
			continue
		}
		x, y := in.place(at)
		x += width * (float64(i) - float64(len(p.Curves))/2)
		_, zero := in.place(Point{at.X, 0})
		d.line(`<rect class="f%s" x="%s" y="%s" width="%s" height="%s"/>`, tone, px(x), px(math.Min(y, zero)), px(width), px(math.Abs(y-zero)))
	}
}
