package httpapi

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"

	"github.com/kdht/kdht/cmd/node/internal/control"
)

// What Listen takes in place of an address.
const (
	// On is Default, or a free port of loopback where that is taken.
	On = "on"
	// Off is nothing: no port is opened.
	Off = "off"
)

// Default is where a node serves HTTP that was not told where.
const Default = "127.0.0.1:5380"

// Listen opens what text says: On, an address and a port, or a port alone, which is
// loopback's. It returns nil for Off and for nothing.
func Listen(text string) (net.Listener, error) {
	switch text {
	case "", Off:
		return nil, nil
	case On:
		if l, err := net.Listen("tcp", Default); err == nil {
			return l, nil
		}
		text = "127.0.0.1:0"
	}
	addr, err := address(text)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, control.Errorf(control.Failed, "cannot serve HTTP at %s: the port is in use; give another with --http, or a free one with --http on", addr)
	case err != nil:
		return nil, control.Errorf(control.Failed, "cannot serve HTTP at %s: %v; give an address of this machine with --http", addr, err)
	}
	return l, nil
}

// address returns an address in full. A name is not looked up: what it leads to, and
// so who is let in, would be another's to say.
func address(text string) (string, error) {
	if _, err := strconv.ParseUint(text, 10, 16); err == nil {
		return net.JoinHostPort("127.0.0.1", text), nil
	}
	host, port, err := net.SplitHostPort(text)
	if err == nil && strings.EqualFold(host, "localhost") {
		host = "127.0.0.1"
	}
	if err == nil {
		_, err = netip.ParseAddr(host)
	}
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return "", control.Errorf(control.Usage, "--http: %.80q is no address: write it like %s, or on or off", text, Default)
	}
	return net.JoinHostPort(host, port), nil
}

// Loopback reports whether only this machine reaches a listener.
func Loopback(l net.Listener) bool {
	at, err := netip.ParseAddrPort(l.Addr().String())
	return err == nil && at.Addr().Unmap().IsLoopback()
}

// URL is what to open in a browser of this machine.
func URL(l net.Listener) string {
	at, err := netip.ParseAddrPort(l.Addr().String())
	if err != nil {
		return ""
	}
	if ip := at.Addr(); ip.IsUnspecified() {
		at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port())
	}
	return "http://" + at.String() + "/"
}
