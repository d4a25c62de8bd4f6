package kademlia

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
)

// Range and Own implement Stock: the scenario gives the answers, with
//
//	held r1 /v/a:x:2h:46h …     key, value, age and what is left of its time
//	held r1 lost                the store is broken
func (d *desk) Range(id ReadID, first, last keyspace.Key) {
	d.printf("r%d: values from the %d bits of %x", id, keyspace.CommonPrefixLen(&first, &last), first[:2])
}

func (d *desk) Own(id ReadID, key []byte) { d.printf("r%d: own value of %s", id, key) }

// stocked runs the commands about values held, and reports whether td is one.
func (d *desk) stocked(t *testing.T, td *datadriven.TestData) bool {
	switch td.Cmd {
	case "swept": // as the end of a sweep leaves it
		d.node.upkeep.replicator.before, d.node.upkeep.replicator.since = d.node.View(), d.now
	case "seeds":
		var seeds []*Contact
		for _, a := range td.CmdArgs {
			seeds = append(seeds, d.peer(t, a.Key))
		}
		d.node.Seed(d.now, seeds)
	case "held":
		id, err := strconv.Atoi(strings.TrimPrefix(td.CmdArgs[0].Key, "r"))
		if err != nil {
			t.Fatal(err)
		}
		held, err := d.heldOf(t, td.CmdArgs[1:])
		d.node.HandleHeld(d.now, ReadID(id), held, err)
	case "publish":
		if err := d.node.StartPublishing(d.now, []byte(td.CmdArgs[0].Key), duration(t, td.CmdArgs[1].Key)); err != nil {
			t.Fatal(err)
		}
	case "stop-publishing":
		d.node.StopPublishing([]byte(td.CmdArgs[0].Key))
	case "copied":
		d.printf("%d copies are held", d.node.Copied())
	case "leave":
		d.node.Leave(d.now, func(time.Time) { d.printf("ready to leave") })
	default:
		return false
	}
	return true
}

func (d *desk) heldOf(t *testing.T, args []datadriven.CmdArg) (held []Held, err error) {
	for _, a := range args {
		if a.Key == "lost" {
			return nil, protocol.ErrLocal
		}
		f := strings.Split(a.Key, ":")
		held = append(held, Held{
			Record: protocol.Record{Key: []byte(f[0]), Value: []byte(f[1])}, Age: duration(t, f[2]), Left: duration(t, f[3]),
		})
	}
	return held, nil
}
