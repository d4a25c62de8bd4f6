// Package snapshot keeps a routing table's contacts over restarts, so that a peer
// that comes back knows its network although every peer it was told to begin with
// is gone:
//
//	file := snapshot.NewFile("/var/lib/app/table")
//	cfg := routing.Config{Stores: routing.Stores{Table: file}}
//
// The form, all of it followed by its CRC-32C in four bytes:
//
//	"kdht table" version(1) count peer…
//	peer: length id, seconds since 1970 when it was last heard of, count (length address)…
//
// with numbers as unsigned varints. What is read is a hint and nothing more: who
// uses it verifies each peer before it believes that it is there.
//
// Invariant: a file is the whole of one Save or of the one before it; what Parse
// returns keeps the bounds here, whatever the bytes.
package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/kdht/kdht/protocol"
)

const (
	// MaxPeers bounds the peers of a snapshot: a table of a network of millions has
	// some 400 members.
	MaxPeers = 1024
	// MaxSize bounds its form in bytes. A peer takes some 200.
	MaxSize = 4 << 20
	// maxID and maxAddr bound an id and an address in bytes.
	maxID   = 128
	maxAddr = protocol.MaxPeerSize / protocol.MaxAddrs
	// keptFor is how long a peer is kept that is no member any longer.
	keptFor = 7 * 24 * time.Hour

	magic   = "kdht table"
	version = 1
)

// Why bytes are no snapshot.
var (
	ErrCorrupt = errors.New("snapshot: the routing table of the last run is damaged")
	ErrNewer   = errors.New("snapshot: the routing table of the last run was written by a newer version")
)

// Peer is one contact.
type Peer struct {
	ID    []byte
	Addrs [][]byte // binary multiaddrs, best first
	// Seen is when the peer was last heard of, in whole seconds.
	Seen time.Time
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Append appends the form of peers, best first. What exceeds a bound is left out.
func Append(b []byte, peers []Peer) []byte {
	start := len(b)
	var body []byte
	count := 0
	for i := range peers {
		if p := &peers[i]; count < MaxPeers && len(p.ID) > 0 && len(p.ID) <= maxID {
			if next := appendPeer(body, p); len(next) <= MaxSize-64 {
				body = next
				count++
			}
		}
	}
	b = append(append(b, magic...), version)
	b = binary.AppendUvarint(b, uint64(count))
	b = append(b, body...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

func appendPeer(b []byte, p *Peer) []byte {
	b = appendBytes(b, p.ID)
	b = binary.AppendUvarint(b, uint64(max(0, p.Seen.Unix())))
	var usable [][]byte
	for _, a := range p.Addrs {
		if len(usable) < protocol.MaxAddrs && len(a) > 0 && len(a) <= maxAddr {
			usable = append(usable, a)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(usable)))
	for _, a := range usable {
		b = appendBytes(b, a)
	}
	return b
}

func appendBytes(b, field []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(field))), field...)
}

// Parse reads what Append wrote. The peers borrow from b. The error wraps
// ErrCorrupt or ErrNewer.
func Parse(b []byte) ([]Peer, error) {
	if len(b) > MaxSize || len(b) < len(magic)+1+4 || string(b[:len(magic)]) != magic {
		return nil, ErrCorrupt
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if v := b[len(magic)]; v > version {
		return nil, fmt.Errorf("%w (form %d, this one reads %d)", ErrNewer, v, version)
	}
	if crc32.Checksum(body, castagnoli) != sum || b[len(magic)] != version {
		return nil, ErrCorrupt
	}
	r := reader{rest: body[len(magic)+1:]}
	peers := make([]Peer, r.count(MaxPeers))
	for i := range peers {
		peers[i] = r.peer()
	}
	if r.bad || len(r.rest) > 0 {
		return nil, ErrCorrupt
	}
	return peers, nil
}

// reader takes fields off the front of rest until one is bad.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) number() uint64 {
	n, used := binary.Uvarint(r.rest)
	if used <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[used:]
	return n
}

// count returns a number of things of a byte at least, each, and at most limit.
func (r *reader) count(limit int) int {
	n := r.number()
	if n > uint64(limit) || n > uint64(len(r.rest)) {
		r.bad, r.rest = true, nil
		return 0
	}
	return int(n)
}

func (r *reader) bytes(limit int) []byte {
	n := r.count(limit)
	if n == 0 {
		r.bad = true
	}
	field := r.rest[:n:n]
	r.rest = r.rest[n:]
	return field
}

func (r *reader) peer() (p Peer) {
	p.ID = r.bytes(maxID)
	p.Seen = time.Unix(int64(r.number()&(1<<40-1)), 0).UTC()
	p.Addrs = make([][]byte, r.count(protocol.MaxAddrs))
	for i := range p.Addrs {
		p.Addrs[i] = r.bytes(maxAddr)
	}
	return p
}

// Merge returns what to keep: the members, and behind them those of the snapshot
// before that have left the table but were heard of within a week. So a peer that
// was cut off for a while, and has lost its table, still knows whom to turn to.
func Merge(now time.Time, members, before []Peer) []Peer {
	all := append(make([]Peer, 0, min(len(members)+len(before), MaxPeers)), members[:min(len(members), MaxPeers)]...)
	there := make(map[string]bool, len(members))
	for i := range members {
		there[string(members[i].ID)] = true
	}
	for i := range before {
		if p := &before[i]; len(all) < MaxPeers && !there[string(p.ID)] && now.Sub(p.Seen) < keptFor {
			all = append(all, *p)
		}
	}
	return all
}
