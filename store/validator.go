package store

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	record "github.com/libp2p/go-libp2p-record"
)

// Namespaces validates every key by the rules of its namespace, the text between
// its first two slashes (wire.md §7). A key of a namespace that is not in the map
// is refused, so that nobody can store what nobody can judge.
type Namespaces map[string]record.Validator

var _ record.Validator = Namespaces(nil)

// DefaultNamespaces returns the rules of a private network: /pk, /imm and /mut.
// now tells /mut the time; a program passes time.Now.
func DefaultNamespaces(now func() time.Time) Namespaces {
	return Namespaces{"pk": record.PublicKeyValidator{}, immNamespace: Imm{}, mutNamespace: Mut{Now: now}}
}

// Validate returns nil if value may be stored under key. The error wraps
// ErrNamespace if there are no rules for key.
func (n Namespaces) Validate(key string, value []byte) error {
	v, err := n.rules(key)
	if err != nil {
		return err
	}
	return v.Validate(key, value)
}

// Select returns the index of the best of values, which are valid.
func (n Namespaces) Select(key string, values [][]byte) (int, error) {
	if len(values) == 0 {
		return 0, errNoValues
	}
	v, err := n.rules(key)
	if err != nil {
		return 0, err
	}
	return v.Select(key, values)
}

// errNoValues is Select's answer to an empty question.
var errNoValues = errors.New("store: there is no value to select from")

func (n Namespaces) rules(key string) (record.Validator, error) {
	ns, _, err := record.SplitKey(key)
	if err != nil {
		return nil, fmt.Errorf("%w: key %s has none; write it as /namespace/name (known: %s)", ErrNamespace, show(key), n.known())
	}
	if v := n[ns]; v != nil {
		return v, nil
	}
	return nil, fmt.Errorf("%w %s (known: %s); register one with kdht.NamespacedValidator", ErrNamespace, show(ns), n.known())
}

// known lists the namespaces in order.
func (n Namespaces) known() string {
	return strings.Join(slices.Sorted(maps.Keys(n)), ", ")
}
