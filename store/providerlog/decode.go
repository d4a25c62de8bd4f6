package providerlog

import (
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/store"
)

// maxOrphans bounds the records of a segment that wait for their provider.
const maxOrphans = 1 << 16

// decoder turns the payloads of one segment into what they say.
type decoder struct {
	added   func(r *store.ProviderRecord) // r's key holds until the call returns
	removed func(at uint32, key, id []byte)
	marked  func(m mark)

	providers map[uint32]known
	orphans   []add // announcements whose provider was not readable so far
	lost      int   // payloads that say nothing readable
}

// known is what a provider's number stands for.
type known struct {
	peer *protocol.Peer
	seen uint32
}

// all reads a segment from beginning to end.
func (d *decoder) all(sc *scanner) {
	for b, ok := sc.next(); ok; b, ok = sc.next() {
		d.payload(b)
	}
	d.end()
}

// payload reads one.
func (d *decoder) payload(b []byte) {
	var err error
	switch b[0] {
	case kindProvider:
		err = d.provider(b)
	case kindAdd, kindAddAddrs:
		var a add
		if a, err = parseAdd(b); err == nil {
			d.add(&a)
		}
	case kindRemove:
		var at uint32
		var key, id []byte
		if at, key, id, err = parseRemove(b); err == nil {
			d.removed(at, key, id)
		}
	case kindMark:
		var m mark
		if m, err = parseMark(b); err == nil {
			d.marked(m)
		}
	default:
		err = errForm
	}
	if err != nil {
		d.lost++
	}
}

func (d *decoder) provider(b []byte) error {
	number, seen, p, err := parseProvider(b)
	if err != nil {
		return err
	}
	if _, twice := d.providers[number]; twice {
		return nil
	}
	if d.providers == nil {
		d.providers = make(map[uint32]known)
	}
	d.providers[number] = known{p, seen}
	waiting := d.orphans[:0]
	for _, a := range d.orphans {
		if a.number == number {
			d.add(&a)
		} else {
			waiting = append(waiting, a)
		}
	}
	d.orphans = waiting
	return nil
}

func (d *decoder) add(a *add) {
	who, ok := d.providers[a.number]
	if !ok {
		if len(d.orphans) == maxOrphans {
			d.lost++
			return
		}
		orphan := *a
		orphan.key = append([]byte(nil), a.key...)
		d.orphans = append(d.orphans, orphan)
		return
	}
	r := store.ProviderRecord{Key: a.key, Peer: who.peer, Added: a.added, First: a.first, Seen: who.seen}
	if a.told {
		r.Seen = a.added
	}
	d.added(&r)
}

// end gives up the records whose provider could not be read.
func (d *decoder) end() {
	d.lost += len(d.orphans)
	d.orphans, d.providers = nil, nil
}
