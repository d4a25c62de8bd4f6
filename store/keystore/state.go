package keystore

import (
	"encoding/binary"
	"time"

	"github.com/kdht/kdht/protocol/keyspace"
)

// statePlace is where the state stands among the keys: nothing hashes to it.
var statePlace keyspace.Key

const (
	stateVersion = 2
	stateSize    = 1 + 1 + 8 + 32
)

// State is how far whoever announces the keys has come.
type State struct {
	// Began is when the cycle began that is under way, zero before the first. Next is the
	// place from which on it has not announced yet.
	Began time.Time
	Next  keyspace.Key
}

// State returns what SetState kept last.
func (s *Keystore) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// SetState keeps st. The Sync after it makes all that safe.
func (s *Keystore) SetState(st State) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = st
	return s.putState()
}

// nextGeneration begins a Replace.
func (s *Keystore) nextGeneration() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation++
	return s.putState()
}

func (s *Keystore) putState() error {
	b := append(make([]byte, 0, stateSize), stateVersion, s.generation)
	b = binary.BigEndian.AppendUint64(b, uint64(max(0, s.state.Began.UnixMilli())))
	return s.kv.Put(statePlace, append(b, s.state.Next[:]...))
}

// readState takes in what was kept; what is damaged, or of a newer version, is none: a
// cycle then begins anew.
func (s *Keystore) readState(b []byte) {
	if len(b) != stateSize || b[0] != stateVersion {
		return
	}
	s.generation = b[1]
	if ms := binary.BigEndian.Uint64(b[2:]); ms > 0 && ms < 1<<47 {
		s.state.Began = time.UnixMilli(int64(ms))
	}
	copy(s.state.Next[:], b[10:])
}
