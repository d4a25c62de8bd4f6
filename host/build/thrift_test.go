package build

import (
	"runtime/debug"
	"testing"
)

// When memory is given back, told as a story in MiB: held, allocated since.
func TestThrift(t *testing.T) {
	const mib = 1 << 20
	var all uint64
	var th thrift
	for i, step := range []struct {
		held, allocated uint64
		due             bool
	}{
		{30, 100, false}, // the start is busy
		{30, 1, false},
		{100, 500, false}, // a flood
		{110, 9, false},   // not over yet
		{110, 1, true},    // over
		{37, 1, false},    // less than 8 more than was left, 30
		{39, 1, true},
		{25, 1, false}, // Go itself has given back
		{32, 1, false},
		{33, 1, true},
	} {
		all += step.allocated * mib
		due := th.due(step.held*mib, all)
		if due != step.due {
			t.Errorf("step %d: due %v", i, due)
		}
		if due && i < 6 {
			th.freed(30*mib, all)
		}
	}
}

var kept []byte

// memory sees what is taken and what is given back.
func TestMemoryHeld(t *testing.T) {
	debug.FreeOSMemory()
	before, allocated := memory()
	kept = make([]byte, 64<<20)
	for i := range kept {
		kept[i] = 1
	}
	with, more := memory()
	kept = nil
	debug.FreeOSMemory()
	after, _ := memory()
	if with < before+60<<20 || more < allocated+64<<20 {
		t.Errorf("64 MiB more: %d held before, %d with, %d allocated", before, with, more-allocated)
	}
	if after > before+8<<20 {
		t.Errorf("%d held before, %d after", before, after)
	}
}
