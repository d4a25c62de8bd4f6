package settings

import (
	"slices"
	"strings"
)

// Difference is a key that two files disagree about; nil values mean that a file does not have it.
type Difference struct {
	Key         string
	Before, Now []string
}

// Compare returns the keys that two files disagree about, in order.
func Compare(before, now *File) (all []Difference) {
	keys := append(before.Keys(), now.Keys()...)
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		d := Difference{key, before.Texts(key), now.Texts(key)}
		if !slices.Equal(d.Before, d.Now) || (d.Before == nil) != (d.Now == nil) {
			all = append(all, d)
		}
	}
	return all
}

// Show writes values as people read them.
func Show(values []string) string {
	if values == nil {
		return "(nothing)"
	}
	return strings.Join(values, ", ")
}
