package measure

import (
	"fmt"
	"strings"
	"time"

	"github.com/kdht/kdht/protocol/rpc"
)

// Row is one figure of one promise.
type Row struct {
	Promise, Figure, Limit, Got string
	Kept                        bool
}

const mib = 1 << 20

// Judge says how a trial stands to the promises that its attack is about.
func Judge(t *Trial) []Row {
	if t.Died != "" {
		return []Row{{promiseOf[t.Attack], "the target lives", "always", "it ended: " + firstLine(t.Died), false}}
	}
	j := &judge{t: t, promise: promiseOf[t.Attack]}
	j.noPanic()
	if special := judges[t.Attack]; t.Settings.Pressed {
		spammed(j)
	} else if special != nil {
		special(j)
	}
	return j.rows
}

// promiseOf names the promise that each attack is about.
var promiseOf = map[string]string{
	"flood": "P1", "sybil-flood": "P2", "idle-streams": "P3", "mute-streams": "P3", "slow-loris": "P4", "claimed-length": "P5", "big-ping": "P5", "slow-reader": "P5", "stuffed-streams": "P5",
	"malformed": "P6", "fuzz": "P6", "provoke": "P6", "amplification": "P7", "provider-spam": "P8", "provider-crowd": "P8", "spoof": "P8",
	"value-spam": "P9", "value-bulk": "P9", "poison-one": "P10", "poison-many": "P10", "lies": "P12", "dangerous": "P12",
	"descriptors": "P17", "connections": "P18", "silent-sockets": "P18",
	"load-40": "P25", "load-80": "P25", "load-160": "P25",
	"overload-800": "P25", "overload-1600": "P25", "overload-3200": "P25", "overload-4800": "P25",
}

// judges are the figures of each attack.
var judges = map[string]func(*judge){
	"flood": func(j *judge) {
		j.honest(5 * time.Millisecond)
		j.memory(32)
		j.most("served to the flooder", "1,000 at once and 500/s", j.count("answers"), 1000+500*j.seconds()+500)
		j.cores(1)
	},
	"sybil-flood": func(j *judge) {
		j.honest(5 * time.Millisecond)
		j.newcomersFast()
		j.memory(48)
	},
	"idle-streams": func(j *judge) {
		j.unharmed()
		j.streams()
	},
	"mute-streams": func(j *judge) { j.unharmed(); j.memory(48) },
	"slow-loris": func(j *judge) {
		j.unharmed()
		j.memory(16)
		j.streams()
	},
	"claimed-length": func(j *judge) { j.unharmed(); j.memory(64); j.released() },
	"big-ping": func(j *judge) {
		j.unharmed()
		j.memory(64)
		j.released()
		j.most("largest echo", "no larger than the request", j.count("largest answer"), j.count("request size"))
	},
	"stuffed-streams": func(j *judge) { j.unharmed(); j.memory(64); j.released() },
	"slow-reader":     func(j *judge) { j.unharmed(); j.memory(64); j.released() },
	"malformed": func(j *judge) {
		j.unharmed()
		j.exactly("cut frames and bad prefixes ended", j.count("pieces ended"), j.count("all pieces"))
		j.most("the slowest end, ms", "2,000", j.count("slowest end, ms"), 2000)
		j.lost()
	},
	"fuzz": func(j *judge) { j.unharmed(); j.lost() },
	"provoke": func(j *judge) {
		j.unharmed()
		j.lost()
		j.exactly("streams not ended", j.count("streams not ended"), 0)
	},
	"amplification": amplified,
	"provider-spam": func(j *judge) {
		j.unharmed()
		j.most("records held of one peer", "its rate: 1,000 at once and 500/s", float64(j.t.During.Finish.DHT.Stored.Providers), 1000+500*j.seconds()+1000)
	},
	"provider-crowd": func(j *judge) {
		j.unharmed()
		j.most("providers held of a key", "100", j.count("providers held"), 100)
		j.least("honest providers held of 20", "20 (those who were there first)", j.count("honest providers held"), 20)
	},
	"spoof": func(j *judge) {
		j.exactly("records of others told", j.count("spoofed records told"), 0)
		j.fullStore()
	},
	"load-40": func(j *judge) { j.unharmed() }, "load-80": func(j *judge) { j.unharmed() }, "load-160": func(j *judge) { j.unharmed() },
	"value-spam": func(j *judge) {
		j.unharmed()
		j.most("values held of one peer", "its rate: 200 at once and 100/s", float64(j.t.During.Finish.DHT.Stored.Values), 200+100*j.seconds()+200)
	},
	"value-bulk": func(j *judge) {
		j.unharmed()
		j.memory(64)
	},
	"poison-one":     func(j *judge) { j.unharmed(); j.share(10) },
	"poison-many":    func(j *judge) { j.unharmed(); j.share(50) },
	"lies":           lied,
	"dangerous":      func(j *judge) { j.exactly("dangerous addresses told, of 10", j.count("dangerous told"), 0) },
	"descriptors":    exhausted,
	"connections":    func(j *judge) { j.arrivals(); j.lost() },
	"silent-sockets": func(j *judge) { j.arrivals(); j.lost() },
}

