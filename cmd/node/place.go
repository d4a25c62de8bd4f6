package main

import "github.com/kdht/kdht/cmd/node/internal/config"

// place is what a node holds of the machine while it runs.
type place struct {
	*config.Identity
	socket string
}

// claim takes the key and names the control socket that the flags say.
func (a *app) claim(keyFile string) (p place, err error) {
	s := &a.session
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
	if err != nil {
		return p, err
	}
	p.socket = s.control
	if p.socket == "" {
		p.socket = home.Socket(p.Name)
	}
	return p, nil
}
