package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/screen"
	"github.com/kdht/kdht/protocol/keyspace"
)

// The picture of a lookup: who told of whom, who is late, who failed, and nothing of what peers say that moves the cursor.
func TestTracePicture(t *testing.T) {
	var out bytes.Buffer
	picture := func(env map[string]string) string {
		a := &app{stdout: &out, getenv: func(name string) string { return env[name] }}
		tr := a.tracer(keyspace.KeyOf([]byte("key")))
		tr.show = &screen.Screen{W: &out, Width: 120, Height: 40}
		const first, second, third = strangerID, "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq"
		for _, h := range []control.Hop{
			{Step: "asking", Peer: first, Hop: 1, Millis: 1},
			{Step: "answered", Peer: first, Closer: []string{second, third}, Millis: 5},
			{Step: "asking", Peer: second, Hop: 2, Millis: 6},
			{Step: "asking", Peer: third, Hop: 2, Millis: 7},
			{Step: "failed", Peer: third, Cause: "no\x1b[2Jway", Millis: 9},
		} {
			tr.step(&h)
		}
		tr.draw(1500)
		if tr.late != 0 {
			t.Errorf("%d late answers", tr.late)
		}
		text := strings.Join(tr.lines(1500), "\n")
		tr.step(&control.Hop{Step: "answered", Peer: second, Millis: 1600})
		if tr.late != 1 {
			t.Errorf("%d late answers, one answer came after more than a second", tr.late)
		}
		return text
	}
	plain := picture(map[string]string{"NO_COLOR": "1"})
	for _, want := range []string{
		"own table      answered after 4.0 ms, 2 new peers", "…" + strangerID[len(strangerID)-8:], "late, for 1.5 s", "failed: no\uFFFD[2Jway",
	} {
		if !strings.Contains(plain, want) {
			t.Errorf("no %q in:\n%s", want, plain)
		}
	}
	if strings.Contains(plain, "\x1b") {
		t.Errorf("NO_COLOR, and yet: %q", plain)
	}
	if n := strings.Count(plain, "…"+strangerID[len(strangerID)-8:]); n != 3 { // itself, and as who told of two others
		t.Errorf("the first peer is named %d times:\n%s", n, plain)
	}
	if colored := picture(nil); !strings.Contains(colored, "\x1b[32manswered") || !strings.Contains(colored, "\x1b[31mfailed") || !strings.Contains(colored, "\x1b[33mlate") {
		t.Errorf("without colors: %q", colored)
	}
	if !strings.Contains(out.String(), "what became of it") {
		t.Error("nothing is drawn")
	}
}

func TestCleanCell(t *testing.T) {
	for given, want := range map[string]string{
		"go-libp2p/1.2": "go-libp2p/1.2", "\x1b[31mred": "\uFFFD[31mred", "=HYPERLINK()": "'=HYPERLINK()", "a\nb": "a\uFFFDb", "": "",
		strings.Repeat("x", 100): strings.Repeat("x", maxAgent),
	} {
		if got := cleanCell(given); got != want {
			t.Errorf("%q: %q, want %q", given, got, want)
		}
	}
}
