// Package health judges a node by what it says of itself, in words for people.
//
//	for _, f := range health.Judge(status, throttle, records) { fmt.Println(f.Level, f.What, f.Hint) }
//
// The invariant: who is not well says what to do about it.
package health

import (
	"fmt"

	"github.com/kdht/kdht/cmd/node/internal/control"
)

// Level says how bad something is.
type Level string

// The levels: all is well; not as it should be, and it works; it does not work.
const (
	OK   Level = "ok"
	Warn Level = "warn"
	Bad  Level = "bad"
)

// Finding is one thing that was looked at.
type Finding struct {
	About string `json:"about"`
	Level Level  `json:"level"`
	What  string `json:"what"`
	Hint  string `json:"hint,omitempty"`
}

// settling is how many seconds a node may take to find others.
const settling = 30

// Judge looks at a node. What is nil is not looked at.
func Judge(s *control.Status, t *control.Throttle, r *control.Records) (all []Finding) {
	all = append(all, Company(s), role(s))
	if s.LAN != nil && s.LAN.Lonely != "" {
		all = append(all, Finding{"lan", Warn, "knows nobody in the local network", control.Clean(s.LAN.Lonely)})
	}
	if t != nil {
		all = append(all, load(t), limits(t))
	}
	if r != nil {
		kept := r.Disk
		if r.Dir == "" {
			kept = nil
		}
		all = append(all, Disk(kept))
	}
	return all
}

// Worst returns the worst level of all.
func Worst(all []Finding) Level {
	worst := OK
	for _, f := range all {
		if f.Level == Bad || f.Level == Warn && worst == OK {
			worst = f.Level
		}
	}
	return worst
}

// Company says whether the node has found others.
func Company(s *control.Status) Finding {
	what := fmt.Sprintf("knows %d peers, has %d connections", s.Peers, s.Connections)
	switch {
	case s.Peers > 0:
		return Finding{"peers", OK, what, ""}
	case !s.Joining:
		return Finding{"peers", Warn, "alone: it has nobody to join through, as the first node of a network", alone(s)}
	case s.Uptime < settling:
		return Finding{"peers", Warn, what, "it has just started: look again in half a minute"}
	case s.Lonely != "":
		return Finding{"peers", Bad, what, control.Clean(s.Lonely)}
	}
	return Finding{"peers", Bad, what, "start it with --bootstrap and the address of a node of its network"}
}

// alone says how the first node of a network gets company.
func alone(s *control.Status) string {
	if len(s.Addrs) == 0 {
		return "nobody can reach it: start it with --listen, and then others with --bootstrap and its address"
	}
	return "add a node with: kdht run --bootstrap " + control.Clean(s.Addrs[0]+"/p2p/"+s.ID)
}

func role(s *control.Status) Finding {
	what := s.Mode + ": " + control.Clean(s.ModeReason)
	if s.Mode == "client" && s.Profile == "public" {
		return Finding{"mode", Warn, what, "others cannot ask this node: let its port through the router and firewall (TCP and UDP), if it is to serve them"}
	}
	return Finding{"mode", OK, what, ""}
}

// crowded is how many requests may wait for each worker before that is told.
const crowded = 4

func load(t *control.Throttle) Finding {
	what := fmt.Sprintf("%d of %d workers busy, %d requests waiting", t.Busy, t.Workers, t.Waiting)
	if t.Waiting > crowded*t.Workers {
		return Finding{"load", Warn, what, "more is asked than it can do: see `kdht throttle`, and lower --peer-rate there or give the machine more cores"}
	}
	return Finding{"load", OK, what, ""}
}

func limits(t *control.Throttle) Finding {
	held, total := 0, false
	for i := range t.Limited {
		if t.Limited[i].Wait > 0 {
			held++
			total = total || t.Limited[i].Reason == "total"
		}
	}
	what := fmt.Sprintf("%d peers and subnets are held back", held)
	if total {
		return Finding{"limits", Warn, what, "everybody is held back: raise the limit of all together with `kdht throttle set --total`"}
	}
	return Finding{"limits", OK, what, ""}
}

// Disk says whether the files are whole and take more; nil if there are none.
func Disk(d *control.Disk) Finding {
	switch {
	case d == nil:
		return Finding{"records", OK, "kept in memory", ""}
	case d.Refused != "":
		return Finding{"records", Bad, "no values are taken: " + control.Clean(d.Refused), "make room on the disk, or move --data-dir to another, and start the node again"}
	case d.Lost > 0 || d.Unreadable > 0:
		return Finding{"records", Warn, fmt.Sprintf("%d places could not be read, %d records are gone", d.Unreadable, d.Lost), "look at the disk: other nodes still have copies, and give them back"}
	}
	return Finding{"records", OK, "the files are sound", ""}
}
