package scenario

import (
	"embed"
	"fmt"
	"path"
	"strings"

	"github.com/kdht/kdht/cmd/node/internal/spelling"
)

//go:embed shipped/*.toml
var shipped embed.FS

// Names returns the scenarios that are shipped, in order.
func Names() []string {
	entries, err := shipped.ReadDir("shipped")
	if err != nil {
		panic("BUG: " + err.Error())
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = nameOf(e.Name())
	}
	return names
}

// Text returns the file of a scenario that is shipped.
func Text(name string) ([]byte, error) {
	text, err := shipped.ReadFile(path.Join("shipped", name+".toml"))
	if err != nil || strings.ContainsAny(name, `/\`) {
		near := spelling.DidYouMean(name, Names())
		if near == "" {
			near = fmt.Sprintf("; there are %s", strings.Join(Names(), ", "))
		}
		return nil, fmt.Errorf("there is no scenario %s%s", legible(fmt.Sprintf("%.40q", name)), near)
	}
	return text, nil
}

// Find returns a scenario that is shipped.
func Find(name string) (*Scenario, error) {
	text, err := Text(name)
	if err != nil {
		return nil, err
	}
	return Parse(name+".toml", text)
}
