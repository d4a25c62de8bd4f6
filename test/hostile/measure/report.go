package measure

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Report is a round: its trials and what became of the promises.
type Report struct {
	Trials []*Trial
	Rows   []Row
}

// Add takes a trial in and judges it.
func (r *Report) Add(t *Trial) []Row {
	rows := Judge(t)
	r.Trials = append(r.Trials, t)
	r.Rows = append(r.Rows, rows...)
	return rows
}

// Overload judges the trials that only differ in how much was asked, if there are
// any (P25): what is served under the most is nearly as much as was served under
// any. The load- trials ask as much as this machine can, the overload- trials mean to
// ask half, once, twice and three times what a slow node can do; how much was asked
// in the end, is told.
func (r *Report) Overload() {
	r.overload("load-", "served under the most load", "≥ 90 % of the peak", 0)
	r.overload("overload-", "served by a slow node under the most load", "≥ 90 % of the peak, asked twice that", 2)
}

// overload judges trials of one kind, in the last of which so many times the peak must
// have been asked for.
func (r *Report) overload(attacks, figure, limit string, times float64) {
	var peak, last, asked float64
	var got []string
	for _, t := range r.Trials {
		if !strings.HasPrefix(t.Attack, attacks) || t.Result.Took <= 0 {
			continue
		}
		last = float64(t.Result.Counts["answers"]) / t.Result.Took.Seconds()
		peak = max(peak, last)
		asked = float64(t.Result.Counts["requests written"]) / t.Result.Took.Seconds()
		got = append(got, fmt.Sprintf("%.0f/s of %.0f/s asked (%.2f cores%s)", last, asked, t.During.Cores, dropped(t)))
	}
	if len(got) > 1 {
		figure = fmt.Sprintf("%s, %.2f times the peak", figure, asked/max(1, peak))
		r.Rows = append(r.Rows, Row{"P25", figure, limit, strings.Join(got, "; "), peak > 0 && last >= 0.9*peak && asked >= times*peak})
	}
}

// dropped says how many requests the target dropped in the trial, and why.
func dropped(t *Trial) (text string) {
	before, after := t.During.Begin.DHT.Load, t.During.Finish.DHT.Load
	for _, c := range []struct {
		why string
		n   uint64
	}{
		{"too late", after.ShedLate - before.ShedLate},
		{"too many of the peer", after.ShedByPeer - before.ShedByPeer},
		{"for others", after.ShedForOthers - before.ShedForOthers},
		{"with their streams", t.During.Finish.DHT.Inbound.Refused.GaveWay - t.During.Begin.DHT.Inbound.Refused.GaveWay},
	} {
		if c.n > 0 {
			text += fmt.Sprintf(", dropped %d %s", c.n, c.why)
		}
	}
	return text
}

// Broken counts the rows that were not kept.
func (r *Report) Broken() (n int) {
	for _, row := range r.Rows {
		if !row.Kept {
			n++
		}
	}
	return n
}

// WriteMarkdown writes both tables.
func (r *Report) WriteMarkdown(w io.Writer) {
	fmt.Fprint(w, "| promise | figure | limit | measured | kept |\n|---|---|---|---|---|\n")
	for _, row := range r.Rows {
		kept := "yes"
		if !row.Kept {
			kept = "**no**"
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s |\n", row.Promise, row.Figure, row.Limit, cell(row.Got), kept)
	}
	fmt.Fprint(w, "\n| attack | honest p50 / p99 before | during | twin during | after | newcomer p99 before / during | RSS before / most / after | cores |\n|---|---|---|---|---|---|---|---|\n")
	for _, t := range r.Trials {
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s / %s | %s / %s / %s | %.2f |\n", t.label(),
			both(t.Before.Target), both(t.During.Target), both(t.During.Twin), both(t.After.Target),
			ms(t.Before.Target.NewcomerP99), ms(t.During.Target.NewcomerP99),
			whole(t.Before.RSS), whole(t.During.RSSMost), whole(t.After.RSS), t.During.Cores)
	}
}

// WriteJSON writes everything.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(r)
}

func both(s Side) string { return ms(s.P50) + " / " + ms(s.P99) }

func whole(n int64) string { return fmt.Sprintf("%.0f MB", float64(n)/1e6) }

func cell(s string) string { return strings.ReplaceAll(s, "|", "/") }
