package store

import (
	"errors"
	"fmt"
)

// Why a record was not taken. Every refusal wraps exactly one of these.
var (
	// ErrInvalid means that the key or the value breaks the rules of its namespace.
	ErrInvalid = errors.New("store: invalid record")
	// ErrOld means that a better value is stored for the key.
	ErrOld = errors.New("store: a better value is stored")
	// ErrTooLarge means that the key or the value exceeds its limit.
	ErrTooLarge = errors.New("store: record too large")
	// ErrNamespace means that nobody knows the rules of the key's namespace.
	ErrNamespace = errors.New("store: no validator for namespace")
	// ErrFull means that a budget is used up and everything held has a better claim.
	ErrFull = errors.New("store: full")
	// ErrClosed means that the store was closed.
	ErrClosed = errors.New("store: closed")
)

// maxShown is how many bytes of a key an error shows.
const maxShown = 64

// show quotes a key for an error message; keys are binary and may be long.
func show[T string | []byte](key T) string {
	if len(key) > maxShown {
		return fmt.Sprintf("%q…", key[:maxShown])
	}
	return fmt.Sprintf("%q", key)
}

// What ErrFull says besides.
var (
	errBeyond  = errors.New("more than half full and the key is far outside this peer's region: nearer peers hold it; raise the store's budgets to keep it here too")
	errFarther = errors.New("everything held is nearer to this peer: nearer peers hold this key; raise the store's budgets to keep it here too")
)

var errNumbers = errors.New("there are too many providers: lower MaxRecords")

var errShare = errors.New("more than half full and the provider has had its share: announce fewer keys, wait an hour, or raise MaxPerHour and MaxPerProvider")
