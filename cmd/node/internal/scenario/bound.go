package scenario

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Bound is one thing that a scenario expects: a figure on one side of a limit.
type Bound struct {
	Figure string
	Op     string // one of operators
	// Limit is the limit itself or, if Than says whose, a multiple of the same
	// figure of the clean run or of the baseline.
	Limit float64
	Than  string
}

// What a bound can compare with.
const (
	cleanRun    = "clean"
	baselineRun = "baseline"
)

// The longer ones first, so that the right one is cut off.
var operators = []string{">=", "<=", ">", "<", "="}

var errBound = errors.New(`write a bound like ">= 0.99", "<= 1.5s" for times, or "<= 2 x clean"`)

// parseBound reads ">= 0.99", "<= 1500ms", "<= 2 x clean" or "<= baseline".
func parseBound(figure, text string) (Bound, error) {
	b := Bound{Figure: figure, Limit: 1}
	text = strings.TrimSpace(text)
	for _, op := range operators {
		if rest, ok := strings.CutPrefix(text, op); ok {
			b.Op, text = op, strings.TrimSpace(rest)
			break
		}
	}
	if b.Op == "" {
		return b, errBound
	}
	for _, than := range []string{cleanRun, baselineRun} {
		if factor, ok := strings.CutSuffix(text, than); ok {
			b.Than, text = than, strings.TrimSpace(strings.TrimRight(factor, " x×*"))
		}
	}
	var err error
	switch {
	case b.Than != "" && text == "": // the same, times one
	case b.Than == "" && figureKinds[figure]:
		var d time.Duration
		d, err = time.ParseDuration(text)
		b.Limit = float64(d)
	default:
		b.Limit, err = strconv.ParseFloat(text, 64)
	}
	if err != nil || math.IsNaN(b.Limit) || math.IsInf(b.Limit, 0) || b.Limit < 0 {
		return b, errBound
	}
	return b, nil
}

// String writes the bound as in a file, with its figure.
func (b Bound) String() string {
	switch {
	case b.Than == "":
		return fmt.Sprintf("%s %s %s", b.Figure, b.Op, Show(b.Figure, b.Limit))
	case b.Limit == 1:
		return fmt.Sprintf("%s %s %s", b.Figure, b.Op, b.Than)
	}
	return fmt.Sprintf("%s %s %s x %s", b.Figure, b.Op, strconv.FormatFloat(b.Limit, 'g', -1, 64), b.Than)
}

// holds compares; what is no number holds nothing.
func (b Bound) holds(value, limit float64) bool {
	switch b.Op {
	case ">=":
		return value >= limit
	case "<=":
		return value <= limit
	case ">":
		return value > limit
	case "<":
		return value < limit
	}
	return value == limit
}

// Show writes a figure's value: times as such, else with up to six digits behind
// the point, cut and never rounded up, so that what misses a bound does not look as
// if it kept it.
func Show(figure string, v float64) string {
	if figureKinds[figure] {
		return time.Duration(v).Truncate(time.Millisecond).String()
	}
	return strconv.FormatFloat(math.Trunc(v*1e6)/1e6, 'f', -1, 64)
}
