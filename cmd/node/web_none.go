//go:build nohttp

package main

import (
	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/live"
	"github.com/kdht/kdht/routing"
)

// web is what is left of the HTTP server in a program that was built without it.
type web struct{ URL, TokenFile string }

// listenWeb refuses what this program cannot do.
func (a *app) listenWeb(f *webFlags, _ *place) (*web, error) {
	if f.addr != "" && f.addr != "off" {
		return nil, control.Errorf(control.Usage, "--http %s: this program was built without HTTP (-tags nohttp); leave the flag out, or build without the tag", f.addr)
	}
	return &web{}, nil
}

func (*web) trace() []*routing.Trace { return nil }

func (*web) serve(*live.Node) error { return nil }

// Close implements io.Closer.
func (*web) Close() error { return nil }
