package main

import (
	"errors"
	"path/filepath"

	"github.com/kdht/kdht/cmd/node/internal/config"
	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/data"
	"github.com/kdht/kdht/cmd/node/internal/live"
	"github.com/libp2p/go-libp2p/core/peer"
)

// place is what a node holds of the machine while it runs.
type place struct {
	*config.Identity
	socket string
	data   string // directory of its records, empty if they are in memory
}

// claim takes the key and names the control socket and the data directory that the
// flags say.
func (a *app) claim(f *runFlags) (p place, err error) {
	s := &a.session
	if f.memory && f.dataDir != "" {
		return p, control.Errorf(control.Usage, "--memory keeps nothing in a directory: give either it or --data-dir")
	}
	keyFile, inData := f.key, f.key == "" && f.dataDir != ""
	if inData {
		if err := data.Private(f.dataDir); err != nil {
			return p, err
		}
		keyFile = filepath.Join(f.dataDir, "key")
	}
	var home config.Home
	if keyFile == "" || s.control == "" {
		if home, err = config.FindHome(a.getenv); err != nil {
			return p, err
		}
	}
	if keyFile == "" {
		p.Identity, err = home.Claim(s.name)
	} else {
		name := s.name
		if name == "" && s.control == "" {
			name = home.FreeName(config.FirstName)
		}
		p.Identity, err = config.ClaimFile(name, keyFile)
	}
	switch {
	case inData && errors.Is(err, config.ErrHeld):
		return p, data.InUse(f.dataDir)
	case err != nil:
		return p, control.AsError(err)
	}
	if p.socket = s.control; p.socket == "" {
		p.socket = home.Socket(p.Name)
	}
	switch {
	case f.dataDir != "":
		p.data = f.dataDir
	case f.memory:
	case f.key != "": // the data of one id are not another's
		p.data = f.key + ".data"
	default:
		p.data = home.Dir(p.Name)
	}
	return p, nil
}

// open opens the node's records in a network of this kind.
func (p *place) open(network live.Network) (*data.Stores, error) {
	self, err := peer.IDFromPrivateKey(p.Key)
	if err != nil {
		return nil, control.AsError(err)
	}
	if p.data == "" {
		return data.Memory(self, network.Rules()), nil
	}
	return data.Open(p.data, self, network.Rules())
}
