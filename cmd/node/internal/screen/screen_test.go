package screen

import (
	"bytes"
	"strings"
	"testing"
)

// What is drawn second stands where the first was; what does not fit is cut, colors kept whole.
func TestDraw(t *testing.T) {
	var out bytes.Buffer
	s := &Screen{W: &out, Width: 5, Height: 4}
	s.Draw([]string{"a", "\x1b[31mredder\x1b[0m"})
	if got, want := out.String(), "\r\x1b[Ja\r\n\x1b[31mredde\x1b[0m\r\n"; got != want {
		t.Errorf("first: %q, want %q", got, want)
	}
	out.Reset()
	s.Draw([]string{"1", "2", "3", "4", "5"})
	if got, want := out.String(), "\x1b[2A\r\x1b[J3\r\n4\r\n5\r\n"; got != want {
		t.Errorf("second: %q, want %q", got, want)
	}
	out.Reset()
	s.Draw(nil)
	if !strings.HasPrefix(out.String(), "\x1b[3A") {
		t.Errorf("third: %q", out.String())
	}
}
