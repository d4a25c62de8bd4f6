package rpc

import (
	"sync/atomic"

	"github.com/kdht/kdht/protocol"
)

// ServerStats is what a server has done so far, by type of request.
type ServerStats struct {
	Types [protocol.NumTypes]TypeStats
	// Other counts frames whose type has no meaning or cannot be found.
	Other TypeStats
}

// TypeStats counts requests by outcome: each is in exactly one of the first
// eight. Bytes are those of whole frames without their length prefixes.
type TypeStats struct {
	Served    uint64 // answered, or taken if the type has no answer
	Limited   uint64 // the gate refused it
	Shed      uint64 // no worker was free for it in time
	Malformed uint64 // it could not be decoded
	Unhandled uint64 // no handler for its type
	Refused   uint64 // its handler returned an error
	Failed    uint64 // its answer could not be encoded
	Panicked  uint64 // its handler panicked
	BytesIn   uint64
	BytesOut  uint64
}

// Stats returns a snapshot of s's counters. Each is exact; together they are as
// of slightly different moments.
func (s *Server) Stats() ServerStats {
	var out ServerStats
	for t := range out.Types {
		out.Types[t] = s.counts.types[t].snapshot()
	}
	out.Other = s.counts.types[protocol.NumTypes].snapshot()
	return out
}

// serverCounts holds the counters by type; the last entry is for all others.
type serverCounts struct {
	types [protocol.NumTypes + 1]typeCounts
}

// of returns the counters of t.
func (c *serverCounts) of(t protocol.Type) *typeCounts {
	if !t.Valid() {
		return &c.types[protocol.NumTypes]
	}
	return &c.types[t]
}

// typeCounts is TypeStats while it is being counted.
type typeCounts struct {
	served, limited, shed, malformed, unhandled, refused, failed, panicked atomic.Uint64
	bytesIn, bytesOut                                                      atomic.Uint64
}

// snapshot returns the counters' present values.
func (c *typeCounts) snapshot() TypeStats {
	return TypeStats{
		Served: c.served.Load(), Limited: c.limited.Load(), Shed: c.shed.Load(), Malformed: c.malformed.Load(),
		Unhandled: c.unhandled.Load(), Refused: c.refused.Load(), Failed: c.failed.Load(),
		Panicked: c.panicked.Load(), BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
	}
}
