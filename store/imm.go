package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	record "github.com/libp2p/go-libp2p-record"
)

const (
	immNamespace = "imm"
	immPrefix    = "/" + immNamespace + "/"
)

// Imm validates /imm/<SHA-256 of the value, lower-case hexadecimal>: the content
// names itself, so there is exactly one valid value for a key and nobody can
// replace it.
type Imm struct{}

var _ record.Validator = Imm{}

// ImmKey returns the key under which value is stored.
func ImmKey(value []byte) string {
	sum := sha256.Sum256(value)
	return immPrefix + hex.EncodeToString(sum[:])
}

// Validate returns nil if key is value's.
func (Imm) Validate(key string, value []byte) error {
	if !strings.HasPrefix(key, immPrefix) {
		return fmt.Errorf("%w: key %s does not start with %s", ErrInvalid, show(key), immPrefix)
	}
	if key != ImmKey(value) {
		return fmt.Errorf("%w: key %s is not the hash of the value: store it under store.ImmKey(value)", ErrInvalid, show(key))
	}
	return nil
}

// Select returns 0: all valid values are equal.
func (Imm) Select(_ string, values [][]byte) (int, error) {
	if len(values) == 0 {
		return 0, errors.Join(ErrInvalid, errNoValues)
	}
	return 0, nil
}
