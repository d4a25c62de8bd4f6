package measure

import (
	"testing"
	"time"

	"github.com/kdht/kdht/test/hostile"
)

// What is served under the most load is judged by the peak, and a slow node's only if
// twice the peak was asked of it.
func TestOverload(t *testing.T) {
	for _, c := range []struct {
		attacks         string
		asked, answered []int64
		kept            bool
	}{
		{"load-", []int64{400, 900, 1000}, []int64{400, 500, 450}, true},
		{"load-", []int64{400, 900, 1000}, []int64{400, 500, 449}, false}, // less than 90 %
		{"load-", []int64{400, 900}, []int64{0, 0}, false},
		{"overload-", []int64{700, 1400, 2800}, []int64{700, 1400, 1390}, true},
		{"overload-", []int64{700, 1400, 2799}, []int64{700, 1400, 1390}, false}, // not asked enough
		{"overload-", []int64{700, 1400, 2800}, []int64{700, 1400, 1259}, false},
		{"overload-", []int64{700, 1400}, []int64{0, 0}, false},
	} {
		var r Report
		for i := range c.asked {
			counts := map[string]int64{"requests written": c.asked[i], "answers": c.answered[i]}
			r.Trials = append(r.Trials, &Trial{Attack: c.attacks, Result: hostile.Result{Took: time.Second, Counts: counts}})
		}
		r.Overload()
		if len(r.Rows) != 1 || r.Rows[0].Kept != c.kept {
			t.Errorf("%s asked %v, answered %v: %+v", c.attacks, c.asked, c.answered, r.Rows)
		}
	}
	var r Report
	if r.Overload(); len(r.Rows) != 0 {
		t.Errorf("of no trial: %+v", r.Rows)
	}
}
