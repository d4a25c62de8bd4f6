package store

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
)

// DefaultMaxBytesPerPeer is what the values of one peer may take of a store under
// pressure (reliability.md P9).
const DefaultMaxBytesPerPeer = 8 << 20

// maxSenders is how many peers that have put something are told apart; beyond it
// the first to come is forgotten, with what it had.
const maxSenders = 4096

var errSenderShare = errors.New("more than half full and the sender has had its share: put fewer values, wait an hour, or raise MaxPerHour and MaxBytesPerPeer")

// senders are the peers that have put values, and what they have had of their
// shares: MaxPerHour new values an hour, and MaxBytesPerPeer of new bytes in the time
// that a value is kept. So it is bounded what a peer holds, unless it keeps up what
// it has, without a note of whose each value is.
//
// A peer is told by the leading 64 bits of its place: nobody finds another with the
// same, and that would only make two share.
type senders struct {
	mu    sync.Mutex // guards all below
	all   map[uint64]*sender
	order []uint64 // in which they came, a ring once it is full
	next  int
}

// sender is one peer.
type sender struct{ records, bytes share }

// find returns the sender with this id.
func (s *senders) find(id uint64) *sender {
	s.mu.Lock()
	defer s.mu.Unlock()
	who := s.all[id]
	if who != nil {
		return who
	}
	if s.all == nil {
		s.all = make(map[uint64]*sender)
	}
	if len(s.order) < maxSenders {
		s.order = append(s.order, id)
	} else {
		delete(s.all, s.order[s.next])
		s.order[s.next] = id
		s.next = (s.next + 1) % maxSenders
	}
	who = new(sender)
	s.all[id] = who
	return who
}

// PutFrom is Put of a value that another peer has sent: while the store is over
// half of a budget, each gets no more than its share.
func (s *ValueStore) PutFrom(now time.Time, from []byte, rec protocol.Record) error {
	in := keyspace.KeyOf(from)
	return s.put(now, max(1, binary.BigEndian.Uint64(in[:])), rec)
}

// takeShare charges a sender, 0 for this peer itself, for a new value, or for what
// one grows by, or refuses it. While there is room for everybody it is charged
// without being held to anything.
func (s *ValueStore) takeShare(t tick, from uint64, grown int64, isNew bool, name []byte) error {
	if from == 0 || grown <= 0 {
		return nil
	}
	who := s.senders.find(from)
	n, bytes := s.index.held()
	free := n+1 <= s.cfg.MaxRecords/2 && bytes+grown <= s.cfg.MaxBytes/2
	keep := uint64(cmp.Or(seconds(s.cfg.MaxAge), seconds(DefaultMaxAge))) * parts
	if isNew && !free && !who.records.left(t, 1, int64(s.cfg.MaxPerHour), hour) ||
		!who.bytes.take(t, grown, s.cfg.MaxBytesPerPeer, keep, free) {
		return fmt.Errorf("%w: %w (key %s)", ErrFull, errSenderShare, show(name))
	}
	if isNew {
		who.records.take(t, 1, int64(s.cfg.MaxPerHour), hour, true)
	}
	return nil
}
