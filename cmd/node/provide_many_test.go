package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/input"
)

// What is read ahead is taken in the order of the keyspace, from where the last one was.
func TestWaitingIsTakenInOrder(t *testing.T) {
	w := newWaiting()
	var in strings.Builder
	for i := range 100 {
		c, err := input.Sum(strings.NewReader(fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&in, "%s\n\n", c)
	}
	in.WriteString("no/such/file\n")
	known := 0
	if err := w.read(strings.NewReader(in.String()), func() { known++ }); err != nil || known != 101 {
		t.Fatalf("%d lines, %v", known, err)
	}
	w.end(false)
	var places [][]byte
	wrong := 0
	for one, ok := w.take(); ok; one, ok = w.take() {
		if one.err != nil {
			if wrong++; one.number != 201 {
				t.Errorf("line %d: %v", one.number, one.err)
			}
			continue
		}
		places = append(places, one.place[:])
	}
	if len(places) != 100 || wrong != 1 || !slices.IsSortedFunc(places, bytes.Compare) {
		t.Errorf("%d taken, %d wrong, in order %v", len(places), wrong, slices.IsSortedFunc(places, bytes.Compare))
	}
	if err := newWaiting().read(strings.NewReader(strings.Repeat("x", maxLine+1)), func() {}); err == nil {
		t.Error("a line without end was read")
	}
}

// Who reads waits when too much waits, and ends when nobody takes any more.
func TestWaitingIsBounded(t *testing.T) {
	w := newWaiting()
	for range maxWaiting {
		w.put(wanted{})
	}
	ended := make(chan bool)
	go func() { ended <- w.put(wanted{}) }()
	if _, ok := w.take(); !ok {
		t.Fatal("nothing to take")
	}
	if !<-ended {
		t.Error("there was room and nothing was put")
	}
	go func() { ended <- w.put(wanted{}) }()
	w.end(true)
	if <-ended {
		t.Error("something was put where nobody takes")
	}
	if _, ok := w.take(); ok {
		t.Error("something was left")
	}
}

// Why reading has ended is known before anybody hears that it has.
func TestWhyReadingEndedIsNotMissed(t *testing.T) {
	w := newWaiting()
	w.mu.Lock() // so nothing ends
	read := (&app{stderr: &bytes.Buffer{}}).newTally().follow(w, strings.NewReader(strings.Repeat("x", maxLine+1)))
	select {
	case err := <-read:
		if err == nil {
			t.Error("a line without end was read")
		}
	case <-time.After(patience):
		t.Error("it is said only after the end")
	}
	w.mu.Unlock()
	if _, ok := w.take(); ok {
		t.Error("there is a line")
	}
}

func TestBarText(t *testing.T) {
	for want, got := range map[string]string{
		"[##########..........] 5/10 done, 1 failed, 5 keys/s, 1s left":      barText(5, 1, 10, true, time.Second),
		"[....................] 0/0 done, 0 failed, 0 keys/s, more to read":  barText(0, 0, 0, false, time.Second),
		"[####################] 7/7 done, 0 failed, 14 keys/s, more to read": barText(7, 0, 7, false, time.Second/2),
		"[....................] 1/100 done, 0 failed, 1 keys/s, 1m39s left":  barText(1, 0, 100, true, time.Second),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Lines that fail are told by number, the others are printed, and all are counted.
func TestTally(t *testing.T) {
	var out, errs bytes.Buffer
	a := &app{stdout: &out, stderr: &errs}
	tl := a.newTally()
	for i := range 3 {
		tl.read()
		one := announced{Line: i + 1, CID: fmt.Sprint("c", i)}
		if i == 1 {
			one.Error = control.Errorf(control.Usage, "broken")
		}
		if err := tl.done(one); err != nil {
			t.Fatal(err)
		}
	}
	read := make(chan error, 1)
	read <- nil
	if err := tl.outcome(context.Background(), read); err == nil || !strings.Contains(err.Error(), "1 of 3") {
		t.Errorf("%v", err)
	}
	if out.String() != "c0\nc2\n" || !strings.Contains(errs.String(), "line 2: broken") || !strings.Contains(errs.String(), "announced 2 of 3") {
		t.Errorf("%q, %q", &out, &errs)
	}
	a.quiet = true
	errs.Reset()
	if err := a.newTally().done(announced{Line: 7, Error: control.Errorf(control.Usage, "broken")}); err != nil || errs.String() != "line 7: broken\n" {
		t.Errorf("quietly: %q, %v", &errs, err)
	}
	a.json = true
	out.Reset()
	if err := a.newTally().done(announced{Line: 2, Error: control.Errorf(control.Usage, "x")}); err != nil {
		t.Fatal(err)
	}
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line["error"] == nil || line["line"] != 2.0 {
		t.Errorf("%q: %v", &out, err)
	}
}
