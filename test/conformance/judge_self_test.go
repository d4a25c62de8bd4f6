package conformance

import (
	"encoding/hex"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// The judge is judged here: it must take everything that was recorded, and
// refuse what differs in any one respect.

// asRecorded is what the recorded server did in e. The times in its records
// are those of the recording; now is a moment soon after it.
func asRecorded(t *testing.T, e *exchange) (got []outcome, lastWrite, now time.Time) {
	t.Helper()
	lastWrite = time.Now()
	for i, it := range e.Expect {
		o := outcome{at: lastWrite}
		switch {
		case it.event == noAnswer:
			o = outcome{}
		case it.event != "":
			o.end = it.event
		case it.timed != nil:
			o.end, o.at = it.timed.Event, lastWrite.Add(time.Duration(it.timed.AfterMinMs)*time.Millisecond)
		case it.shape != nil:
			body, err := hex.DecodeString(it.shape.RecordedHex)
			if err != nil || len(body) == 0 {
				t.Fatalf("%s: item %d has no recorded body: %v", e.Name, i+1, err)
			}
			o.frame = append(protowire.AppendVarint(nil, uint64(len(body))), body...)
			if m, err := parseMessage(body); err == nil && m.record != nil {
				now, _ = time.Parse(time.RFC3339Nano, string(m.record.time))
			}
		default:
			o.frame = it.frame
		}
		got = append(got, o)
	}
	return got, lastWrite, now
}

func recordedJudge(all setups, e *exchange, now time.Time) judge {
	j := judge{requester: all.Identities[e.As].ID, now: now}
	if !e.Pipelined {
		j.requests = e.Frames
	}
	return j
}

func TestJudgeTakesWhatWasRecorded(t *testing.T) {
	all, exchanges := loadSetups(t), loadExchanges(t)
	for i := range exchanges {
		e := &exchanges[i]
		got, lastWrite, now := asRecorded(t, e)
		if err := recordedJudge(all, e, now).judge(e.Expect, got, lastWrite); err != nil {
			t.Errorf("%s: %v", e.Name, err)
		}
		if _, ok := all.Servers[e.Server]; !ok {
			t.Errorf("%s: no set-up %q", e.Name, e.Server)
		}
	}
}

// TestJudgeRefusesEveryOtherEvent swaps each outcome for each other kind.
func TestJudgeRefusesEveryOtherEvent(t *testing.T) {
	all, exchanges := loadSetups(t), loadExchanges(t)
	others := []outcome{{}, {end: reset}, {end: eof}, {end: refused}, {end: "connection lost"}, {frame: frame{1, 0}}}
	for i := range exchanges {
		e := &exchanges[i]
		for k := range e.Expect {
			for _, o := range others {
				got, lastWrite, now := asRecorded(t, e)
				o.at = got[k].at
				if o.end == got[k].end && (o.frame == nil) == (got[k].frame == nil) {
					continue
				}
				got[k] = o
				if recordedJudge(all, e, now).judge(e.Expect, got, lastWrite) == nil {
					t.Errorf("%s: item %d: %v was taken", e.Name, k+1, o)
				}
			}
		}
		got, lastWrite, now := asRecorded(t, e)
		if recordedJudge(all, e, now).judge(e.Expect, append(got, outcome{end: reset}), lastWrite) == nil {
			t.Errorf("%s: one outcome too many was taken", e.Name)
		}
		if recordedJudge(all, e, now).judge(e.Expect, got[:len(got)-1], lastWrite) == nil {
			t.Errorf("%s: one outcome too few was taken", e.Name)
		}
	}
}

// mutations are one difference each in an answer.
var mutations = map[string]func(*message){
	"type":                   func(m *message) { m.typ = 5 },
	"key":                    func(m *message) { m.key = append([]byte("x"), m.key...) },
	"level":                  func(m *message) { m.level++ },
	"unknown field":          func(m *message) { m.unknown = []byte{0x58, 1} },
	"one closer peer more":   func(m *message) { m.closer = append(m.closer, peerInfo{id: []byte{0, 1, 'x'}}) },
	"one closer peer less":   func(m *message) { m.closer = m.closer[:max(0, len(m.closer)-1)] },
	"closer peers reversed":  func(m *message) { m.closer = reversed(m.closer) },
	"one provider more":      func(m *message) { m.providers = append(m.providers, peerInfo{id: []byte{0, 1, 'x'}}) },
	"a provider twice":       func(m *message) { m.providers = append(m.providers, m.providers...) },
	"no providers":           func(m *message) { m.providers = nil },
	"connection of closer":   func(m *message) { flip(m.closer) },
	"connection of provider": func(m *message) { flip(m.providers) },
	"address of closer":      func(m *message) { readdress(m.closer) },
	"address of provider":    func(m *message) { readdress(m.providers) },
	"address told twice":     func(m *message) { repeatAddress(m.closer, m.providers) },
	"peer's unknown field":   func(m *message) { extend(m.closer, m.providers) },
	"record":                 func(m *message) { m.record = toggled(m.record) },
	"record key":             func(m *message) { inRecord(m, func(r *record) { r.key = []byte("/v/other") }) },
	"record value":           func(m *message) { inRecord(m, func(r *record) { r.value = append([]byte("9"), r.value...) }) },
	"record unknown field":   func(m *message) { inRecord(m, func(r *record) { r.unknown = []byte{0x58, 1} }) },
	"record without time":    func(m *message) { inRecord(m, func(r *record) { r.time = nil }) },
	"record time no date":    func(m *message) { inRecord(m, func(r *record) { r.time = []byte("yesterday") }) },
	"record of last year":    func(m *message) { inRecord(m, func(r *record) { r.time = []byte("2025-01-02T03:04:05Z") }) },
	"record time not UTC":    func(m *message) { inRecord(m, func(r *record) { r.time = zoned(r.time) }) },
}

func reversed(p []peerInfo) []peerInfo {
	p = slices.Clone(p)
	slices.Reverse(p)
	return p
}

func flip(p []peerInfo) {
	if len(p) > 0 {
		p[len(p)-1].connection ^= 1
	}
}

func readdress(p []peerInfo) {
	if len(p) > 0 {
		p[0].addrs = [][]byte{{4, 127, 0, 0, 1, 6, 0, 1}} // /ip4/127.0.0.1/tcp/1
	}
}

func repeatAddress(lists ...[]peerInfo) {
	for _, l := range lists {
		for i := range l {
			l[i].addrs = append(l[i].addrs, l[i].addrs...)
		}
	}
}

func extend(lists ...[]peerInfo) {
	for _, l := range lists {
		for i := range l {
			l[i].unknown = []byte{0x58, 1}
		}
	}
}

func toggled(r *record) *record {
	if r != nil {
		return nil
	}
	return &record{key: []byte("/v/x"), value: []byte("1:x")}
}

func inRecord(m *message, change func(*record)) {
	if m.record != nil {
		change(m.record)
	}
}

// zoned is the same moment in another zone.
func zoned(stamp []byte) []byte {
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	if err != nil {
		return nil
	}
	return at.In(time.FixedZone("", 3600)).AppendFormat(nil, time.RFC3339Nano)
}

// TestJudgeRefusesEveryMutation changes each recorded structural answer in one
// respect after the other; whatever changed its bytes must be refused.
func TestJudgeRefusesEveryMutation(t *testing.T) {
	all, exchanges := loadSetups(t), loadExchanges(t)
	used := map[string]int{}
	for i := range exchanges {
		e := &exchanges[i]
		for k := range e.Expect {
			if e.Expect[k].shape == nil {
				continue
			}
			for what, change := range mutations {
				got, lastWrite, now := asRecorded(t, e)
				m, err := parseMessage(bodyOf(got[k].frame))
				if err != nil {
					t.Fatalf("%s: %v", e.Name, err)
				}
				change(&m)
				changed := framed(m)
				if string(changed) == string(got[k].frame) {
					continue
				}
				used[what]++
				got[k].frame = changed
				if recordedJudge(all, e, now).judge(e.Expect, got, lastWrite) == nil {
					t.Errorf("%s: item %d: the judge does not see a change of %s", e.Name, k+1, what)
				}
			}
		}
	}
	for what := range mutations {
		if used[what] == 0 {
			t.Errorf("mutation %q never changed anything", what)
		}
	}
}

// TestJudgeTranslatesAddresses: a live address counts as the recorded one it
// stands for, and only as that.
func TestJudgeTranslatesAddresses(t *testing.T) {
	live := []byte{4, 127, 0, 0, 1, 6, 0, 7} // /ip4/127.0.0.1/tcp/7
	p := peerInfo{id: []byte{0, 1, 'x'}, addrs: [][]byte{live}}
	want := shapePeer{Addrs: []string{"/ip4/127.0.0.1/tcp/41001"}, AddrsCount: 1, Connection: "NOT_CONNECTED"}
	j := judge{recorded: map[string]string{"/ip4/127.0.0.1/tcp/7": "/ip4/127.0.0.1/tcp/41001"}}
	if err := j.peer(p, want); err != nil {
		t.Errorf("live address: %v", err)
	}
	if (judge{}).peer(p, want) == nil {
		t.Error("an address that stands for nothing was taken")
	}
	if j.peer(p, shapePeer{Addrs: []string{"/ip4/127.0.0.1/tcp/7"}, AddrsCount: 1, Connection: "NOT_CONNECTED"}) == nil {
		t.Error("a live address was taken for itself although it stands for another")
	}
}

// TestNumberedValidator: the three rules of the set-ups' validator "v".
func TestNumberedValidator(t *testing.T) {
	for _, c := range []struct {
		values []string
		want   int
	}{
		{[]string{"5:a", "4:b"}, 0},
		{[]string{"5:a", "6:a"}, 1},
		{[]string{"5:a", "5:b"}, 1},
		{[]string{"5:b", "5:a"}, 0},
		{[]string{"5:a", "5:a"}, 0},
		{[]string{"", "1:"}, 1},
		{[]string{"9", "1:x"}, 1},
		{[]string{"10:a", "9:b"}, 0},
	} {
		var values [][]byte
		for _, v := range c.values {
			values = append(values, []byte(v))
		}
		if got, err := (numbered{}).Select("/v/x", values); err != nil || got != c.want {
			t.Errorf("Select(%q) = %d, %v, want %d", c.values, got, err, c.want)
		}
	}
	if _, err := (numbered{}).Select("/v/x", nil); err == nil {
		t.Error("Select of nothing is no error")
	}
}
