package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode"

	"github.com/kdht/kdht/cmd/node/internal/spelling"
	"github.com/kdht/kdht/routing/sim"
	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

const (
	// MaxFile bounds a file's size.
	MaxFile = 64 << 10
	// MostSeeds bounds the runs of one scenario.
	MostSeeds = 1000
	// longestSummary bounds a summary, so that a list of them fits a terminal.
	longestSummary = 90
	longestWhy     = 4 << 10
)

// Parse reads a scenario. Every error is one line that begins with the file's name
// and, where it stands on one, the line's number.
func Parse(name string, text []byte) (*Scenario, error) {
	if len(text) > MaxFile {
		return nil, fmt.Errorf("%s: more than %d KiB: no scenario is so long", name, MaxFile>>10)
	}
	p := parsing{name: name, places: placesOf(text)}
	var f file
	if err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(&f); err != nil {
		return nil, p.explain(err)
	}
	if err := p.ranges(&f); err != nil {
		return nil, err
	}
	s := &Scenario{Name: nameOf(name), Summary: f.Summary, Why: strings.TrimSpace(f.Why), Seeds: max(1, f.Seeds)}
	copyTo(reflect.ValueOf(&s.Config).Elem(), reflect.ValueOf(f))
	filled, err := fill(s.Config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	s.Config.Nodes = filled.Nodes // to be told, and scaled
	if s.Expect, err = p.expect(f.Expect, &s.Config); err != nil {
		return nil, err
	}
	if err := p.about(&f); err != nil {
		return nil, err
	}
	return s, nil
}

// parsing is a file being read.
type parsing struct {
	name   string
	places map[string]place // of keys, as far as the document could be read
}

// at is an error about a key.
func (p *parsing) at(path, format string, args ...any) error {
	where := p.name
	if line := p.places[path].line; line > 0 {
		where = fmt.Sprintf("%s:%d", p.name, line)
	}
	return fmt.Errorf("%s: %s: %s", where, legible(path), fmt.Sprintf(format, args...))
}

// ranges checks every value that was given.
func (p *parsing) ranges(f *file) (err error) {
	fields(reflect.ValueOf(*f), "", func(path string, v reflect.Value, k key) {
		var x float64
		switch {
		case err != nil || k.least == k.most:
			return
		case v.Type() == reflect.TypeFor[duration]():
			x = v.Interface().(duration).Hours()
		case v.CanInt():
			x = float64(v.Int())
		case v.CanFloat():
			x = v.Float()
		}
		if !(x >= k.least && x <= k.most) {
			err = p.at(path, "give %s", k.wants())
		}
	})
	return err
}

// about checks what is said for people.
func (p *parsing) about(f *file) error {
	switch {
	case f.Summary == "" || len(f.Summary) > longestSummary || strings.ContainsFunc(f.Summary, unprintable):
		return p.at("summary", "say in one line of at most %d bytes what happens here", longestSummary)
	case len(f.Why) > longestWhy || strings.ContainsFunc(f.Why, func(r rune) bool { return r != '\n' && unprintable(r) }):
		return p.at("why", "give at most %d bytes of text", longestWhy)
	}
	return nil
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// expect reads the bounds.
func (p *parsing) expect(texts map[string]string, c *sim.Config) ([]Bound, error) {
	var all []Bound
	for _, figure := range sorted(texts) {
		path := "expect." + figure
		if _, known := figureKinds[figure]; !known {
			return nil, p.at(path, "a report has no such figure%s", spelling.DidYouMean(figure, sorted(figureKinds)))
		}
		b, err := parseBound(figure, texts[figure])
		if err != nil {
			return nil, p.at(path, "%v", err)
		}
		if !c.Compare && (b.Than == baselineRun || strings.HasPrefix(figure, baselinePrefix)) {
			return nil, p.at(path, "there is no baseline without compare = true above the first table")
		}
		all = append(all, b)
	}
	return all, nil
}

// explain says in the words of the format what the decoder found.
func (p *parsing) explain(err error) error {
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) && len(unknown.Errors) > 0 {
		e := &unknown.Errors[0]
		line, _ := e.Position()
		return fmt.Errorf("%s:%d: there is no key %s%s", p.name, line, legible(strings.Join(e.Key(), ".")), suggest(e.Key()))
	}
	var wrong *toml.DecodeError
	if !errors.As(err, &wrong) {
		return p.bareNumber(err)
	}
	line, _ := wrong.Position()
	path, message := strings.Join(wrong.Key(), "."), strings.TrimPrefix(wrong.Error(), "toml: ")
	if k, known := keys[path]; known && !strings.Contains(message, "already") { // given twice
		return fmt.Errorf("%s:%d: %s: give %s", p.name, line, path, k.wants())
	}
	return fmt.Errorf("%s:%d: %s", p.name, line, legible(message))
}

// bareNumber finds what the decoder has no place for: a duration without a unit.
func (p *parsing) bareNumber(err error) error {
	for _, path := range sorted(p.places) {
		if k := keys[path]; k.kind == aDuration && p.places[path].kind != unstable.String {
			return p.at(path, "give %s", k.wants())
		}
	}
	return fmt.Errorf("%s: %s", p.name, legible(strings.TrimPrefix(err.Error(), "toml: ")))
}

// suggest names the key that may have been meant: one of the same table, or one of
// the same name elsewhere.
func suggest(path []string) string {
	name := path[len(path)-1]
	table := strings.Join(path[:len(path)-1], ".")
	var here, elsewhere []string
	for _, k := range sorted(keys) {
		in, last := "", k
		if i := strings.LastIndexByte(k, '.'); i >= 0 {
			in, last = k[:i], k[i+1:]
		}
		switch {
		case in == table:
			here = append(here, last)
		case last == name:
			elsewhere = append(elsewhere, k)
		}
	}
	if near := spelling.DidYouMean(name, here); near != "" || len(elsewhere) == 0 {
		return near
	}
	return ", did you mean " + elsewhere[0] + "?"
}

// legible makes text that may hold a stranger's bytes fit to be shown on a line.
func legible(text string) string {
	text = strings.Map(func(r rune) rune {
		if unprintable(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
	if short := []rune(text); len(short) > 200 {
		return string(short[:200]) + "…"
	}
	return text
}
