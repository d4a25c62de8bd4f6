package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// linesBar shows people on a terminal how far the lines of standard input are; to others it
// shows nothing. It is one line, written over and over.
type linesBar struct {
	out   io.Writer // nil: nobody looks
	shown time.Time
	width int // of what stands there
}

func (a *app) linesBar() *linesBar {
	if !a.animated() {
		return &linesBar{}
	}
	return &linesBar{out: a.stderr}
}

// show writes the bar, ten times a second at most.
func (b *linesBar) show(done, failed, of int, ended bool, took time.Duration) {
	if b.out == nil || time.Since(b.shown) < 100*time.Millisecond && b.width > 0 {
		return
	}
	b.shown = time.Now()
	text := barText(done, failed, of, ended, took)
	fmt.Fprintf(b.out, "\r%s%s", text, strings.Repeat(" ", max(0, b.width-len(text))))
	b.width = len(text)
}

// barText says how many of those read are through, how many failed, how fast, and, if all
// have been read, how long the rest takes.
func barText(done, failed, of int, ended bool, took time.Duration) string {
	const cells = 20
	full := cells * done / max(1, of)
	left := "more to read"
	if ended && done > 0 {
		left = fmt.Sprintf("%v left", (took * time.Duration(of-done) / time.Duration(done)).Round(time.Second))
	}
	return fmt.Sprintf("[%s%s] %d/%d done, %d failed, %s, %s", strings.Repeat("#", full), strings.Repeat(".", cells-full), done, of, failed, keysPerSecond(done, took), left)
}

// clear takes the bar away, so that a line can be written.
func (b *linesBar) clear() {
	if b.out != nil && b.width > 0 {
		fmt.Fprintf(b.out, "\r%s\r", strings.Repeat(" ", b.width))
		b.width = 0
	}
}

func (b *linesBar) end() { b.clear() }
