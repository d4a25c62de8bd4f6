package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/kdht/kdht/cmd/node/internal/live"
)

// announce prints who the node is and how to join it.
func (a *app) announce(n *live.Node, p place, web *web) error {
	addrs := live.FullAddrs(n.Info())
	lines := a.joinLines(addrs)
	return a.result(struct {
		ID      string   `json:"id"`
		Addrs   []string `json:"addrs"`
		Name    string   `json:"name,omitempty"`
		Key     string   `json:"key"`
		Control string   `json:"control"`
		Data    string   `json:"data,omitempty"`
		HTTP    string   `json:"http,omitempty"`
		Token   string   `json:"http_token_file,omitempty"`
		Join    []string `json:"join"`
	}{n.ID().String(), addrs, p.Name, p.KeyFile, p.socket, p.data, web.URL, web.TokenFile, lines}, func(w io.Writer) {
		fmt.Fprintf(w, "id       %s\n", n.ID())
		for i, addr := range addrs {
			fmt.Fprintf(w, "%-7s  %s\n", []string{"listens", ""}[min(i, 1)], addr)
		}
		fmt.Fprintf(w, "key      %s\ncontrol  %s\ndata     %s\n", p.KeyFile, p.socket, cmp.Or(p.data, "in memory"))
		if web.URL != "" {
			fmt.Fprintf(w, "http     %s\n", web.URL)
		}
		if web.URL != "" && web.TokenFile != "" {
			fmt.Fprintf(w, "token    %s\n", web.TokenFile)
		}
		for i, line := range lines {
			fmt.Fprintf(w, "\n%s\n  %s\n", []string{"To add a node, paste into another shell of this machine:", "or of another machine:"}[i], line)
		}
		if len(lines) > 0 {
			fmt.Fprintln(w)
		}
	})
}

// joinLines are the commands that start another node: on this machine, and, if
// there is an address for it, on another.
func (a *app) joinLines(addrs []string) []string {
	line := func(addr string) string {
		return calledAs(os.Args[0]) + " run --bootstrap " + addr + a.networkArgs()
	}
	var here, there string
	for _, addr := range addrs {
		local := strings.HasPrefix(addr, "/ip4/127.") || strings.HasPrefix(addr, "/ip6/::1/")
		if local && here == "" {
			here = addr
		}
		if !local && there == "" {
			there = addr
		}
	}
	var lines []string
	for _, addr := range []string{here, there} {
		if addr != "" {
			lines = append(lines, line(addr))
		}
	}
	return lines
}

// calledAs is how to call the program again in a shell like the one it was called
// in, from the name it was called by.
func calledAs(name string) string {
	switch {
	case strings.Contains(name, "go-build"):
		return "go run ./cmd/node" // its own file is gone when it ends
	case strings.ContainsAny(name, " \t\n'\"\\$&;"), name == "":
		return "kdht"
	case !strings.ContainsRune(name, filepath.Separator):
		return filepath.Base(name)
	}
	return name
}
