package conformance

import (
	"bytes"
	"errors"
	"strconv"
)

// numbered is the third validator of the set-ups, of namespace "v": every
// value is valid; a value is <decimal>:<anything>, a missing number is 0; the
// highest number wins, then the bytewise greater value.
type numbered struct{}

func (numbered) Validate(string, []byte) error { return nil }

func (numbered) Select(_ string, values [][]byte) (int, error) {
	if len(values) == 0 {
		return 0, errors.New("nothing to select from")
	}
	best := 0
	for i := 1; i < len(values); i++ {
		a, b := number(values[i]), number(values[best])
		if a > b || a == b && bytes.Compare(values[i], values[best]) > 0 {
			best = i
		}
	}
	return best, nil
}

func number(value []byte) uint64 {
	head, _, ok := bytes.Cut(value, []byte(":"))
	if !ok {
		return 0
	}
	n, err := strconv.ParseUint(string(head), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
