package crawl

import (
	"bytes"
	"encoding/binary"

	"github.com/kdht/kdht/protocol"
)

const (
	// maxID bounds a peer's id in bytes: those of the largest keys that are made have some 100.
	maxID = 128
	// maxAddr bounds one address in bytes.
	maxAddr = protocol.MaxPeerSize / protocol.MaxAddrs
)

// meet returns the number of a peer that was named, and takes down where it is. ok is false for what is no peer, for who crawls,
// and if there is no room for one more.
func (w *Walk) meet(p *protocol.Peer) (n int32, ok bool) {
	if len(p.ID) > maxID {
		return 0, false
	}
	id, err := p.PeerID()
	if err != nil || id == w.cfg.Self {
		return 0, false
	}
	n, known := w.index[id]
	switch {
	case known && (w.peers[n].state == beingRead || w.peers[n].state == visited):
		return n, true
	case !known && len(w.peers) >= w.cfg.Peers:
		w.progress.Ignored++
		return 0, false
	case !known:
		n = int32(len(w.peers))
		w.peers = append(w.peers, entry{id: id, place: place(string(id)), state: waiting})
		w.index[id] = n
		w.progress.Known++
		w.progress.Waiting++
	}
	if fresh := w.locate(&w.peers[n], p.Addrs); fresh && w.peers[n].state == failed {
		w.peers[n].state = waiting
		w.progress.Waiting++
		w.hearsay.push(n)
	}
	return n, true
}

// locate adds addresses to what is known of a peer, and reports whether there were any.
func (w *Walk) locate(e *entry, addrs [][]byte) (fresh bool) {
	addrs = addrs[:min(len(addrs), 4*protocol.MaxAddrs)]
	if w.cfg.Take != nil {
		addrs = w.cfg.Take(addrs)
	}
	known := unpack(e.addrs)
	for _, a := range addrs {
		a, ok := protocol.SplitP2P(a, []byte(e.id))
		if !ok || len(a) > maxAddr || len(known) >= protocol.MaxAddrs || holds(known, a) {
			continue
		}
		e.addrs = append(binary.AppendUvarint(e.addrs, uint64(len(a))), a...)
		known = append(known, a)
		fresh = true
	}
	return fresh
}

func holds(list [][]byte, a []byte) bool {
	for _, b := range list {
		if bytes.Equal(a, b) {
			return true
		}
	}
	return false
}

// named counts that somebody has named a peer.
func (w *Walk) named(n int32) {
	e := &w.peers[n]
	if e.namers == 2 {
		return
	}
	e.namers++
	if e.state != waiting {
		return
	}
	switch e.namers {
	case 1:
		w.hearsay.push(n)
	case 2:
		w.surer.push(n)
	}
}

// pop takes the next peer to visit.
func (w *Walk) pop() (int32, bool) {
	for _, q := range []*queue{&w.surer, &w.hearsay} {
		for {
			n, ok := q.pop()
			if !ok {
				break
			}
			if w.peers[n].state == waiting {
				w.progress.Waiting--
				return n, true
			}
		}
	}
	return 0, false
}

// peer returns who and where it is; the addresses are copies.
func (e *entry) peer() Peer { return Peer{ID: e.id, Addrs: unpack(bytes.Clone(e.addrs))} }

// unpack splits what locate has packed.
func unpack(b []byte) (addrs [][]byte) {
	for len(b) > 0 {
		n, size := binary.Uvarint(b)
		end := size + int(n)
		addrs = append(addrs, b[size:end:end])
		b = b[end:]
	}
	return addrs
}

// queue is numbers of peers, first in, first out.
type queue struct {
	waiting []int32
	gone    int
}

func (q *queue) push(n int32) { q.waiting = append(q.waiting, n) }

func (q *queue) pop() (int32, bool) {
	if q.gone == len(q.waiting) {
		return 0, false
	}
	n := q.waiting[q.gone]
	q.gone++
	if q.gone == len(q.waiting) || q.gone > 4096 && q.gone > len(q.waiting)/2 {
		q.waiting = append(q.waiting[:0], q.waiting[q.gone:]...)
		q.gone = 0
	}
	return n, true
}
