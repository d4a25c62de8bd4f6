package build

import (
	"runtime/debug"
	"testing"
)

// When memory is given back, told as a story in MiB: held, allocated since, and
// goroutines.
func TestThrift(t *testing.T) {
	const mib = 1 << 20
	var all uint64
	var th thrift
	for i, step := range []struct {
		held, allocated, goroutines uint64
		due                         bool
		left                        uint64 // after what was due
	}{
		{30, 100, 100, false, 0}, // the start is busy
		{30, 1, 100, false, 0},
		{100, 500, 150, false, 0}, // a flood
		{110, 9, 150, false, 0},   // not over yet
		{110, 1, 150, true, 30},   // over
		{37, 1, 150, false, 0},    // less than 8 more than was left, 30
		{39, 1, 150, true, 39},
		{25, 1, 150, false, 0}, // Go itself has given back
		{32, 1, 150, false, 0},
		{33, 1, 150, true, 30},
		{90, 1, 680, true, 80}, // many hold much, quietly
		{84, 1, 650, false, 0},
		{84, 1, 140, true, 30}, // they leave
		{30, 1, 140, false, 0},
		{30, 1, 200, false, 0},
		{30, 1, 140, false, 0}, // few leave
		{30, 1, 2000, false, 0},
		{30, 1, 1600, false, 0}, // few of many
		{30, 9, 1000, false, 0}, // many, in a busy time
		{30, 1, 1000, true, 30},
	} {
		all += step.allocated * mib
		due := th.due(used{step.held * mib, all, step.goroutines})
		if due != step.due {
			t.Errorf("step %d: due %v", i, due)
		}
		if due {
			th.freed(used{step.left * mib, all, step.goroutines})
		}
	}
}

var kept []byte

// usage sees what is taken and what is given back.
func TestMemoryHeld(t *testing.T) {
	debug.FreeOSMemory()
	before := usage()
	kept = make([]byte, 64<<20)
	for i := range kept {
		kept[i] = 1
	}
	with := usage()
	kept = nil
	debug.FreeOSMemory()
	after := usage()
	if with.held < before.held+60<<20 || with.allocated < before.allocated+64<<20 || with.goroutines == 0 {
		t.Errorf("64 MiB more: %+v before, %+v with", before, with)
	}
	if after.held > before.held+8<<20 {
		t.Errorf("%d held before, %d after", before.held, after.held)
	}
}
