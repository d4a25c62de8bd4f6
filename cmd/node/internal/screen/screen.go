// Package screen draws lines on a terminal over those it drew before, so that people watch something change.
//
// The invariant: between two calls the cursor is at the beginning of the line below the last one drawn, and nothing above the first
// one has been touched.
package screen

import (
	"io"
	"strconv"
	"strings"
)

// Screen is a place on a terminal. Width and Height bound what is drawn: what does not fit is cut.
type Screen struct {
	W             io.Writer
	Width, Height int
	drawn         int
}

// Draw draws lines, from the first one that fits.
func (s *Screen) Draw(lines []string) {
	if room := max(1, s.Height-1); len(lines) > room {
		lines = lines[len(lines)-room:]
	}
	var b strings.Builder
	if s.drawn > 0 {
		b.WriteString("\x1b[" + strconv.Itoa(s.drawn) + "A")
	}
	b.WriteString("\r\x1b[J")
	for _, line := range lines {
		b.WriteString(cut(line, s.Width))
		b.WriteString("\r\n")
	}
	s.drawn = len(lines)
	_, _ = io.WriteString(s.W, b.String()) // a terminal that is gone is noticed by the result
}

// cut shortens a line to so many characters; colors take no room.
func cut(line string, width int) string {
	shown, inColor := 0, false
	for i, r := range line {
		switch {
		case r == '\x1b':
			inColor = true
		case inColor:
			inColor = r != 'm'
		case shown == width:
			return line[:i] + "\x1b[0m"
		default:
			shown++
		}
	}
	return line
}