// amplified judges answers that are larger than what was asked.
func amplified(j *judge) {
	j.unharmed()
	j.most("largest answer", "64 KiB", j.count("largest answer"), 64<<10)
	j.most("providers of an answer", "32", j.count("providers in an answer"), 32)
	j.most("addresses of a provider", "16", j.count("addresses of a provider"), 16)
	j.least("distinct providers in two answers", "more than one answer's (a random choice)", j.count("providers in two answers"), 33)
	const burst = 8 * mib // 1,000 units of 8 KiB
	j.most("answers to one peer", "1 MB/s beyond a burst of 8 MiB", j.count("answer bytes"), burst+1e6*j.seconds())
}

// lied judges what the target did with hostile answers. A peer that cannot be
// reached is one dial in vain, at however many addresses.
func lied(j *judge) {
	j.honest(5 * time.Millisecond)
	j.rows[0].Promise = "–" // P12 is about what is taken and dialed
	vain := float64(unreachable(j.t.During.Finish) - unreachable(j.t.During.Begin))
	answers := j.count("hostile answers")
	j.most("dials in vain for a hostile answer", "3", ratio(vain, answers), 3)
	j.most("dials in vain of a lookup", "60", ratio(vain, float64(j.t.Lookups)), 60)
	j.rows[len(j.rows)-1].Got += fmt.Sprintf(" (%.0f peers dialed in vain with %.0f connections, %.0f hostile answers, %d lookups)",
		vain, j.count("connections to bait"), answers, j.t.Lookups)
	j.memory(64)
}

// unreachable counts the peers that a node could not reach.
func unreachable(s State) (n uint64) {
	for _, of := range s.DHT.Client.Types {
		n += of.Unreachable
	}
	return n
}

// exhausted judges a target whose file descriptors were used up.
func exhausted(j *judge) {
	d, a := j.t.During, j.t.After
	limit := 3 * max(j.t.Before.Target.P99, d.Twin.P99, 5*time.Millisecond)
	j.row("p99 of peers that were there", "3x twin = "+ms(limit), ms(d.Target.P99), d.Target.P99 <= limit)
	j.row("failed of those", "0", share(d.Target.Failed, d.Target.Requests), d.Target.Failed == 0)
	j.row("newcomers refused after it", "0", share(a.Target.Rejected, a.Target.Newcomers)+" (during: "+share(d.Target.Rejected, d.Target.Newcomers)+")",
		a.Target.Rejected == 0 && a.Target.Newcomers > 0)
}

// judge collects the rows of a trial.
type judge struct {
	t       *Trial
	promise string
	rows    []Row
}

func (j *judge) row(figure, limit, got string, kept bool) {
	j.rows = append(j.rows, Row{j.promise, j.t.label() + ": " + figure, limit, got, kept})
}

func (j *judge) count(name string) float64 { return float64(j.t.Result.Counts[name]) }

func (j *judge) seconds() float64 { return j.t.Result.Took.Seconds() }

func (j *judge) most(figure, limit string, got, most float64) {
	j.row(figure, "≤ "+limit, fmt.Sprintf("%.4g (limit %.4g)", got, most), got <= most)
}

func (j *judge) least(figure, limit string, got, least float64) {
	j.row(figure, "≥ "+limit, fmt.Sprintf("%.4g", got), got >= least)
}

func (j *judge) exactly(figure string, got, want float64) {
	j.row(figure, fmt.Sprintf("%.0f", want), fmt.Sprintf("%.0f", got), got == want)
}

// honest judges the latency of honest requests against the quiet target, the twin
// at the same moment, and a floor.
func (j *judge) honest(floor time.Duration) {
	d := j.t.During
	limit := 3 * max(j.t.Before.Target.P99, d.Twin.P99, floor)
	j.row("honest p99", "3x twin = "+ms(limit), ms(d.Target.P99), d.Target.P99 <= limit && d.Target.Requests > 0)
	j.unharmed()
}

