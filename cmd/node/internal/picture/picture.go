// Package picture draws a network that was crawled, as an SVG of its own: everybody on a circle, at the angle of its place in the
// keyspace, with lines to some of whom its table names.
//
//	p := picture.New("36 peers of /kdht/kad/1.0.0")
//	i := p.Peer(place, true)
//	p.Edge(i, j)
//	err := p.Write(w)
//
// The invariant: a picture takes bounded room, and no text in it comes from peers.
package picture

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"math"
)

const (
	// maxEdges bounds the lines: more make a grey disc.
	maxEdges = 6000
	// maxPeers bounds the dots.
	maxPeers = 20_000
	size     = 1000
	radius   = 450
)

// Picture is a network to be drawn.
type Picture struct {
	title string
	peers []dot
	edges [][2]int32
	seen  uint64 // edges, the ones left out too
	draw  uint64 // state of the generator that chooses among them
}

type dot struct {
	angle    float64
	answered bool
}

// New returns an empty picture.
func New(title string) *Picture { return &Picture{title: title, draw: 1} }

// Peer adds a peer at a place in the keyspace, given by its first 32 bits, and returns its number.
func (p *Picture) Peer(place uint32, answered bool) int32 {
	p.peers = append(p.peers, dot{float64(place) / (1 << 32) * 2 * math.Pi, answered})
	return int32(len(p.peers) - 1)
}

// Answered says that a peer which was added before has answered.
func (p *Picture) Answered(n int32) { p.peers[n].answered = true }

// Edge adds that the table of one names the other. If there are too many, each has the same chance of being drawn.
func (p *Picture) Edge(from, to int32) {
	p.seen++
	if len(p.edges) < maxEdges {
		p.edges = append(p.edges, [2]int32{from, to})
		return
	}
	p.draw ^= p.draw << 13
	p.draw ^= p.draw >> 7
	p.draw ^= p.draw << 17
	if i := p.draw % p.seen; i < maxEdges {
		p.edges[i] = [2]int32{from, to}
	}
}

const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-labelledby="t">
<title id="t">%s</title>
<style>
svg{background:#fff;color:#1b2733;font:16px ui-sans-serif,Helvetica,Arial,sans-serif}
text{fill:#1b2733}.e{stroke:#7a8a99;stroke-opacity:.18;fill:none}.a{fill:#0a7d55}.d{fill:#c2410c}
@media (prefers-color-scheme:dark){svg{background:#10161c}text{fill:#e6edf3}.e{stroke:#9fb3c8}.a{fill:#3ddc97}.d{fill:#ff8a5c}}
</style>
`

// Write draws it.
func (p *Picture) Write(to io.Writer) error {
	w := bufio.NewWriter(to)
	fmt.Fprintf(w, head, size, size+60, html.EscapeString(p.title))
	fmt.Fprint(w, `<path class="e" d="`)
	for _, e := range p.edges {
		if int(e[0]) < maxPeers && int(e[1]) < maxPeers {
			x1, y1 := p.at(e[0])
			x2, y2 := p.at(e[1])
			fmt.Fprintf(w, "M%.1f %.1fL%.1f %.1f", x1, y1, x2, y2)
		}
	}
	fmt.Fprintln(w, `"/>`)
	answered := 0
	for i, d := range p.peers {
		class := "d"
		if d.answered {
			class = "a"
			answered++
		}
		if i < maxPeers {
			x, y := p.at(int32(i))
			fmt.Fprintf(w, "<circle class=%q cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"/>\n", class, x, y, p.dot())
		}
	}
	fmt.Fprintf(w, "<text x=\"20\" y=\"%d\">%s</text>\n", size+20, html.EscapeString(p.title))
	fmt.Fprintf(w, "<text x=\"20\" y=\"%d\">%d answered (green), %d did not (orange); %d of %d members of tables drawn</text>\n</svg>\n",
		size+45, answered, len(p.peers)-answered, len(p.edges), p.seen)
	return w.Flush()
}

// dot is how large a dot is, so that they do not hide each other.
func (p *Picture) dot() float64 {
	return math.Max(1, math.Min(7, radius*math.Pi/float64(max(1, len(p.peers)))))
}

func (p *Picture) at(n int32) (x, y float64) {
	sin, cos := math.Sincos(p.peers[n].angle)
	return size/2 + radius*sin, size/2 - radius*cos
}
