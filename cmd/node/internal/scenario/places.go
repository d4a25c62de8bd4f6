package scenario

import (
	"bytes"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// place is where a key stands, and what its value is.
type place struct {
	line int
	kind unstable.Kind
}

// placesOf returns the places of the keys in a document, up to where it cannot be
// read.
func placesOf(text []byte) map[string]place {
	places := make(map[string]place)
	var p unstable.Parser
	p.Reset(text)
	table := ""
	for p.NextExpression() {
		e := p.Expression()
		if e.Kind != unstable.Table && e.Kind != unstable.KeyValue {
			continue
		}
		var path []string
		at := place{kind: e.Kind}
		for it := e.Key(); it.Next(); {
			path = append(path, string(it.Node().Data))
			at.line = 1 + bytes.Count(text[:it.Node().Raw.Offset], []byte("\n"))
		}
		name := strings.Join(path, ".")
		if e.Kind == unstable.Table {
			table = name
		} else {
			name = strings.TrimPrefix(table+"."+name, ".")
			at.kind = e.Value().Kind
		}
		places[name] = at
	}
	return places
}
