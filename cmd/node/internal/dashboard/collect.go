package dashboard

import (
	"context"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/routing/kademlia"
)

// How often things are looked at, in ticks where nothing else is said.
const (
	tick         = 2 * time.Second
	flush        = 200 * time.Millisecond // of a lookup's steps
	peersEvery   = 2
	recordsEvery = 5
)

// Bounds on rows.
const (
	maxMembers = 2000 // of the table, one by one
	maxLimited = 200
	maxPeers   = 500
	maxRecords = 200
	maxScanned = 5000
)

// statusView is who the node is and how it is.
type statusView struct {
	*control.Status
	Now        int64  `json:"now"`
	Size       int    `json:"size"`
	Samples    int    `json:"samples"`
	Operations int    `json:"operations"`
	Hints      []Hint `json:"hints"`
}

// tableView is the routing table.
type tableView struct {
	Buckets []bucketView `json:"buckets"`
	Members int          `json:"members"`
	Shown   int          `json:"shown"` // one by one
}

// bucketView is one bucket: members are those heard of longest ago first.
type bucketView struct {
	Prefix    int          `json:"prefix"`
	Room      int          `json:"room"`
	Refreshed int64        `json:"refreshed"`
	Members   []memberView `json:"members"`
	Waiting   []string     `json:"waiting"`
}

// memberView is one member; which of those are stale the page says, as time goes by.
type memberView struct {
	ID        string  `json:"id"`
	Seen      int64   `json:"seen"`
	Added     int64   `json:"added"`
	Probing   bool    `json:"probing,omitempty"`
	Doubted   bool    `json:"doubted,omitempty"`
	Connected bool    `json:"connected,omitempty"`
	Took      float64 `json:"took_ms,omitempty"`
}

// recordsView is what is kept.
type recordsView struct {
	RecordRows
	Values     int           `json:"values"`
	Bytes      int64         `json:"bytes"`
	Providers  int           `json:"providers"`
	Providing  int           `json:"providing"`
	Publishing int           `json:"publishing"`
	Disk       *control.Disk `json:"disk,omitempty"`
	Dir        string        `json:"dir"`
}

// collector looks at the node. Its fields belong to the one collect that runs.
type collector struct {
	source  Source
	hub     *hub
	lookups *recorder
	traffic traffic
	disk    *control.Disk
}

// collect looks at the node until ctx ends.
func (c *collector) collect(ctx context.Context) {
	stop, err := c.source.WatchLookups(c.lookups.add)
	if err == nil {
		defer c.lookups.stopped()
		defer stop()
	}
	steps := make(chan struct{})
	go func() {
		defer close(steps)
		c.passOn(ctx)
	}()
	defer func() { <-steps }()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for n := 0; ; n++ {
		c.look(ctx, n)
		if !rest(ctx, ticker.C) {
			return
		}
	}
}

// passOn tells the steps of lookups, a handful at a time.
func (c *collector) passOn(ctx context.Context) {
	pause := time.NewTimer(flush)
	defer pause.Stop()
	for {
		select {
		case <-c.lookups.wake:
		case <-ctx.Done():
			return
		}
		pause.Reset(flush)
		if !rest(ctx, pause.C) {
			return
		}
		c.hub.say(func() event {
			if news := c.lookups.news(); len(news) > 0 {
				return newEvent("lookups", news)
			}
			return nil
		})
	}
}

// look is one turn.
func (c *collector) look(ctx context.Context, n int) {
	now := time.Now()
	stats := c.source.Stats()
	buckets := c.source.Buckets()
	c.traffic.add(read(now, &stats, c.source.Latencies()))
	size, samples := c.source.Size()
	if n%recordsEvery == 0 {
		c.records(ctx, &stats)
	}
	f := &facts{now: now, stats: &stats, buckets: buckets, size: size}
	if t, err := c.source.Throttle(ctx, control.ThrottleRequest{Count: maxLimited}); err == nil {
		f.held = len(t.Limited)
		c.hub.update("throttle", t)
	}
	c.status(ctx, f, samples)
	c.hub.update("table", c.table(buckets))
	c.hub.update("traffic", c.traffic.view(&stats))
	if n%peersEvery == 0 {
		rows, total := c.source.PeerRows(maxPeers)
		c.hub.update("peers", map[string]any{"rows": rows, "total": total})
	}
	if len(c.traffic.readings) > 1 {
		c.point(now, &stats, size)
	}
}

func (c *collector) status(ctx context.Context, f *facts, samples int) {
	s, err := c.source.Status(ctx)
	if err != nil {
		return
	}
	f.status, f.terms, f.disk = s, c.source.Terms(), c.disk
	f.asked, f.failed = c.traffic.lately()
	now, then := c.traffic.last(), c.traffic.since(smooth)
	for i := range now.in {
		f.refused += per(now, then, now.in[i].bad-then.in[i].bad)
	}
	c.hub.update("status", statusView{Status: s, Now: millis(f.now), Size: f.size, Samples: samples, Operations: f.stats.Operations, Hints: hints(f)})
}

// point tells one moment of the charts.
func (c *collector) point(now time.Time, s *routing.Stats, size int) {
	in, out, bad := c.traffic.rates()
	p := point{float64(millis(now)), in, out, bad, float64(size), float64(s.Table), float64(s.Connected), float64(s.Load.Busy)}
	c.hub.say(func() event {
		c.traffic.mark(p)
		return newEvent("point", p)
	})
}

func (c *collector) table(buckets []kademlia.BucketInfo) tableView {
	connected := c.source.Connected()
	v := tableView{Buckets: []bucketView{}}
	for _, b := range buckets {
		out := bucketView{Prefix: b.Prefix, Room: b.Room, Refreshed: millis(b.Refreshed), Members: []memberView{}, Waiting: []string{}}
		v.Members += len(b.Peers)
		for _, e := range b.Peers {
			if v.Shown == maxMembers {
				break
			}
			v.Shown++
			id := e.Contact.ID.String()
			out.Members = append(out.Members, memberView{
				ID: id, Seen: millis(e.Seen), Added: millis(e.Added), Probing: e.Probing, Doubted: e.Doubted,
				Connected: connected[id], Took: float64(e.Took.Microseconds()) / 1000,
			})
		}
		for _, w := range b.Waiting {
			out.Waiting = append(out.Waiting, w.ID.String())
		}
		v.Buckets = append(v.Buckets, out)
	}
	return v
}

func (c *collector) records(ctx context.Context, s *routing.Stats) {
	rows, err := c.source.RecordRows(ctx, maxRecords, maxScanned)
	if err != nil {
		return
	}
	v := recordsView{
		RecordRows: rows, Values: s.Stored.Values, Bytes: s.Stored.ValueBytes, Providers: s.Stored.Providers,
		Providing: s.Stored.Providing, Publishing: s.Stored.Publishing,
	}
	v.Dir, v.Disk = c.source.Files()
	c.disk = v.Disk
	c.hub.update("records", v)
}
