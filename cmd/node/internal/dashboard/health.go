package dashboard

import (
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/health"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/routing/kademlia"
)

// Level says how bad a Hint is: as `kdht health` judges, or only worth a note.
type Level = health.Level

// The levels.
const (
	Fine = health.OK
	Note = Level("note")
	Warn = health.Warn
	Bad  = health.Bad
)

// Hint is one thing about a node's health in plain words: what is so, what it means or what
// to do, and on which screen of the page there is more.
type Hint struct {
	Level  Level  `json:"level"`
	Title  string `json:"title"`
	Text   string `json:"text"`
	Screen string `json:"screen"`
}

// facts are what health is judged by.
type facts struct {
	now     time.Time
	status  *control.Status
	stats   *routing.Stats
	disk    *control.Disk
	terms   Terms
	buckets []kademlia.BucketInfo
	size    int
	// asked and failed are requests of ours in the last minute, refused those of others
	// a second.
	asked, failed uint64
	refused       float64
	// held is how many are held back by the limits.
	held int
}

// least is how many requests are enough to judge by.
const least = 10

// hints returns what there is to say, one hint at least, the worst first.
func hints(f *facts) []Hint {
	var all []Hint
	for _, look := range []func(*facts) *Hint{storage, company, role, unanswered, crowd, overload, streams, doubts, staleness} {
		if h := look(f); h != nil {
			all = append(all, *h)
		}
	}
	sorted := make([]Hint, 0, len(all)+1)
	for _, level := range []Level{Bad, Warn, Note} {
		for _, h := range all {
			if h.Level == level {
				sorted = append(sorted, h)
			}
		}
	}
	if len(sorted) == 0 || sorted[0].Level == Note {
		sorted = append([]Hint{well(f)}, sorted...)
	}
	return sorted
}

func well(f *facts) Hint {
	back := "nobody is held back"
	if f.held > 0 {
		back = fmt.Sprintf("the limits have held %d back in the last ten minutes", f.held)
	}
	return Hint{Fine, "All is well", fmt.Sprintf("%s in the table, of about %d in the network; requests are answered, %s.", peers(f.status.Peers), max(f.size, f.status.Peers), back), "overview"}
}

func peers(n int) string {
	if n == 1 {
		return "1 peer"
	}
	return fmt.Sprintf("%d peers", n)
}

func storage(f *facts) *Hint {
	return judged(health.Disk(f.disk), map[Level]string{Bad: "No values are taken", Warn: "Files were damaged"}, "records")
}

func company(f *facts) *Hint {
	waiting := "Alone"
	if f.status.Joining {
		waiting = "Nobody is known yet"
	}
	if h := judged(health.Company(f.status), map[Level]string{Bad: "Nobody is known", Warn: waiting}, "peers"); h != nil {
		return h
	}
	if n := f.status.Peers; n < 3 && f.size <= 2*n {
		return &Hint{Note, "A small network", fmt.Sprintf("Only %s known: a record lives as long as they do. Add nodes with kdht run --bootstrap.", peers(n)), "table"}
	}
	return nil
}

// judged is what `kdht health` says as well, nil if that is well.
func judged(f health.Finding, titles map[Level]string, screen string) *Hint {
	if f.Level == Fine {
		return nil
	}
	return &Hint{f.Level, titles[f.Level], sentence(f.What) + " " + sentence(f.Hint), screen}
}

// sentence makes a line of an error one.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	first, n := utf8.DecodeRuneInString(text)
	return control.Clean(string(unicode.ToUpper(first))+text[n:]) + "."
}

func role(f *facts) *Hint {
	if f.status.Mode == routing.ModeServer.String() {
		return nil
	}
	return &Hint{Note, "This node is a client", "It asks others and answers nobody, so it holds no records for them: " + control.Clean(f.status.ModeReason) + ".", "overview"}
}

func unanswered(f *facts) *Hint {
	if f.asked < least || f.failed*3 < f.asked {
		return nil
	}
	return &Hint{
		Warn, "Many requests fail", fmt.Sprintf("%d of %d in the last minute. Look at why under Traffic; if most are unreachable, this machine's connection or its firewall may be at fault.", f.failed, f.asked), "traffic",
	}
}

func crowd(f *facts) *Hint {
	if f.refused < 1 {
		return nil
	}
	return &Hint{Warn, "Requests are refused", fmt.Sprintf("About %.0f a second are over a limit. Throttle tells whose; the others are served as before.", f.refused), "throttle"}
}

func overload(f *facts) *Hint {
	l := &f.stats.Load
	if l.Waiting == 0 || l.Busy < l.Workers {
		return nil
	}
	return &Hint{Warn, "All workers are busy", fmt.Sprintf("%d requests wait for one of %d. If that lasts, the machine is too small for its traffic: kdht throttle set --workers.", l.Waiting, l.Workers), "traffic"}
}

func streams(f *facts) *Hint {
	if !f.stats.Inbound.Pressed {
		return nil
	}
	return &Hint{Warn, "Streams run short", "More than four fifths of what others may open are open, so idle ones are closed early. See who opens them under Peers.", "peers"}
}

func doubts(f *facts) *Hint {
	members, doubted := 0, 0
	for _, b := range f.buckets {
		for _, e := range b.Peers {
			members++
			if e.Doubted {
				doubted++
			}
		}
	}
	if doubted < 3 || doubted*4 < members {
		return nil
	}
	return &Hint{Warn, "Many peers have fallen silent", fmt.Sprintf("%d of %d members have failed a request and are being probed. If this goes on, look whether this machine is online.", doubted, members), "table"}
}

func staleness(f *facts) *Hint {
	late := 0
	for _, b := range f.buckets {
		if len(b.Peers) < b.Room && !b.Refreshed.IsZero() && f.now.Sub(b.Refreshed) > 6*time.Duration(f.terms.Refresh)*time.Millisecond {
			late++
		}
	}
	if late == 0 {
		return nil
	}
	return &Hint{Note, "Parts of the table are old", fmt.Sprintf("%d buckets with room have not been looked through for an hour. Nothing needs to be done: lookups refresh them.", late), "table"}
}