// unharmed: no honest request failed and no newcomer was turned away.
func (j *judge) unharmed() {
	d := j.t.During.Target
	got := share(d.Failed, d.Requests) + " requests, " + share(d.Rejected, d.Newcomers) + " newcomers"
	if d.Failed+d.Rejected > 0 {
		got += " (" + firstLine(d.Reason) + ")"
	}
	j.row("honest failed", "0", got, d.Failed+d.Rejected == 0 && d.Requests > 0)
}

func (j *judge) newcomersFast() {
	d := j.t.During
	limit := 3 * max(j.t.Before.Target.NewcomerP99, d.Twin.NewcomerP99, 5*time.Millisecond)
	j.row("newcomer p99", "3x twin = "+ms(limit), ms(d.Target.NewcomerP99), d.Target.NewcomerP99 <= limit)
}

// arrivals: nearly all newcomers get in during the attack.
func (j *judge) arrivals() {
	d := j.t.During.Target
	in := d.Newcomers - d.Rejected
	j.row("newcomers that got in", "≥ 95 %", share(in, d.Newcomers), d.Newcomers > 0 && in*100 >= d.Newcomers*95)
	j.row("honest requests failed", "0", share(d.Failed, d.Requests), d.Failed == 0)
}

// memory judges the growth of the process over the quiet one, in MB.
func (j *judge) memory(most int64) {
	grown := j.t.During.RSSMost - j.t.Before.RSS
	j.row("memory", fmt.Sprintf("≤ +%d MB", most), mb(grown), grown <= most*1e6)
}

// released judges what is left 5 s after the attackers have gone.
func (j *judge) released() {
	left := j.t.After.RSS - j.t.Before.RSS
	j.row("memory 5 s after", "≤ +16 MB", mb(left), left <= 16e6)
}

func (j *judge) cores(most float64) {
	j.row("processor of the target", fmt.Sprintf("≤ %.0f core", most), fmt.Sprintf("%.2f", j.t.During.Cores), j.t.During.Cores <= most)
}

func (j *judge) streams() {
	// What libp2p counts: besides those served, at most 512 and 64 of a peer, those whose end has not reached the peer.
	j.most("inbound streams, ending ones too", "4,096", float64(j.t.During.Streams), 4096)
	j.most("those of one peer", "128", float64(j.t.During.StreamsOfOne), 128)
}

func (j *judge) lost() { j.row("honest connections lost", "0", fmt.Sprint(j.t.Lost), j.t.Lost == 0) }

func (j *judge) share(percent float64) {
	limit := fmt.Sprintf("≤ %.0f %%", percent)
	if !j.t.Settings.Subnets {
		percent, limit = 100, "none: all members may share an address"
	}
	got := 100 * ratio(j.count("hostile peers told"), j.count("peers told"))
	j.row("hostile share of answers", limit, fmt.Sprintf("%.0f %%", got), got <= percent && j.count("peers told") > 0)
}

// fullStore judges a store with many records beside the twin's, which is empty.
func (j *judge) fullStore() {
	if j.t.Settings.Records == 0 {
		return
	}
	b := j.t.Before
	limit := 2 * max(b.Twin.P99, 5*time.Millisecond)
	j.row(fmt.Sprintf("p99 with %d provider records held", j.t.Settings.Records), "2x an empty store = "+ms(limit), ms(b.Target.P99), b.Target.P99 <= limit)
}

func (j *judge) noPanic() {
	var n uint64
	for _, s := range []Part{j.t.Before, j.t.During, j.t.After} {
		n = max(n, Panics(s.Finish))
	}
	if n > 0 {
		j.row("handlers that panicked", "0", fmt.Sprint(n), false)
	}
}

// Panics counts the handlers of a node that panicked.
func Panics(s State) (n uint64) {
	for _, server := range []rpc.ServerStats{s.DHT.Server, s.DHT.JSON} {
		n += server.Other.Panicked
		for _, of := range server.Types {
			n += of.Panicked
		}
	}
	return n
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return a
	}
	return a / b
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", d.Seconds()*1000) }

func mb(n int64) string { return fmt.Sprintf("%+.1f MB", float64(n)/1e6) }

func share(n, of int) string { return fmt.Sprintf("%d of %d", n, of) }

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line[:min(len(line), 160)]
}
