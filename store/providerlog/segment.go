package providerlog

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/kdht/kdht/protocol"
)

const (
	// maxSegment is the size at which a segment is closed and the next begun.
	maxSegment = 32 << 20
	// spans is into how many segments a validity is cut at least, so that a segment
	// soon holds nothing but what is too old and is deleted whole.
	spans = 16
	// recordSize is about what a record takes in the log, in bytes.
	recordSize = 52
	// suffix of a segment's name, and of one that is being written by a compaction.
	suffix, unfinished = ".plog", ".tmp"
)

// segment is one file of the log. Its records were announced from first to last.
type segment struct {
	name        segmentName
	size        int64 // with what is not written yet
	first, last uint32

	f       file // open for writing; nil if not, or not yet
	written int64
	synced  int64
	named   bool // the directory is synced since the file was made
}

// segmentName orders segments: those that a compaction wrote stand in the place of
// the last one they were made from.
type segmentName struct {
	seq uint64
	gen uint32
}

func (n segmentName) String() string { return fmt.Sprintf("%016x.%04x%s", n.seq, n.gen, suffix) }

func parseSegmentName(name string) (n segmentName, ok bool) {
	stem, found := strings.CutSuffix(name, suffix)
	seq, gen, cut := strings.Cut(stem, ".")
	if !found || !cut {
		return n, false
	}
	s, err := strconv.ParseUint(seq, 16, 64)
	g, err2 := strconv.ParseUint(gen, 16, 32)
	n = segmentName{s, uint32(g)}
	return n, err == nil && err2 == nil && n.String() == name
}

func (n segmentName) in(dir string) string { return filepath.Join(dir, n.String()) }

// complete reports whether all that was given to it is safe on the disk.
func (s *segment) complete() bool { return s.synced == s.size }

// reach widens the span of the segment's records by t.
func (s *segment) reach(t uint32) {
	if s.first == 0 || t < s.first {
		s.first = t
	}
	s.last = max(s.last, t)
}

// names numbers the providers of one segment. Each is written before its first
// record, once more before its second and before its eighth: no single damage to the
// file takes more than one record away, and two seldom do.
type names map[*protocol.Peer]name

type name struct {
	number uint32
	uses   uint8 // counted up to eight
}

// number returns what p is called in the segment, and whether that must be
// written first.
func (n names) number(p *protocol.Peer) (number uint32, tell bool) {
	known := n[p]
	if known.uses == 8 {
		return known.number, false
	}
	if known.uses == 0 {
		known.number = uint32(len(n)) + 1
	}
	known.uses++
	n[p] = known
	return known.number, known.uses == 1 || known.uses == 2 || known.uses == 8
}
