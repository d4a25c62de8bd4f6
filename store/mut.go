package store

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2precord "github.com/libp2p/go-libp2p/core/record"

	record "github.com/libp2p/go-libp2p-record"
)

const (
	mutNamespace = "mut"
	mutPrefix    = "/" + mutNamespace + "/"
	// maxMutName bounds the name in a key, in bytes.
	maxMutName = 255
)

// ErrExpired means that a value's expiry, set by who signed it, has passed.
var ErrExpired = errors.New("store: value has expired")

// Mut validates /mut/<peer id>/<name>: a value that only that peer can change.
// The value is a libp2p signed envelope around {sequence, expiry, name, bytes}.
// Of two valid values the one with the higher sequence is better, then the one
// that expires later, then the one whose bytes are greater.
//
// The signature covers the name, so a value cannot be moved to another key, and
// an envelope has one form only, so nobody but the signer can make a second value
// of the same content.
type Mut struct {
	// Now tells the time, to refuse what has expired. Programs set time.Now.
	Now func() time.Time
}

var _ record.Validator = Mut{}

// Validate returns nil if value is signed by the peer key names, for this name,
// and has not expired.
func (m Mut) Validate(key string, value []byte) error {
	_, expiry, _, err := OpenMut(key, value)
	if err != nil {
		return err
	}
	if m.Now == nil {
		return fmt.Errorf("%w: expiry cannot be checked: set store.Mut's Now (time.Now in a program)", ErrInvalid)
	}
	if m.Now().After(expiry) {
		return fmt.Errorf("%w: %w at %s: seal it again with a higher sequence and a later expiry",
			ErrInvalid, ErrExpired, expiry.Format(time.RFC3339))
	}
	return nil
}

// Select returns the index of the best of values, the first of equal ones. They
// have been validated: signatures are not checked again. Values that do not parse
// lose against any that does.
func (m Mut) Select(key string, values [][]byte) (int, error) {
	best := -1
	var top mutPayload
	for i, value := range values {
		var p mutPayload
		e, err := parseEnvelope(value)
		if err != nil || p.UnmarshalRecord(e.payload) != nil {
			continue
		}
		if best < 0 || p.better(&top, value, values[best]) {
			best, top = i, p
		}
	}
	if best < 0 {
		return 0, fmt.Errorf("%w: none of %d values for %s parses", ErrInvalid, len(values), show(key))
	}
	return best, nil
}

// better reports whether p in the envelope a beats q in the envelope b.
func (p *mutPayload) better(q *mutPayload, a, b []byte) bool {
	if p.sequence != q.sequence {
		return p.sequence > q.sequence
	}
	if !p.expiry.Equal(q.expiry) {
		return p.expiry.After(q.expiry)
	}
	return bytes.Compare(a, b) > 0
}

// MutKey returns the key of the value called name that the peer with this id
// signs.
func MutKey(id peer.ID, name string) string { return mutPrefix + id.String() + "/" + name }

// SealMut signs value with priv and returns it with the key to store it under.
// Each new value of a name needs a higher seq; nobody accepts it after expiry,
// which is kept to the nanosecond and lies between 1970 and 2262.
func SealMut(priv crypto.PrivKey, name string, seq uint64, expiry time.Time, value []byte) (key string, envelope []byte, err error) {
	id, err := peer.IDFromPrivateKey(priv)
	if err != nil {
		return "", nil, fmt.Errorf("store: sealing %s: %w", show(name), err)
	}
	if err := checkMutName(name); err != nil {
		return "", nil, err
	}
	if !expiryFits(expiry) {
		return "", nil, fmt.Errorf("%w: expiry %s is not between 1970 and 2262: give the time until which the value holds",
			ErrInvalid, expiry.Format(time.RFC3339))
	}
	e, err := libp2precord.Seal(&mutPayload{sequence: seq, expiry: expiry, name: name, value: value}, priv)
	if err != nil {
		return "", nil, fmt.Errorf("store: sealing %s: %w", show(name), err)
	}
	envelope, err = e.Marshal()
	if err != nil {
		return "", nil, fmt.Errorf("store: sealing %s: %w", show(name), err)
	}
	return MutKey(id, name), envelope, nil
}

// OpenMut checks that envelope is signed for key and returns what it holds. It
// does not compare the expiry with the time of day. value borrows from envelope.
func OpenMut(key string, envelope []byte) (seq uint64, expiry time.Time, value []byte, err error) {
	id, name, err := splitMutKey(key)
	if err != nil {
		return 0, time.Time{}, nil, err
	}
	p, err := openEnvelope(id, envelope)
	if err != nil {
		return 0, time.Time{}, nil, fmt.Errorf("%w for key %s: %w", ErrInvalid, show(key), err)
	}
	if p.name != name {
		return 0, time.Time{}, nil, fmt.Errorf("%w: the value is signed for the name %s, not for key %s", ErrInvalid, show(p.name), show(key))
	}
	return p.sequence, p.expiry, p.value, nil
}

// splitMutKey returns the peer id and the name in key.
func splitMutKey(key string) (peer.ID, string, error) {
	rest, ok := strings.CutPrefix(key, mutPrefix)
	text, name, found := strings.Cut(rest, "/")
	if !ok || !found {
		return "", "", fmt.Errorf("%w: key %s is not of the form %s<peer id>/<name>", ErrInvalid, show(key), mutPrefix)
	}
	id, err := peer.Decode(text)
	if err != nil {
		return "", "", fmt.Errorf("%w: key %s names no peer: %w", ErrInvalid, show(key), err)
	}
	if id.String() != text {
		return "", "", fmt.Errorf("%w: key %s writes the peer id in another form than %s: use store.MutKey", ErrInvalid, show(key), id)
	}
	return id, name, checkMutName(name)
}

func checkMutName(name string) error {
	if name == "" || len(name) > maxMutName {
		return fmt.Errorf("%w: the name %s in a %s key has %d bytes: use 1 to %d", ErrInvalid, show(name), mutPrefix, len(name), maxMutName)
	}
	return nil
}
