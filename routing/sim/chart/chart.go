// Package chart draws lines and bars as SVG: a picture is a title and a few panels,
// a panel two axes and a few curves.
//
//	picture := chart.Picture{Title: "Growth", Panels: []chart.Panel{{
//		Title: "Requests of a lookup", X: chart.Axis{Label: "nodes", Scale: chart.Log}, Y: chart.Axis{Label: "requests"},
//		Curves: []chart.Curve{{Name: "measured", Points: points}},
//	}}}
//	err := picture.WriteSVG(w)
//
// The file stands for itself: no script, no font, nothing loaded. It follows its
// reader's choice of light or dark; curves differ by their strokes, not by colour
// alone; a title and a description tell what is to be seen to those who cannot see
// it. The same picture gives the same bytes. Whatever the texts and numbers are,
// the result is well-formed: texts are escaped, and a point that has no place (NaN,
// an infinity, zero on a logarithmic axis) is a gap.
package chart

import (
	"bufio"
	"io"
)

// Picture is what becomes one file: panels two in a row, in their order.
type Picture struct {
	Title string
	// Note is a line below the title.
	Note string
	// About says what the picture shows, to who reads it by ear.
	About  string
	Panels []Panel
}

// Panel is one chart.
type Panel struct {
	Title  string
	X, Y   Axis
	Curves []Curve
	// Bars draws bars side by side at whole X instead of lines.
	Bars bool
}

// Axis is one direction of a panel; its range is that of the points.
type Axis struct {
	// Label names what is measured, with its unit.
	Label string
	Scale Scale
}

// Scale is how an axis is divided.
type Scale uint8

const (
	// Linear begins at zero, or below it if there are points there.
	Linear Scale = iota
	// Share is for values from 0 to 1, written in percent. A vertical axis of lines ends at
	// 100 % and begins where the points do, so that the last percent can be seen.
	Share
	// Log is logarithmic; it holds no value below or at zero.
	Log
)

// Curve is one row of points, from left to right.
type Curve struct {
	Name   string
	Points []Point
	// Reference draws the curve faintly: what the others are to be compared with.
	Reference bool
}

// Point is one value.
type Point struct{ X, Y float64 }

// The measures of a picture, in pixels.
const (
	pictureWidth = 900
	margin       = 20
	headHeight   = 66
	panelWidth   = (pictureWidth - 3*margin) / 2
	panelHeight  = 250
)

// WriteSVG writes the picture as one SVG document.
func (p *Picture) WriteSVG(w io.Writer) error {
	d := drawing{bufio.NewWriter(w)}
	rows := (len(p.Panels) + 1) / 2
	height := headHeight + rows*(panelHeight+margin)
	d.line(`<svg xmlns="http://www.w3.org/2000/svg" class="kdht-chart" viewBox="0 0 %d %d" role="img" aria-label="%s">`,
		pictureWidth, height, escaped(p.Title))
	d.line(`<title>%s</title>`, escaped(p.Title))
	d.line(`<desc>%s</desc>`, escaped(p.About))
	d.line(style)
	d.line(`<rect class="ground" width="%d" height="%d"/>`, pictureWidth, height)
	d.text(margin, 32, `class="head"`, p.Title)
	d.text(margin, 52, `class="quiet"`, p.Note)
	for i := range p.Panels {
		d.line(`<g transform="translate(%d %d)">`, margin+i%2*(panelWidth+margin), headHeight+i/2*(panelHeight+margin))
		d.panel(&p.Panels[i])
		d.line(`</g>`)
	}
	d.line(`</svg>`)
	return d.w.Flush()
}
