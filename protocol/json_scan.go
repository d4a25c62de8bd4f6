package protocol

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math"
	"unicode/utf8"
)

// scanner reads JSON strictly, token by token. The first error sticks; from
// then on the input is at its end.
type scanner struct {
	b    []byte
	i    int
	err  error
	text []byte // room for what b does not hold as it is
}

// fail records what is wrong at the current byte.
func (s *scanner) fail(format string, args ...any) {
	if s.err == nil {
		what := fmt.Sprintf(format, args...)
		s.err = fmt.Errorf("protocol: decode json: byte %d: %s: %w", s.i, what, ErrMalformed)
		s.i = len(s.b)
	}
}

// peek skips white space and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return c
		}
	}
	return 0
}

// open takes c, which begins an object, array or string.
func (s *scanner) open(c byte) {
	if s.peek() != c {
		s.fail("expected %q", c)
		return
	}
	s.i++
}

// more reports whether another member follows and takes what is before it, or
// takes the end c.
func (s *scanner) more(c byte, first bool) bool {
	next := s.peek()
	if next == c {
		s.i++
		return false
	}
	if !first {
		s.open(',')
	}
	return s.err == nil
}

// end takes the end of the input.
func (s *scanner) end() {
	if s.peek() != 0 || s.i < len(s.b) {
		s.fail("something behind the message")
	}
}

// name takes the name of a member and its colon and returns its place among
// names, or -1. A name that seen holds already is refused.
func (s *scanner) name(names []string, seen *uint) int {
	raw := s.rawName()
	for i, name := range names {
		if string(raw) != name {
			continue
		}
		if *seen&(1<<i) != 0 {
			s.fail("second %q", name)
			return -1
		}
		*seen |= 1 << i
		return i
	}
	s.fail("no field %.40q here", raw)
	return -1
}

// rawName takes the name of a member and its colon.
func (s *scanner) rawName() []byte {
	raw := s.plain()
	s.open(':')
	return raw
}

// plain takes a string that must be written without escapes, as names are.
func (s *scanner) plain() []byte {
	s.open('"')
	n := bytes.IndexByte(s.b[s.i:], '"')
	if n < 0 {
		s.fail("a string that does not end")
		return nil
	}
	raw := s.b[s.i : s.i+n]
	if bytes.IndexByte(raw, '\\') >= 0 {
		s.fail("a name with escapes")
		return nil
	}
	s.i += n + 1
	return raw
}

// str takes a string. What has no escapes is borrowed.
func (s *scanner) str() []byte {
	s.open('"')
	start := s.i
	for ; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return s.b[start : s.i-1 : s.i-1]
		case c == '\\':
			return s.escaped(start)
		case c < ' ':
			s.fail("a control character in a string")
			return nil
		}
	}
	s.fail("a string that does not end")
	return nil
}

// escaped takes the rest of a string that began at start and whose first
// escape is here, and unescapes it.
func (s *scanner) escaped(start int) []byte {
	first := len(s.text)
	s.text = append(s.text, s.b[start:s.i]...)
	for s.i < len(s.b) {
		c := s.b[s.i]
		s.i++
		switch {
		case c == '"':
			return s.text[first:len(s.text):len(s.text)]
		case c == '\\':
			s.escape()
		case c < ' ':
			s.i--
			s.fail("a control character in a string")
		default:
			s.text = append(s.text, c)
		}
	}
	s.fail("a string that does not end")
	return nil
}

// escape takes what follows a backslash.
func (s *scanner) escape() {
	if s.i == len(s.b) {
		return
	}
	c := s.b[s.i]
	s.i++
	switch c {
	case '"', '\\', '/':
		s.text = append(s.text, c)
	case 'b':
		s.text = append(s.text, '\b')
	case 'f':
		s.text = append(s.text, '\f')
	case 'n':
		s.text = append(s.text, '\n')
	case 'r':
		s.text = append(s.text, '\r')
	case 't':
		s.text = append(s.text, '\t')
	case 'u':
		s.text = utf8.AppendRune(s.text, s.escapedRune())
	default:
		s.i--
		s.fail("no such escape")
	}
}

// escapedRune takes what follows \u, and the second half of a surrogate pair.
func (s *scanner) escapedRune() rune {
	c := s.hex4()
	if c < 0xd800 || c > 0xdfff {
		return c
	}
	if c < 0xdc00 && bytes.HasPrefix(s.b[s.i:], []byte(`\u`)) {
		s.i += 2
		if low := s.hex4(); low >= 0xdc00 && low <= 0xdfff {
			return 0x10000 + (c-0xd800)<<10 + (low - 0xdc00)
		}
	}
	s.fail("half a surrogate pair")
	return 0
}

// hex4 takes four hexadecimal digits.
func (s *scanner) hex4() (v rune) {
	if len(s.b)-s.i < 4 {
		s.fail("an escape that does not end")
		return 0
	}
	for range 4 {
		c := s.b[s.i]
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			s.fail("expected a hexadecimal digit")
			return 0
		}
		v = v<<4 | rune(c)
		s.i++
	}
	return v
}

// int32 takes a whole number.
func (s *scanner) int32() int32 {
	negative := s.peek() == '-'
	if negative {
		s.i++
	}
	start := s.i
	var v int64
	for ; s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9'; s.i++ {
		if v = v*10 + int64(s.b[s.i]-'0'); v > math.MaxInt32+1 {
			s.fail("a number above 32 bits")
			return 0
		}
	}
	if s.i == start || (s.b[start] == '0' && s.i > start+1) {
		s.fail("expected a whole number")
		return 0
	}
	if negative {
		v = -v
	}
	if v > math.MaxInt32 {
		s.fail("a number above 32 bits")
		return 0
	}
	return int32(v)
}

// enum takes a name or a number.
func (s *scanner) enum(names []string) int32 {
	if s.peek() != '"' {
		return s.int32()
	}
	name := s.plain()
	for i := range names {
		if names[i] == string(name) {
			return int32(i)
		}
	}
	s.fail("no such name: %.40q", name)
	return 0
}

// strictBase64 accepts exactly what AppendEncode of its lenient twin writes,
// but for line breaks.
var strictBase64 = base64.StdEncoding.Strict()

// base64 takes a string in base64, with padding.
func (s *scanner) base64() []byte {
	text := s.str()
	first := len(s.text)
	if bytes.ContainsAny(text, "\r\n") { // which the decoder would skip
		s.fail("a line break in base64")
		return nil
	}
	room, err := strictBase64.AppendDecode(s.text, text)
	if err != nil {
		s.fail("not base64: %v", err)
		return nil
	}
	s.text = room
	return room[first:len(room):len(room)]
}

// skip takes any value without checking it further than its end needs.
func (s *scanner) skip() {
	for depth := 0; s.i < len(s.b); {
		switch s.peek() {
		case '"':
			s.skipString()
		case '{', '[':
			depth++
			s.i++
		case '}', ']':
			if depth == 0 {
				return
			}
			depth--
			s.i++
		case ',':
			if depth == 0 {
				return
			}
			s.i++
		default:
			s.i++
		}
	}
}

// skipString takes a string without unescaping it.
func (s *scanner) skipString() {
	s.i++
	for s.i < len(s.b) {
		n := bytes.IndexByte(s.b[s.i:], '"')
		if n < 0 {
			break
		}
		end := s.i + n
		slashes := 0
		for end-slashes > s.i && s.b[end-1-slashes] == '\\' {
			slashes++
		}
		s.i = end + 1
		if slashes%2 == 0 {
			return
		}
	}
	s.fail("a string that does not end")
}
