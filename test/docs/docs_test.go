//go:build unix

package docs

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kdht/kdht/test/layout"
)

const root = "../.."

// documents returns the Markdown files of the repository, and all its files.
func documents(t *testing.T) (documents, files []string) {
	t.Helper()
	files, err := layout.Files(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, ".md") && !strings.Contains(name, "testdata/") {
			documents = append(documents, name)
		}
	}
	if len(documents) == 0 {
		t.Fatal("no Markdown file found: this check looks in the wrong place")
	}
	return documents, files
}

func blocksOf(t *testing.T, document string) []Block {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(document)))
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := Parse(string(text))
	if err != nil {
		t.Fatalf("%s: %v", document, err)
	}
	return blocks
}

func TestEveryShellBlockIsMarked(t *testing.T) {
	documents, _ := documents(t)
	for _, document := range documents {
		t.Run(document, func(t *testing.T) {
			for _, b := range blocksOf(t, document) {
				if !b.Mark.Run && b.Mark.Why == "" {
					t.Errorf("%s:%d: not run, and no reason given", document, b.Line)
				}
			}
		})
	}
}

func TestShellBlocksRun(t *testing.T) {
	if os.Getenv("KDHT_DOCS") != "1" {
		return // by design: a step of its own, see .ci/run
	}
	documents, files := documents(t)
	ran := 0
	for _, document := range documents {
		blocks := blocksOf(t, document)
		t.Run(document, func(t *testing.T) { ran += runAll(t, document, blocks, files) })
	}
	t.Logf("%d shell blocks ran", ran)
	if ran == 0 {
		t.Error("no document has a shell block that is run")
	}
}

// runAll runs a document's blocks in a copy of the repository, until the first one fails.
func runAll(t *testing.T, document string, blocks []Block, files []string) (ran int) {
	s := session(t)
	if err := Copy(root, s.Dir, files); err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		start := time.Now()
		if err := s.Run(t.Context(), b); err != nil {
			t.Fatalf("%s:%d: %v", document, b.Line, err)
		}
		if b.Mark.Run {
			ran++
			t.Logf("%s:%d: ok (%.1fs)", document, b.Line, time.Since(start).Seconds())
		}
	}
	return ran
}

func session(t *testing.T) *Session {
	t.Helper()
	dir := t.TempDir()
	env, err := Environment(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := &Session{Dir: filepath.Join(dir, "kdht"), Env: env}
	if err := os.Mkdir(s.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestParse(t *testing.T) {
	blocks, err := Parse(strings.Join([]string{
		"Words.",
		"<!-- run -->",
		"```sh",
		"echo a",
		"```",
		"<!-- not run: needs the moon -->",
		"",
		"1. In a list",
		"<!-- run timeout=3s prints=\"a b (\\d+)\" -->",
		"   ```sh",
		"   if true; then",
		"     echo b",
		"   fi",
		"   ```",
		"~~~json",
		"```sh",
		"~~~",
		"<!-- run background until=\"at (\\S+)\" as=ADDR -->",
		"",
		"````bash title",
		"```",
		"````",
	}, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(blocks) != 3 {
		t.Fatalf("%d blocks, want 3: %+v", len(blocks), blocks)
	}
	a, b, c := blocks[0], blocks[1], blocks[2]
	if a.Text != "echo a\n" || a.Line != 4 || !a.Mark.Run || a.Mark.Timeout != time.Minute {
		t.Errorf("first block: %+v", a)
	}
	if b.Text != "if true; then\n  echo b\nfi\n" || b.Mark.Timeout != 3*time.Second || b.Mark.Prints.String() != `a b (\d+)` {
		t.Errorf("second block: %+v", b)
	}
	if c.Text != "```\n" || !c.Mark.Background || c.Mark.Until.String() != `at (\S+)` || c.Mark.As != "ADDR" {
		t.Errorf("third block: %+v", c)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ text, problem string }{
		{"```sh\nls\n```", "line 1: a shell block without a mark"},
		{"<!-- run -->\nwords\n```sh\nls\n```", "line 3: a shell block without a mark"},
		{"<!-- running -->\n```sh\nls\n```", "without a mark"},
		{"<!-- run when=now -->\n```sh\nls\n```", "unknown option"},
		{"<!-- run timeout=long -->\n```sh\nls\n```", "timeout"},
		{"<!-- run prints=\"(\" -->\n```sh\nls\n```", "prints"},
		{"<!-- run background -->\n```sh\nls\n```", "but not both"},
		{"<!-- run -->\n```sh\nls\n", "not closed"},
	} {
		if _, err := Parse(c.text); err == nil || !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%q: %v, want %q", c.text, err, c.problem)
		}
	}
}

func TestSession(t *testing.T) {
	s := session(t)
	run := func(mark, text string) error {
		blocks, err := Parse("<!-- " + mark + " -->\n```sh\n" + text + "\n```")
		if err != nil {
			t.Fatal(err)
		}
		return s.Run(context.Background(), blocks[0])
	}
	for _, c := range []struct{ mark, text, problem string }{
		{"run", "touch here", ""},
		{"run", "test -f here; cd; test \"$PWD\" = \"$HOME\"", ""},
		{"run", "false; true", "exit status 1"},
		{"run", "false | true", "exit status 1"},
		{"not run: it would fail", "false", ""},
		{"run prints=\"^4[0-9]$\"", "printf 42", ""},
		{"run prints=\"^4[0-9]$\"", "echo 43 and more", "does not match"},
		{"run timeout=300ms", "cat /dev/null; sleep 60", "still running after 300ms"},
		{"run background until=\"at (.*)!\" as=ADDR", "echo at 127.0.0.1!; sleep 60", ""},
		{"run prints=\"^127.0.0.1\"", "echo ADDR", ""},
		{"run background until=\"never\"", "echo gone; exit 3", "ended before its output matched"},
	} {
		err := run(c.mark, c.text)
		if c.problem == "" && err != nil || c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)) {
			t.Errorf("%s %q: %v, want %q", c.mark, c.text, err, c.problem)
		}
	}
	background := s.running[0]
	s.Close()
	select {
	case <-background.ended:
	default:
		t.Error("a background block outlived its session")
	}
}
