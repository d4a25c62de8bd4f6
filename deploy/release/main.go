// Command release makes what is released of the tree: for each system an archive with the
// program, its documents and, for Linux, its service unit; beside it a bill of materials
// (CycloneDX, of what the program itself says it is made of); and SHA256SUMS of them all.
//
//	go run ./deploy/release v1.2.3                  all systems, into dist/
//	go run ./deploy/release v1.2.3 linux/amd64      only this one
//
// It runs at the top of the repository. The same tree, version and Go make the same bytes:
// paths are left out of the program, and times are those of the commit, or what
// SOURCE_DATE_EPOCH says. Nothing is published.
package main

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// systems are those that a release is for.
var systems = []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"}

// Files of the tree that each archive holds, and those that one for Linux holds besides.
var (
	documents = []string{"LICENSE", "README.md", "docs/OPERATIONS.md", "docs/NETWORKS.md", "docs/TROUBLESHOOTING.md"}
	services  = []string{"deploy/systemd/kdht.service", "deploy/systemd/kdht.toml"}
)

var goodVersion = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$`)

func main() {
	dist := flag.String("dist", "dist", "`DIR` to put everything into")
	flag.Parse()
	if err := run(*dist, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// release is what all archives share.
type release struct {
	version string
	made    time.Time
	dist    string
	sums    []string // lines of SHA256SUMS
}

func run(dist string, args []string) error {
	if len(args) == 0 || !goodVersion.MatchString(args[0]) {
		return errors.New("give a version such as v1.2.3, and then systems, or none for all of " + strings.Join(systems, ", "))
	}
	made, err := moment()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dist, 0o755); err != nil {
		return err
	}
	r := &release{version: args[0], made: made, dist: dist}
	chosen := args[1:]
	if len(chosen) == 0 {
		chosen = systems
	}
	for _, system := range chosen {
		if err := r.release(system); err != nil {
			return fmt.Errorf("%s: %w", system, err)
		}
	}
	return os.WriteFile(filepath.Join(dist, "SHA256SUMS"), []byte(strings.Join(r.sums, "")), 0o644)
}

// moment is when everything in the release was made.
func moment() (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		out, err := exec.Command("git", "log", "-1", "--format=%ct").Output()
		if err != nil {
			return time.Time{}, fmt.Errorf("asking git for the time of the commit: %w; set SOURCE_DATE_EPOCH where there is no git", err)
		}
		text = strings.TrimSpace(string(out))
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH is %q: give seconds since 1970", text)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// release makes the files of one system.
func (r *release) release(system string) error {
	goos, arch, ok := strings.Cut(system, "/")
	if !ok {
		return errors.New("write a system like linux/amd64")
	}
	program, name := "kdht", "kdht_"+r.version+"_"+goos+"_"+arch
	if goos == "windows" {
		program += ".exe"
	}
	work, err := os.MkdirTemp("", "kdht-release-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	built := filepath.Join(work, program)
	if err := r.build(goos, arch, built); err != nil {
		return err
	}
	files := append([]string{built}, documents...)
	if goos == "linux" {
		files = append(files, services...)
	}
	pack, ending := tarball, ".tar.gz"
	if goos == "windows" {
		pack, ending = zipped, ".zip"
	}
	archive, err := pack(name, files, r.made)
	if err != nil {
		return err
	}
	bill, err := billOf(built, r.version, r.made)
	if err != nil {
		return err
	}
	return errors.Join(r.put(name+ending, archive), r.put(name+".cdx.json", bill))
}

// build builds the program for one system.
func (r *release) build(goos, arch, to string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid= -X main.released="+r.version, "-o", to, "./cmd/node")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+arch, "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// put writes a file of the release and takes down its sum.
func (r *release) put(name string, text []byte) error {
	r.sums = append(r.sums, fmt.Sprintf("%x  %s\n", sha256.Sum256(text), name))
	return os.WriteFile(filepath.Join(r.dist, name), text, 0o644)
}
