// Package mutation asks of the tests what the tests ask of the code: can they
// fail? It holds seeded bugs of the kind that deployed DHTs have had, small
// replacements in the text of one file each, and runs the concerned packages'
// tests with one bug at a time (reliability.md P26):
//
//	KDHT_MUTATION=1 go test ./test/mutation -v -run SeededBugs -timeout 60m
//	KDHT_MUTATION=1 go test ./test/mutation -v -run SeededBugs/name-of-the-bug
//
// No file of the tree is changed: the go command reads the bug through an
// overlay. A plain go test only checks that every bug still applies.
//
// A bug is first put before the stories, properties and fuzz seeds of its
// packages, which take seconds; if these do not see it, before the simulations;
// and in the end before all other tests. Where it was caught first is what counts.
//
// A new bug is one more Bug in the lists of bugs_*.go. One that no longer applies
// because its line has changed is rewritten for the new line, or, if that line's
// idea is gone, replaced by another.
package mutation

import (
	"bytes"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
)

// Bug is one fault: a replacement in the text of one file.
type Bug struct {
	// Name is for the table and for -run; words joined by hyphens.
	Name string
	// File is where the bug sits, relative to the root of the module.
	File string
	// Old occurs there exactly once and becomes New.
	Old, New string
	// Why says what goes wrong, for people.
	Why string
	// In are the packages whose tests have to find it, nearest first.
	In []string
}

// apply returns the file of b under root with the bug in it.
func (b *Bug) apply(root string) ([]byte, error) {
	source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(b.File)))
	if err != nil {
		return nil, fmt.Errorf("bug %s: %w: if the file has moved, change File in test/mutation/bugs_*.go", b.Name, err)
	}
	return b.mutate(source)
}

// mutate returns source with the bug in it.
func (b *Bug) mutate(source []byte) ([]byte, error) {
	if n := bytes.Count(source, []byte(b.Old)); n != 1 {
		return nil, fmt.Errorf("bug %s no longer applies: its text is found %d times in %s, not once: "+
			"rewrite Old and New in test/mutation/bugs_*.go for the code as it is now (%s)", b.Name, n, b.File, b.Why)
	}
	if b.Old == b.New {
		return nil, fmt.Errorf("bug %s is none: Old and New are equal", b.Name)
	}
	mutated := bytes.Replace(source, []byte(b.Old), []byte(b.New), 1)
	if _, err := parser.ParseFile(token.NewFileSet(), b.File, mutated, parser.SkipObjectResolution); err != nil {
		return nil, fmt.Errorf("bug %s is no Go: %w", b.Name, err)
	}
	return mutated, nil
}

// Bugs returns all seeded bugs.
func Bugs() (all []Bug) {
	for _, list := range [][]Bug{spaceBugs, tableBugs, lookupBugs, queryBugs, sharedBugs, breadthBugs, hearsayBugs, upkeepBugs, wireBugs, rpcBugs, storeBugs} {
		all = append(all, list...)
	}
	return all
}
