package conformance

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// judge compares what came back with what the vectors expect.
type judge struct {
	// recorded gives the address the vectors use for a live address of a peer
	// of the set-up; peers listen on free ports instead of the recorded ones.
	recorded  map[string]string
	requester string    // the asking peer's id
	requests  []frame   // what was written, by index of the answer; nil if pipelined
	now       time.Time // zero: the moment an answer came
}

// judge returns the first difference between want and got, or nil.
func (j judge) judge(want []item, got []outcome, lastWrite time.Time) error {
	var before time.Time // the time in the record of the answer before
	for i, w := range want {
		if i >= len(got) {
			return fmt.Errorf("item %d: nothing came, want %v", i+1, w)
		}
		err := j.item(w, got[i], i, lastWrite, &before)
		if err != nil {
			return fmt.Errorf("item %d of %d: %w", i+1, len(want), err)
		}
	}
	if len(got) > len(want) {
		return fmt.Errorf("after all %d items: %v", len(want), got[len(want)])
	}
	return nil
}

func (j judge) item(w item, got outcome, i int, lastWrite time.Time, before *time.Time) error {
	switch {
	case w.event == noAnswer:
		if got.end != "" || got.frame != nil {
			return fmt.Errorf("got %v, want %v", got, w)
		}
	case w.event != "":
		if got.end != w.event {
			return fmt.Errorf("got %v, want %v", got, w)
		}
	case w.timed != nil:
		after := got.at.Sub(lastWrite).Milliseconds()
		if got.end != w.timed.Event {
			return fmt.Errorf("got %v, want %v", got, w)
		}
		if after < int64(w.timed.AfterMinMs) || after > int64(w.timed.AfterMaxMs) {
			return fmt.Errorf("got %v after %d ms, want %v", got, after, w)
		}
	case w.shape != nil:
		if got.frame == nil {
			return fmt.Errorf("got %v, want %v", got, w)
		}
		return j.shape(w.shape, got, i, before)
	default:
		if !bytes.Equal(got.frame, w.frame) {
			return fmt.Errorf("got %v, want %v", got, w)
		}
	}
	return nil
}

// shape judges an answer whose bytes may vary.
func (j judge) shape(w *shape, got outcome, i int, before *time.Time) error {
	m, err := parseMessage(bodyOf(got.frame))
	if err != nil {
		return fmt.Errorf("answer does not decode: %w: %v", err, got)
	}
	err = errors.Join(
		equal("type", typeNames[m.typ], w.Type),
		equal("key", hex.EncodeToString(m.key), w.KeyHex),
		equal("cluster level", m.level, w.ClusterLevelRaw),
		equal("unknown fields", hex.EncodeToString(m.unknown), w.UnknownHex),
		j.closer(w, m, i),
		j.providers(w, m),
		j.record(w, m, got, before),
	)
	if err != nil {
		return fmt.Errorf("%w\nin %v", err, got)
	}
	return nil
}

// bodyOf takes the length prefix off.
func bodyOf(f frame) []byte {
	for i, b := range f {
		if b < 0x80 {
			return f[i+1:]
		}
	}
	return nil
}

func equal[T comparable](what string, got, want T) error {
	if got != want {
		return fmt.Errorf("%s is %v, want %v", what, got, want)
	}
	return nil
}

func (j judge) closer(w *shape, m message, i int) error {
	if n := len(m.closer); n < w.CloserPeersMin || n > w.CloserPeersMax {
		return fmt.Errorf("%d closer peers, want %d to %d: %v", n, w.CloserPeersMin, w.CloserPeersMax, j.ids(m.closer))
	}
	wantIDs := make([]string, len(w.CloserPeers))
	for k, p := range w.CloserPeers {
		wantIDs[k] = p.ID
	}
	if got := j.ids(m.closer); !slices.Equal(got, wantIDs) {
		return fmt.Errorf("closer peers are\n%v, want in this order\n%v", got, wantIDs)
	}
	for k, p := range m.closer {
		if err := j.peer(p, w.CloserPeers[k]); err != nil {
			return fmt.Errorf("closer peer %d: %w", k+1, err)
		}
	}
	return j.places(w, m, i)
}

// places judges the places of the two peers that answers treat apart.
func (j judge) places(w *shape, m message, i int) error {
	if w.ExcludesRequester && slices.Contains(j.ids(m.closer), j.requester) {
		return fmt.Errorf("the requester %s is among the closer peers", j.requester)
	}
	if !w.TargetFirst {
		return nil
	}
	if i >= len(j.requests) {
		return fmt.Errorf("BUG: the target of answer %d is not known", i+1)
	}
	request, err := parseMessage(bodyOf(j.requests[i]))
	if err != nil {
		return err
	}
	if len(m.closer) == 0 || !bytes.Equal(m.closer[0].id, request.key) {
		return errors.New("the target is not the first of the closer peers")
	}
	return nil
}

