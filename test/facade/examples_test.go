package facade

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Every example program ends by itself, with status 0, and says what it is to
// show.
func TestExamplePrograms(t *testing.T) {
	for name, want := range map[string]string{
		"minimal":   `the first node has "stored by the second node"`,
		"embed":     "Alice is connected to Bob: true",
		"validator": "Ada's best score is 4711",
		"codec":     `the answer in CBOR: "kept as protobuf, read as CBOR"`,
		"chat":      "eve was heard by 2",
		"store":     `after a restart: "kept in a folder"`,
		"private":   "a stranger gets in: false",
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			out, err := exec.CommandContext(ctx, "go", "run", "../../examples/"+name).CombinedOutput()
			if err != nil || !strings.Contains(string(out), want) {
				t.Errorf("%v:\n%s\nwant %q", err, out, want)
			}
		})
	}
}
