package providerlog

import (
	"fmt"

	"github.com/kdht/kdht/store"
)

const (
	// roomy is up to how many bytes a log is never compacted.
	roomy = 64 << 20
	// stepFrames is how many frames a compaction looks at before the keeper looks
	// up: some ten milliseconds of work.
	stepFrames = 20_000
)

// dropOld deletes segments that hold nothing but what is too old at t, a few at a
// time.
func (s *Store) dropOld(t uint32) {
	for _, seg := range s.tail.takeOld(t, s.times.validity) {
		if err := s.disk.Remove(seg.name.in(s.dir)); err != nil {
			s.health.failed(&s.health.writeErrors, err)
		}
	}
	s.soil() // the active one may have become one that is complete
}

// crowded begins a compaction if the log holds too much that is outdated.
func (s *Store) crowded() *compaction {
	inputs := s.tail.crowded()
	if inputs == nil {
		return nil
	}
	return &compaction{s: s, inputs: inputs}
}

// compaction is one pass over all sealed segments, oldest first, that writes what
// is still valid to new ones and deletes them. It is done in steps.
//
// Invariant: at every moment the files on the disk, read in order, give all that
// is held. A removal is left out of what is written, so everything older than it
// has to be gone before: inputs are deleted oldest first, each for sure before the
// next.
type compaction struct {
	s      *Store
	inputs []*segment

	in  *scanner // of inputs[0], nil if it is not begun
	inF file
	dec decoder

	out     *segment // nil if there is none
	outF    file
	buf     []byte
	at      int64 // where in out buf begins
	names   names
	from    int // how many inputs out is made of so far, the present one not counted
	place   int // of inputs[0] among the sealed segments
	mark    mark
	failure error
}

// step does a part of the work and reports whether there is more.
func (c *compaction) step() bool {
	more, err := c.advance()
	if err != nil {
		c.s.health.failed(&c.s.health.writeErrors, err)
		c.abandon()
		return false
	}
	if !more {
		c.s.health.compactions.Add(1)
		c.s.tail.compacted()
	}
	return more
}

func (c *compaction) advance() (more bool, err error) {
	if c.from == len(c.inputs) {
		if err := c.finish(); err != nil || c.from == len(c.inputs) {
			return false, err
		}
	}
	if c.in == nil {
		if err := c.begin(c.inputs[c.from]); err != nil {
			return false, err
		}
	}
	for range stepFrames {
		b, ok := c.in.next()
		if !ok {
			return true, c.endInput()
		}
		c.dec.payload(b)
		if c.failure != nil {
			return false, c.failure
		}
	}
	return true, nil
}

// begin opens an input.
func (c *compaction) begin(seg *segment) error {
	f, err := c.s.disk.Open(seg.name.in(c.s.dir))
	if err != nil {
		return err
	}
	c.inF = f
	if c.in, err = newScanner(f); err != nil {
		return err
	}
	c.dec = decoder{
		added:   func(r *store.ProviderRecord) { c.keep(r) },
		removed: func(uint32, []byte, []byte) {},
		marked: func(m mark) {
			if m.tick >= c.mark.tick {
				c.mark = m
			}
		},
	}
	return nil
}

// keep writes r if it is what is held, as it is held.
func (c *compaction) keep(r *store.ProviderRecord) {
	held, found := c.s.index.Find(r.Key, r.Peer.ID)
	if !found || c.s.later(r.Added, held.Added) || c.failure != nil {
		return
	}
	if c.out == nil {
		c.failure = c.create()
		if c.failure != nil {
			return
		}
	}
	number, tell := c.names.number(held.Peer)
	if tell {
		c.frame(appendProvider(nil, number, held.Seen, held.Peer))
	}
	a := add{number: number, added: held.Added, first: held.First, key: r.Key}
	c.frame(a.append(nil))
	c.out.reach(held.Added)
	if len(c.buf) >= chunkSize {
		c.failure = c.write()
	}
}

func (c *compaction) frame(payload []byte) {
	c.buf = appendFrame(c.buf, c.at+int64(len(c.buf)), payload)
}

// create begins an output.
func (c *compaction) create() error {
	c.out = &segment{}
	c.names = make(names)
	c.at, c.buf = 0, appendHeader(c.buf[:0])
	f, err := c.s.disk.Create(c.tempName())
	c.outF = f
	return err
}

func (c *compaction) tempName() string { return c.inputs[0].name.in(c.s.dir) + unfinished }

func (c *compaction) write() error {
	_, err := c.outF.WriteAt(c.buf, c.at)
	c.at += int64(len(c.buf))
	c.buf = c.buf[:0]
	return err
}

// endInput is done with an input, and with the output if that is large enough.
func (c *compaction) endInput() error {
	c.dec.end()
	err := c.inF.Close()
	c.in, c.inF = nil, nil
	c.from++
	if err != nil {
		return err
	}
	if c.from < len(c.inputs) && c.inputs[c.from].name.seq == c.inputs[c.from-1].name.seq {
		return nil // a pass that ended halfway left both: one more would have the other's name
	}
	if c.out != nil {
		long := c.out.last-c.out.first >= c.s.tail.limits.span
		if c.at+int64(len(c.buf)) < c.s.tail.limits.segment/2 && !long {
			return nil
		}
	}
	return c.finish()
}

// finish puts the output in the place of the inputs it was made from. Those that
// cannot be deleted stay in the log, so that what removes their records does too.
func (c *compaction) finish() error {
	if c.from == 0 {
		return nil
	}
	done := c.inputs[:c.from]
	if c.out != nil {
		if err := c.install(done[len(done)-1].name); err != nil {
			return err
		}
	}
	c.inputs, c.from = c.inputs[len(done):], 0
	if c.out != nil {
		c.s.tail.insert(c.place+len(done), c.out)
	}
	for _, seg := range done {
		// First, so that out is safe, and what was deleted before is for sure.
		if err := c.s.disk.SyncDir(c.s.dir); err != nil {
			return err
		}
		if err := c.s.disk.Remove(seg.name.in(c.s.dir)); err != nil {
			return err
		}
		c.s.tail.forget(c.place)
	}
	if c.out != nil {
		c.place++
		c.out, c.names = nil, nil
	}
	return nil
}

// install gives the output, which is safe then, the name that follows last.
func (c *compaction) install(last segmentName) error {
	if c.mark.tick > 0 {
		c.frame(c.mark.append(nil))
	}
	if err := c.write(); err != nil {
		return err
	}
	if err := c.outF.Sync(); err != nil {
		return err
	}
	err := c.outF.Close()
	c.outF = nil
	if err != nil {
		return err
	}
	c.out.name = segmentName{last.seq, last.gen + 1}
	c.out.size, c.out.written, c.out.synced, c.out.named = c.at, c.at, c.at, true
	if err := c.s.disk.Rename(c.tempName(), c.out.name.in(c.s.dir)); err != nil {
		return fmt.Errorf("compacting: %w", err)
	}
	return nil
}

// abandon ends a compaction that is not finished; its inputs stay.
func (c *compaction) abandon() {
	c.s.tail.compacted()
	if c.inF != nil {
		_ = c.inF.Close() // nothing was written through it
	}
	if c.outF != nil {
		_ = c.outF.Close() // it is deleted
		_ = c.s.disk.Remove(c.tempName())
	}
}
