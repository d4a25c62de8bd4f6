// Package docs runs the shell blocks of the documents, so that a command that a newcomer copies is one that works.
//
// Every fenced block of the language sh in a Markdown file of the repository says on a comment line before it whether it is run:
//
//	<!-- run -->                                             with bash -euo pipefail, within a minute
//	<!-- run timeout=3m prints="stored at [0-9]+ peers" -->  within three minutes; its output must match
//	<!-- run background until="listening on (\S+)" as=ADDR --> stays up until the end of the document; goes on when the output
//	                                                         matches; ADDR in later blocks stands for what the group caught
//	<!-- not run: needs a public address -->                 and why
//
// The blocks of one document run in their order, in one copy of the repository and with a home folder of their own. Blocks are
// run when KDHT_DOCS is 1; that each says whether it is run is checked always.
package docs

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Block is one shell block of a document.
type Block struct {
	Line int // of its first line, from 1
	Text string
	Mark Mark
}

// Mark is what the comment before a block says.
type Mark struct {
	Run        bool
	Why        string // why it is not run
	Timeout    time.Duration
	Prints     *regexp.Regexp // nil: any output will do
	Background bool
	Until      *regexp.Regexp
	As         string
}

const defaultTimeout = time.Minute

// Parse finds the shell blocks of a Markdown document. A shell block without a mark, or with one that cannot be read, is an error
// that names its line.
func Parse(text string) ([]Block, error) {
	var p parser
	for i, line := range strings.Split(text, "\n") {
		if err := p.line(i+1, line); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	if p.fence != "" {
		return nil, fmt.Errorf("the last block is not closed")
	}
	return p.blocks, nil
}

type parser struct {
	blocks []Block
	mark   string // the last comment, while nothing but blank lines came after it
	fence  string // what opened the block that we are in, "" outside
	indent string // the white space before that fence
	block  *Block // the shell block that we are in, nil outside or in one of another language
}

func (p *parser) line(number int, line string) error {
	trimmed := strings.TrimSpace(line)
	switch {
	case p.fence != "":
		p.inside(line, trimmed)
	case strings.HasPrefix(trimmed, "```"), strings.HasPrefix(trimmed, "~~~"):
		return p.open(number, line, trimmed)
	case strings.HasPrefix(trimmed, "<!--"):
		p.mark = trimmed
	case trimmed != "":
		p.mark = ""
	}
	return nil
}

func (p *parser) inside(line, trimmed string) {
	if strings.HasPrefix(trimmed, p.fence) && strings.Trim(trimmed, p.fence[:1]) == "" {
		if p.block != nil {
			p.blocks = append(p.blocks, *p.block)
		}
		*p = parser{blocks: p.blocks}
		return
	}
	if p.block != nil {
		p.block.Text += strings.TrimPrefix(line, p.indent) + "\n"
	}
}

func (p *parser) open(number int, line, trimmed string) error {
	language := strings.TrimLeft(trimmed, trimmed[:1])
	p.fence = trimmed[:len(trimmed)-len(language)]
	p.indent = line[:strings.Index(line, p.fence)]
	if name, _, _ := strings.Cut(strings.TrimSpace(language), " "); name != "sh" && name != "bash" && name != "shell" {
		return nil
	}
	mark, err := parseMark(p.mark)
	p.block = &Block{Line: number + 1, Mark: mark}
	return err
}

var option = regexp.MustCompile(`^(\w+)(?:=("(?:[^"\\]|\\.)*"|\S+))?\s*`)

func parseMark(comment string) (Mark, error) {
	body, ok := strings.CutPrefix(comment, "<!--")
	body, closed := strings.CutSuffix(body, "-->")
	body = strings.TrimSpace(body)
	if why, is := strings.CutPrefix(body, "not run:"); is && closed {
		return Mark{Why: strings.TrimSpace(why)}, nil
	}
	rest, is := strings.CutPrefix(body, "run")
	if !ok || !closed || !is || rest != "" && rest[0] != ' ' {
		return Mark{}, fmt.Errorf("a shell block without a mark: put <!-- run --> or <!-- not run: why --> on the line before it")
	}
	m := Mark{Run: true, Timeout: defaultTimeout}
	for rest = strings.TrimSpace(rest); rest != ""; {
		found := option.FindStringSubmatch(rest)
		if found == nil {
			return Mark{}, fmt.Errorf("cannot read %q in a block's mark", rest)
		}
		if err := m.set(found[1], strings.Trim(found[2], `"`)); err != nil {
			return Mark{}, err
		}
		rest = rest[len(found[0]):]
	}
	if m.Background != (m.Until != nil) {
		return Mark{}, fmt.Errorf("a block's mark says background or until, but not both")
	}
	return m, nil
}

// set takes one option. Values are not unquoted further: a backslash in a pattern stands for itself.
func (m *Mark) set(name, value string) (err error) {
	switch name {
	case "timeout":
		m.Timeout, err = time.ParseDuration(value)
	case "prints":
		m.Prints, err = regexp.Compile(value)
	case "until":
		m.Until, err = regexp.Compile(value)
	case "background":
		m.Background = true
	case "as":
		m.As = value
	default:
		err = fmt.Errorf("unknown option (known: as, background, prints, timeout, until)")
	}
	if err != nil {
		return fmt.Errorf("%s in a block's mark: %w", name, err)
	}
	return nil
}
