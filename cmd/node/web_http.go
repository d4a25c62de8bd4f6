//go:build !nohttp

package main

import (
	"errors"
	"net"
	"path/filepath"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/dashboard"
	"github.com/kdht/kdht/cmd/node/internal/httpapi"
	"github.com/kdht/kdht/cmd/node/internal/live"
	"github.com/kdht/kdht/routing"
)

// web is a node's HTTP server; the zero value serves nothing.
type web struct {
	URL       string // of the dashboard, empty if there is none
	TokenFile string // of the token it wants, empty if it wants none

	flags    *webFlags
	token    string
	listener net.Listener
	metrics  *httpapi.Metrics
	server   *httpapi.Server
	board    *dashboard.Dashboard
}

// listenWeb opens the port that the flags say, before anything else is begun. Nobody is
// answered before serve.
func (a *app) listenWeb(f *webFlags, p *place) (*web, error) {
	l, err := httpapi.Listen(f.addr)
	if l == nil || err != nil {
		return &web{flags: f}, err
	}
	w := &web{flags: f, listener: l, URL: httpapi.URL(l), metrics: httpapi.NewMetrics()}
	if err := w.secure(p); err != nil {
		l.Close()
		return nil, err
	}
	return w, nil
}

// secure decides whether a token is wanted, and takes it from its file.
func (w *web) secure(p *place) (err error) {
	w.TokenFile = w.flags.tokenFile
	if w.TokenFile == "" && !httpapi.Loopback(w.listener) {
		w.TokenFile = p.tokenFile()
	}
	if w.TokenFile != "" {
		w.token, err = httpapi.LoadOrCreateToken(w.TokenFile)
	}
	return err
}

// tokenFile is where a node keeps its token that was not told where.
func (p *place) tokenFile() string {
	if p.data == "" {
		return p.KeyFile + ".http-token"
	}
	return filepath.Join(p.data, "http-token")
}

// trace is who is told what the node does, so that /metrics has it.
func (w *web) trace() []*routing.Trace {
	if w.metrics == nil {
		return nil
	}
	return []*routing.Trace{w.metrics.Trace()}
}

// serve begins to answer for n, which was started with trace.
func (w *web) serve(n *live.Node) error {
	if w.listener == nil {
		return nil
	}
	s := httpapi.New(httpapi.Config{Token: w.token, TokenFile: w.TokenFile, Hosts: w.flags.hosts, Count: w.metrics.Count})
	s.Mount(httpapi.Probe, "GET /healthz", httpapi.Alive(func() { n.Peers() }))
	s.Mount(httpapi.Probe, "GET /readyz", httpapi.Ready(n.Ready))
	s.Mount(httpapi.Admin, "GET /metrics", w.metrics.Serve(func() *control.Disk { _, d := n.Files(); return d }))
	if !w.flags.noRouting {
		s.Mount(httpapi.Public, httpapi.RoutingPath, httpapi.Routing(n))
	}
	if w.flags.pprof {
		s.Mount(httpapi.Admin, "/debug/pprof/", httpapi.Profiles())
	}
	w.board = dashboard.New(dashboard.Of(n))
	s.Mount(httpapi.Admin, "/", w.board)
	w.server = s
	return s.Serve(w.listener)
}

// Close ends what serve began.
func (w *web) Close() error {
	switch {
	case w.server != nil:
		return errors.Join(w.server.Close(), w.board.Close())
	case w.listener != nil:
		return w.listener.Close()
	}
	return nil
}
