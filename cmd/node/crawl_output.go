package main

import (
	"bufio"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"text/tabwriter"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/live"
	"github.com/kdht/kdht/cmd/node/internal/picture"
	"github.com/kdht/kdht/routing/crawl"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"github.com/schollz/progressbar/v3"
)

const (
	// maxAgents bounds how many programs are told apart, maxAgent what is kept of a name, in bytes.
	maxAgents, maxAgent = 1000, 64
	// shownAgents is how many the summary lists.
	shownAgents = 15
)

// crawlOutput is what becomes of the visits of a crawl.
//
// Invariant: it keeps a few words for each peer that was visited, and nothing else of what peers say but the names of programs.
type crawlOutput struct {
	app     *app
	edges   bool
	network string
	agent   func(peer.ID) string

	csv          *csv.Writer
	file         *os.File
	pictureTo    string
	picture      *picture.Picture
	numbers      map[peer.ID]int32 // in the picture
	agents       map[string]int
	failures     map[string]int
	firstFailure string
	tables       []int // sizes
	bar          *progressbar.ProgressBar
}

func (a *app) crawlOutput(f *crawlFlags, cfg *live.Config) (*crawlOutput, error) {
	o := &crawlOutput{
		app: a, edges: f.edges, network: string(cfg.Network), agents: make(map[string]int), failures: make(map[string]int),
		pictureTo: f.picture, bar: a.crawlBar(), firstFailure: "none was asked",
	}
	if f.csv != "" {
		var err error
		if o.file, err = create(f.csv); err != nil {
			return nil, err
		}
		o.csv = csv.NewWriter(bufio.NewWriter(o.file))
		_ = o.csv.Write([]string{"id", "answered", "whole", "neighbours", "requests", "agent", "error", "address"})
	}
	if f.picture != "" {
		o.picture, o.numbers = picture.New("a network, by its keyspace"), make(map[peer.ID]int32)
	}
	return o, nil
}

// crawledPeer is one visit as it is written.
type crawledPeer struct {
	control.Peer
	Agent      string   `json:"agent,omitempty"`
	Answered   bool     `json:"answered"`
	Whole      bool     `json:"whole"`
	Error      string   `json:"error,omitempty"`
	Requests   int      `json:"requests"`
	Again      bool     `json:"again,omitempty"`
	Table      int      `json:"table"`
	Neighbours []string `json:"neighbours,omitempty"`
}

// visit takes what came of asking one peer.
func (o *crawlOutput) visit(v crawl.Visit) {
	p := o.peer(&v)
	o.count(&v, &p)
	if o.picture != nil {
		o.draw(&v)
	}
	if o.csv != nil {
		addr := ""
		if len(p.Addrs) > 0 {
			addr = p.Addrs[0]
		}
		_ = o.csv.Write([]string{p.ID, strconv.FormatBool(p.Answered), strconv.FormatBool(p.Whole), strconv.Itoa(p.Table), strconv.Itoa(p.Requests), p.Agent, p.Error, addr})
	}
	if o.app.json {
		_ = writeJSON(o.app.stdout, map[string]any{"peer": p})
	}
	if o.bar != nil {
		o.bar.Describe(fmt.Sprintf("%d peers, %d answered, %d to go, %d requests", v.SoFar.Known, v.SoFar.Answered, v.SoFar.Waiting, v.SoFar.Requests))
		_ = o.bar.Set(v.SoFar.Visits)
	}
}

func (o *crawlOutput) peer(v *crawl.Visit) crawledPeer {
	p := crawledPeer{
		Peer: control.Peer{ID: v.Peer.ID.String(), Addrs: []string{}}, Answered: v.Answered, Whole: v.Whole, Requests: v.Requests, Again: v.Again,
		Table: len(v.Neighbours), Agent: cleanCell(o.agent(v.Peer.ID)),
	}
	if v.Err != nil {
		p.Error = live.Cause(v.Err)
	}
	for _, raw := range v.Peer.Addrs {
		if a, err := multiaddr.NewMultiaddrBytes(raw); err == nil {
			p.Addrs = append(p.Addrs, control.Clean(a.String()))
		}
	}
	if o.edges {
		for _, n := range v.Neighbours {
			p.Neighbours = append(p.Neighbours, n.String())
		}
	}
	return p
}

// cleanCell makes what a peer calls itself fit for a line, and for a spreadsheet, to which some beginnings mean a formula.
func cleanCell(text string) string {
	if len(text) > maxAgent {
		text = text[:maxAgent]
	}
	text = control.Clean(text)
	if text != "" && slices.Contains([]byte("=+-@"), text[0]) {
		text = "'" + text
	}
	return text
}

