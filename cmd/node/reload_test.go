package main

import "testing"

const reloadable = "listen = ['/ip4/127.0.0.1/tcp/0']\nmemory = true\n"

// limits returns the limits of the node that runs.
func (u *user) limits() map[string]any {
	u.t.Helper()
	return u.kdht("throttle", "--config", "none", "--json").object()["limits"].(map[string]any)
}

// A rate that a reload changes keeps the burst that was given with it, in the file or by a flag.
func TestReloadKeepsBursts(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	u.write(".config/kdht/config.toml", reloadable+"[limits]\npeer-rate = 77\npeer-burst = 901\ntotal = 5000\n")
	u.start("run", "--limit", "total-burst=40000").out.await(t, "listens")
	for _, rate := range []string{"77", "88"} {
		u.write(".config/kdht/config.toml", reloadable+"[limits]\npeer-rate = "+rate+"\npeer-burst = 901\ntotal = 50"+rate+"\n")
		u.kdht("config", "reload").ok()
		if l := u.limits(); l["peer_burst"] != 901.0 || l["total_burst"] != 40000.0 {
			t.Errorf("peer-rate %s: %v", rate, l)
		}
	}
	if l := u.limits(); l["peer_rate"] != 88.0 || l["total_rate"] != 5088.0 {
		t.Errorf("the rates: %v", l)
	}
}

// A file that no node would start with changes nothing, unless what is wrong is overridden.
func TestReloadChecksAll(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	u.write(".config/kdht/config.toml", reloadable+"mode = 'server'\n[limits]\npeer-rate = 77\n")
	u.start("run", "--profile", "private").out.await(t, "listens")
	for wrong, says := range map[string]string{
		"mode = 'sideways'":                   "no mode",
		"network = 'moon'":                    "moon",
		"bootstrap = ['nonsense']":            "nonsense",
		"mdns = 'perhaps'":                    "mdns",
		"name = ['a', 'b']":                   "name",
		"protocol-prefix = 'no slash at all'": "protocol prefix",
	} {
		path := u.write(".config/kdht/config.toml", reloadable+wrong+"\n[limits]\npeer-rate = 99\n")
		u.kdht("config", "reload", "--config", "none").fails(2, says)
		if got := u.limits()["peer_rate"]; got != 77.0 {
			t.Errorf("%s of %s: peer-rate is %v", wrong, path, got)
		}
	}
	u.write(".config/kdht/config.toml", reloadable+"profile = 'sideways'\n[limits]\npeer-rate = 99\n")
	u.kdht("config", "reload", "--config", "none").ok()
	if got := u.limits()["peer_rate"]; got != 99.0 {
		t.Errorf("peer-rate is %v", got)
	}
}
