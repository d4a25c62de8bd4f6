package main

import (
	"strings"

	"github.com/coreos/go-systemd/v22/daemon"
)

// tell tells the service manager that started the program how far it is, if there is one
// that listens (NOTIFY_SOCKET, systemd's Type=notify). status is what it shows to people.
func (a *app) tell(status string, states ...string) {
	if status != "" {
		states = append(states, "STATUS="+status)
	}
	if _, err := daemon.SdNotify(false, strings.Join(states, "\n")); err != nil {
		a.note("the service manager cannot be told %s: %v; start the node without NOTIFY_SOCKET if nobody is to be told", states[0], err)
	}
}

// tellReloading says that the config file is being read anew; until ready is told again
// the service counts as reloading.
func (a *app) tellReloading() {
	a.tell("", daemon.SdNotifyReloading+"\n"+daemon.SdNotifyMonotonicUsec())
}

func (a *app) tellReady(status string) { a.tell(status, daemon.SdNotifyReady) }

func (a *app) tellStopping() { a.tell("", daemon.SdNotifyStopping) }
