package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/input"
	"github.com/kdht/kdht/cmd/node/internal/live"
	"github.com/kdht/kdht/cmd/node/internal/overlay"
	"github.com/kdht/kdht/protocol/keyspace"
)

// show is what dev shows: each step fails if it does not find what it should.
type show struct {
	app     *app
	overlay *overlay.Overlay
	file    string
}

func (s *show) run(ctx context.Context) error {
	n := len(s.overlay.Nodes)
	known := 0
	for _, node := range s.overlay.Nodes {
		known += node.Peers()
	}
	s.say(map[string]any{"step": "up", "nodes": n, "known": known}, "%d nodes are up on loopback, each knows %d others on average.", n, (known+n/2)/n)
	if err := s.value(ctx); err != nil {
		return err
	}
	return s.provider(ctx)
}

// value stores a value and finds it again.
func (s *show) value(ctx context.Context) error {
	from := s.node(1)
	value := []byte("hello from " + from.ID().String() + "\n")
	stored, err := from.Put(ctx, control.PutRequest{Value: value}, nil)
	if err != nil {
		return err
	}
	key := input.ShowKey(stored.Key)
	s.say(map[string]any{"step": "stored", "report": stored.Report, "key": key, "by": from.ID().String()},
		"\n1. Node %s stores %s\n   under %s\n   %s", s.name(from), count(len(value), "byte"), key, s.where("stored", stored.Report))
	reader := s.stranger(stored.Key, from, stored.Report.Holders)
	s.say(nil, "\n2. Node %s looks for it:", s.name(reader))
	got, err := reader.Get(ctx, control.GetRequest{Key: stored.Key, Quorum: enough(stored.Key)}, s.hop)
	if err != nil {
		return err
	}
	if string(got.Value) != string(value) {
		return control.Errorf(control.Failed, "the value found is not the one that was stored")
	}
	s.say(map[string]any{"step": "found", "report": got.Report, "key": key, "from": reader.ID().String()},
		"   found in %s, %s: %q", count(got.Report.Hops, "hop"), millis(got.Report.Millis), strings.TrimSpace(string(got.Value)))
	return nil
}

// provider announces a file and finds who has it.
func (s *show) provider(ctx context.Context) error {
	from := s.node(2)
	file, err := os.Open(s.file)
	if err != nil {
		return control.Errorf(control.Usage, "cannot read the file to announce: %v; give another with --file", err)
	}
	defer file.Close()
	c, err := input.Sum(file)
	if err != nil {
		return err
	}
	told, err := from.Provide(ctx, control.ProvideRequest{CID: c.String()}, nil)
	if err != nil {
		return err
	}
	s.say(map[string]any{"step": "provided", "report": told.Report, "cid": c.String(), "file": s.file, "by": from.ID().String()},
		"\n3. Node %s announces that it has %s\n   as %s\n   %s", s.name(from), filepath.Base(s.file), c, s.where("announced", told.Report))
	reader := s.stranger(c.Hash(), from, told.Report.Holders)
	s.say(nil, "\n4. Node %s looks for who has it:", s.name(reader))
	var found []control.Peer
	list, err := reader.FindProviders(ctx, control.ProvidersRequest{CID: c.String(), Count: 1}, func(e control.Event) {
		if e.Provider != nil {
			found = append(found, *e.Provider)
		}
		s.hop(e)
	})
	if err != nil {
		return err
	}
	i := slices.IndexFunc(found, func(p control.Peer) bool { return p.ID == from.ID().String() && len(p.Addrs) > 0 })
	if i < 0 {
		return control.Errorf(control.NotFound, "the provider was not found: %d others were", len(found))
	}
	s.say(map[string]any{"step": "provider-found", "report": list.Report, "cid": c.String(), "provider": found[i], "from": reader.ID().String()},
		"   found in %s, %s: node %s has it, at %s", count(list.Report.Hops, "hop"), millis(list.Report.Millis), s.name(from), full(found[i])[0])
	return nil
}

// node returns the i-th node, counted around.
func (s *show) node(i int) *live.Node { return s.overlay.Nodes[i%len(s.overlay.Nodes)] }

// stranger returns the node that is farthest from key among those that neither
// made nor hold the record, so that it has the longest way; if there is no such
// node, any that did not make it.
func (s *show) stranger(key []byte, maker *live.Node, holders []string) *live.Node {
	target := keyspace.KeyOf(key)
	var others, strangers []*live.Node
	for _, n := range s.overlay.Nodes {
		if n != maker {
			others = append(others, n)
			if !slices.Contains(holders, n.ID().String()) {
				strangers = append(strangers, n)
			}
		}
	}
	if len(strangers) == 0 {
		strangers = others
	}
	return slices.MaxFunc(strangers, func(a, b *live.Node) int {
		ka, kb := keyspace.KeyOf([]byte(a.ID())), keyspace.KeyOf([]byte(b.ID()))
		return keyspace.CompareDistance(&target, &ka, &kb)
	})
}

// name is how the show calls a node: by its number and the end of its id.
func (s *show) name(n *live.Node) string {
	return fmt.Sprintf("%d (%s)", slices.Index(s.overlay.Nodes, n)+1, short(n.ID().String()))
}

// where says who holds a record.
func (s *show) where(what string, r control.Report) string {
	var names []string
	for i, n := range s.overlay.Nodes {
		if slices.Contains(r.Holders, n.ID().String()) {
			names = append(names, fmt.Sprint(i+1))
		}
	}
	return fmt.Sprintf("%s on %s: %s (%s, %s)", what, count(len(r.Holders), "node"), strings.Join(names, ", "), count(r.Hops, "hop"), millis(r.Millis))
}

// hop shows one step of a lookup.
func (s *show) hop(e control.Event) {
	if h := e.Hop; h != nil && h.Step != "provider" {
		s.say(e, "   %7.1f ms  %s", h.Millis, s.numbered(h))
	}
}

// numbered is a hop's text with the peer's number.
func (s *show) numbered(h *control.Hop) string {
	for i, n := range s.overlay.Nodes {
		if n.ID().String() == h.Peer {
			return strings.Replace(hopText(h), short(h.Peer), fmt.Sprintf("node %d", i+1), 1)
		}
	}
	return hopText(h)
}

// say shows one thing: v with --json, nil being nothing, else the text.
func (s *show) say(v any, format string, args ...any) {
	if s.app.json && v == nil {
		return
	}
	_ = s.app.result(v, func(w io.Writer) { fmt.Fprintf(w, format+"\n", args...) })
}