func (o *crawlOutput) count(v *crawl.Visit, p *crawledPeer) {
	if !v.Answered {
		if len(o.failures) == 0 {
			o.firstFailure = p.Error
		}
		o.failures[p.Error]++
		return
	}
	o.tables = append(o.tables, len(v.Neighbours))
	agent := cmp.Or(p.Agent, "(says nothing)")
	if _, known := o.agents[agent]; !known && len(o.agents) >= maxAgents {
		agent = "(others)"
	}
	o.agents[agent]++
}

func (o *crawlOutput) draw(v *crawl.Visit) {
	from := o.number(v.Peer.ID)
	if v.Answered {
		o.picture.Answered(from)
	}
	for _, n := range v.Neighbours {
		o.picture.Edge(from, o.number(n))
	}
}

func (o *crawlOutput) number(p peer.ID) int32 {
	n, ok := o.numbers[p]
	if !ok {
		n = o.picture.Peer(placeOf(p), false)
		o.numbers[p] = n
	}
	return n
}

// end takes the bar away.
func (o *crawlOutput) end() {
	if o.bar != nil {
		_ = o.bar.Clear()
		o.bar = nil
	}
}

// files finishes the files that were asked for.
func (o *crawlOutput) files() error {
	var err error
	if o.csv != nil {
		o.csv.Flush()
		err = errors.Join(o.csv.Error(), o.file.Close())
		o.csv, o.file = nil, nil
	}
	if o.picture != nil {
		file, made := create(o.pictureTo)
		if made != nil {
			return made
		}
		err = errors.Join(err, o.picture.Write(file), file.Close())
	}
	if err != nil {
		return control.Errorf(control.Failed, "cannot write the files: %s", control.Line(err))
	}
	return nil
}

func (o *crawlOutput) close() {
	o.end()
	if o.file != nil {
		_ = o.file.Close()
	}
}

// crawlSummary is what a crawl found in all.
type crawlSummary struct {
	Ended    crawl.End      `json:"ended"`
	Peers    int            `json:"peers"`
	Answered int            `json:"answered"`
	Silent   int            `json:"not_answered"`
	NotAsked int            `json:"not_asked"`
	Requests int            `json:"requests"`
	Dials    int            `json:"dials"`
	Members  int            `json:"table_members"`
	Tables   map[string]int `json:"tables"` // their sizes: least, median, most
	Agents   map[string]int `json:"agents"`
	Failures map[string]int `json:"failures"`
	Millis   float64        `json:"duration_ms"`
}

func (o *crawlOutput) summary(r crawl.Result) *crawlSummary {
	s := &crawlSummary{
		Ended: r.End, Peers: r.Known, Answered: r.Answered, Silent: r.Known - r.Answered - r.Waiting, NotAsked: r.Waiting,
		Requests: r.Requests, Dials: r.Visits, Members: r.Edges, Agents: o.agents, Failures: o.failures, Millis: control.Millis(r.Took), Tables: map[string]int{},
	}
	if slices.Sort(o.tables); len(o.tables) > 0 {
		s.Tables = map[string]int{"least": o.tables[0], "median": o.tables[len(o.tables)/2], "most": o.tables[len(o.tables)-1]}
	}
	return s
}

var endings = map[crawl.End]string{
	crawl.Whole:       "the whole network, as far as it can be heard of",
	crawl.OutOfTime:   "the time was over: give more with --timeout",
	crawl.OutOfBudget: "the budget was used up: give more with --max-requests or --max-dials",
}

func (s *crawlSummary) write(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "ended\t%s\n", endings[s.Ended])
	fmt.Fprintf(tw, "peers\t%d: %d answered, %d did not, %d were not asked\n", s.Peers, s.Answered, s.Silent, s.NotAsked)
	fmt.Fprintf(tw, "tables\t%d members in all; of one %d to %d, median %d\n", s.Members, s.Tables["least"], s.Tables["most"], s.Tables["median"])
	fmt.Fprintf(tw, "took\t%s, %s, %s\n", count(s.Requests, "request"), count(s.Dials, "dial"), millis(s.Millis))
	for _, list := range []struct {
		name string
		of   map[string]int
	}{{"agents", s.Agents}, {"failures", s.Failures}} {
		for i, name := range most(list.of) {
			fmt.Fprintf(tw, "%s\t%d  %s\n", []string{list.name, ""}[min(i, 1)], list.of[name], name)
		}
	}
	tw.Flush()
}

// most returns the names with the greatest counts.
func most(counts map[string]int) []string {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	return names[:min(len(names), shownAgents)]
}