func (j judge) providers(w *shape, m message) error {
	got, want := j.ids(m.providers), slices.Clone(w.ProviderIDs)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		return fmt.Errorf("providers are %v, want in any order %v", got, want)
	}
	for _, p := range m.providers {
		k := slices.IndexFunc(w.ProviderPeers, func(q shapePeer) bool { return q.ID == idText(p.id) })
		if k < 0 {
			return fmt.Errorf("provider %s is not described", idText(p.id))
		}
		if err := j.peer(p, w.ProviderPeers[k]); err != nil {
			return fmt.Errorf("provider %s: %w", idText(p.id), err)
		}
	}
	return nil
}

func (j judge) peer(got peerInfo, want shapePeer) error {
	addrs, err := j.addrs(got.addrs)
	if err != nil {
		return err
	}
	if want.announced != nil {
		if len(addrs) == 0 || len(addrs) > want.AddrsCount || !isSubset(addrs, want.announced) {
			return fmt.Errorf("%d addresses, want 1 to %d of those announced: %v", len(addrs), want.AddrsCount, addrs)
		}
	} else if len(addrs) != want.AddrsCount {
		return fmt.Errorf("%d addresses, want %d: %v", len(addrs), want.AddrsCount, addrs)
	}
	if want.Addrs != nil {
		wanted := slices.Clone(want.Addrs)
		slices.Sort(wanted)
		if !slices.Equal(addrs, wanted) {
			return fmt.Errorf("addresses %v, want %v", addrs, wanted)
		}
	}
	return errors.Join(
		equal("connection", connectionNames[got.connection], want.Connection),
		equal("unknown fields of the peer", hex.EncodeToString(got.unknown), ""))
}

func isSubset(some, all []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(all, s) })
}

// addrs renders addresses as the vectors write them, sorted. The same address
// must not be told twice; a live address and the recorded one that stands for
// it are one.
func (j judge) addrs(raw [][]byte) ([]string, error) {
	var all, literal []string
	for _, b := range raw {
		a, err := multiaddr.NewMultiaddrBytes(b)
		if err != nil {
			return nil, fmt.Errorf("address %x: %w", b, err)
		}
		s := a.String()
		if slices.Contains(literal, s) {
			return nil, fmt.Errorf("address %s is told twice", s)
		}
		literal = append(literal, s)
		if r, ok := j.recorded[s]; ok {
			s = r
		}
		all = append(all, s)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

func (j judge) record(w *shape, m message, got outcome, before *time.Time) error {
	if (m.record != nil) != w.HasRecord {
		return fmt.Errorf("record present: %v, want %v", m.record != nil, w.HasRecord)
	}
	if m.record == nil {
		return nil
	}
	return errors.Join(
		equal("record key", hex.EncodeToString(m.record.key), w.RecordKeyHex),
		equal("record value", hex.EncodeToString(m.record.value), w.RecordValueHex),
		equal("unknown fields of the record", hex.EncodeToString(m.record.unknown), w.RecordUnknownHex),
		j.time(w.RecordTime, string(m.record.time), got, before))
}

// time judges the time of receipt: RFC 3339 in UTC, nanoseconds without
// trailing zeros, within a minute of now (wire.md §3).
func (j judge) time(want, got string, o outcome, before *time.Time) error {
	if want == "absent" {
		return equal("time of receipt", got, "")
	}
	at, err := time.Parse(time.RFC3339Nano, got)
	if err != nil {
		return fmt.Errorf("time of receipt: %w", err)
	}
	last := *before
	*before = at
	now := j.now
	if now.IsZero() {
		now = o.at
	}
	if age := now.Sub(at); age < -time.Minute || age > time.Minute {
		return fmt.Errorf("time of receipt %s is not within a minute of %s", got, now.UTC().Format(time.RFC3339Nano))
	}
	if at.UTC().Format(time.RFC3339Nano) != got {
		return fmt.Errorf("time of receipt %q is not RFC 3339 in UTC with trailing zeros dropped", got)
	}
	switch want {
	case "now":
		return nil
	case "now, later than in the answer before":
		if last.IsZero() || !at.After(last) {
			return fmt.Errorf("time of receipt %s is not later than %s", got, last)
		}
		return nil
	case "now, as in the answer before":
		if !at.Equal(last) {
			return fmt.Errorf("time of receipt %s, before it was %s", got, last)
		}
		return nil
	}
	return fmt.Errorf("BUG: vectors want time of receipt %q", want)
}

func (j judge) ids(peers []peerInfo) []string {
	all := make([]string, len(peers))
	for i, p := range peers {
		all[i] = idText(p.id)
	}
	return all
}

// idText is the text form of a raw peer id, or its hex if it is none.
func idText(raw []byte) string {
	id, err := peer.IDFromBytes(raw)
	if err != nil {
		return hex.EncodeToString(raw)
	}
	return id.String()
}

// distance is SHA-256(key) XOR SHA-256(id) (wire.md §4).
func distance(key, id []byte) (d [sha256.Size]byte) {
	a, b := sha256.Sum256(key), sha256.Sum256(id)
	for i := range d {
		d[i] = a[i] ^ b[i]
	}
	return d
}
