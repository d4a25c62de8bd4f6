package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/input"
	"github.com/kdht/kdht/protocol/keyspace"
)

const (
	// providesAtOnce bounds the announcements under way, half of what the node takes of
	// all its callers (control.Server) and no more.
	providesAtOnce = 32
	// maxWaiting bounds what is read ahead, so that keys next to each other are announced
	// after each other; maxLine bounds a line in bytes.
	maxWaiting = 4096
	maxLine    = 64 << 10
)

// waiting is the content read ahead, in the order of the keyspace. It is taken as a lift
// takes passengers: the next above the last one, then from the bottom again.
//
// Invariant: lines holds maxWaiting at most.
type waiting struct {
	mu    sync.Mutex
	moved sync.Cond
	lines []wanted
	last  keyspace.Key
	ended bool // nothing more will be read
}

// wanted is one line of what is to be announced.
type wanted struct {
	number int // of the line, from 1
	text   string
	cid    cid.Cid
	place  keyspace.Key
	err    error // it is neither a CID nor a file
}

func newWaiting() *waiting {
	w := &waiting{}
	w.moved.L = &w.mu
	return w
}

// put adds one when there is room, unless nobody takes any more.
func (w *waiting) put(one wanted) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.lines) >= maxWaiting && !w.ended {
		w.moved.Wait()
	}
	if w.ended {
		return false
	}
	at, _ := slices.BinarySearchFunc(w.lines, one.place, func(o wanted, k keyspace.Key) int { return bytes.Compare(o.place[:], k[:]) })
	w.lines = slices.Insert(w.lines, at, one)
	w.moved.Broadcast()
	return true
}

// take waits for the next one; false if there are no more.
func (w *waiting) take() (one wanted, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.lines) == 0 {
		if w.ended {
			return one, false
		}
		w.moved.Wait()
	}
	at, _ := slices.BinarySearchFunc(w.lines, w.last, func(o wanted, k keyspace.Key) int { return bytes.Compare(o.place[:], k[:]) })
	if at == len(w.lines) {
		at = 0
	}
	one = w.lines[at]
	w.lines, w.last = slices.Delete(w.lines, at, at+1), one.place
	w.moved.Broadcast()
	return one, true
}

// end says that nothing more will be read, or, with empty, taken.
func (w *waiting) end(empty bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended = true; empty {
		w.lines = nil
	}
	w.moved.Broadcast()
}

// read reads lines until in ends. What it returns is why it could not read on.
func (w *waiting) read(in io.Reader, counted func()) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	number := 0
	for lines.Scan() {
		number++
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			continue
		}
		one := wanted{number: number, text: text}
		if one.cid, one.err = input.Content(text, strings.NewReader("")); one.err == nil {
			one.place = keyspace.KeyOf(one.cid.Hash())
		}
		counted()
		if !w.put(one) {
			return nil
		}
	}
	if err := lines.Err(); err != nil {
		return control.Errorf(control.Usage, "cannot read line %d: %v", number+1, err)
	}
	return nil
}

// provideMany announces what each line of standard input names.
func (a *app) provideMany(ctx context.Context) error {
	if a.session.timeout <= 0 {
		return control.Errorf(control.Usage, "--timeout %v leaves no time: write it like 30s", a.session.timeout)
	}
	opening, cancel := context.WithTimeout(ctx, a.session.timeout)
	n, err := a.open(opening)
	cancel()
	if err != nil {
		return control.AsError(err)
	}
	defer n.Close()
	ctx, cancel = context.WithCancel(ctx)
	defer cancel()
	w, t := newWaiting(), a.newTally()
	defer t.bar.end()
	defer context.AfterFunc(ctx, func() { w.end(true) })()
	var all sync.WaitGroup
	for range providesAtOnce {
		all.Go(func() {
			for one, ok := w.take(); ok; one, ok = w.take() {
				if t.done(a.provideOne(ctx, n, one)) != nil {
					cancel()
				}
			}
		})
	}
	read := t.follow(w, a.stdin)
	all.Wait()
	return t.outcome(ctx, read)
}

// provideOne announces one.
func (a *app) provideOne(ctx context.Context, n control.Node, one wanted) announced {
	out := announced{Line: one.number, Input: one.text}
	err := one.err
	if err == nil {
		out.CID = one.cid.String()
		within, cancel := context.WithTimeout(ctx, a.session.timeout)
		defer cancel()
		var p *control.Provided
		if p, err = n.Provide(within, control.ProvideRequest{CID: out.CID}, nil); err == nil {
			out.Holders, out.Millis = len(p.Report.Holders), p.Report.Millis
		}
	}
	if err != nil {
		out.Error = control.AsError(err)
	}
	return out
}

// announced is what has become of one line.
type announced struct {
	Line    int            `json:"line"`
	Input   string         `json:"input"`
	CID     string         `json:"cid,omitempty"`
	Holders int            `json:"holders"`
	Millis  float64        `json:"duration_ms,omitempty"`
	Error   *control.Error `json:"error,omitempty"`
}

// tally counts lines and shows how far they are.
type tally struct {
	app   *app
	bar   *linesBar
	since time.Time

	mu                   sync.Mutex
	known, through, fail int
	ended                bool  // known is all there are
	out                  error // why standard output is gone
}

func (a *app) newTally() *tally { return &tally{app: a, bar: a.linesBar(), since: time.Now()} }

func (t *tally) read() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known++
}

// follow reads lines into w beside its caller, for it may wait for its input for ever. When
// w has ended for want of lines, why stands in what it returns.
func (t *tally) follow(w *waiting, in io.Reader) <-chan error {
	read := make(chan error, 1)
	go func() {
		err := w.read(in, t.read)
		t.whole()
		read <- err // before the end, after which outcome looks for it
		w.end(false)
	}()
	return read
}

func (t *tally) whole() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
}

// done tells people and programs of one line. An error means that nobody reads that.
func (t *tally) done(one announced) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.through++
	a := t.app
	t.bar.clear()
	switch {
	case one.Error != nil && one.Error.Kind == control.Interrupted:
		t.through-- // called off: it counts for nothing
	case one.Error != nil:
		t.fail++
		if !a.json { // an error, and no note: --quiet is no reason to keep it back
			fmt.Fprintf(a.stderr, "line %d: %s\n", one.Line, control.Clean(one.Error.Message))
		}
	}
	if t.out == nil && (a.json || one.Error == nil) {
		t.out = a.result(one, func(w io.Writer) { fmt.Fprintln(w, one.CID) })
	}
	t.bar.show(t.through, t.fail, t.known, t.ended, time.Since(t.since))
	return t.out
}

// outcome says how all of it has ended.
func (t *tally) outcome(ctx context.Context, read <-chan error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var unread error
	select {
	case unread = <-read:
	default: // called off while it waits for input
	}
	took := time.Since(t.since)
	t.bar.clear()
	t.app.note("announced %d of %d in %v, %s", t.through-t.fail, t.known, took.Round(time.Millisecond), keysPerSecond(t.through, took))
	switch {
	case t.out != nil:
		return t.out
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled):
		return control.AsError(ctx.Err())
	case unread != nil:
		return unread
	case t.fail > 0:
		return control.Errorf(control.Failed, "%d of %d were not announced: what is wrong with each stands above", t.fail, t.known)
	case t.known == 0:
		return control.Errorf(control.Usage, "nothing was read: write a CID or a path on each line of standard input")
	}
	return nil
}

func keysPerSecond(n int, took time.Duration) string {
	return fmt.Sprintf("%.0f keys/s", float64(n)/max(took.Seconds(), 0.001))
}
