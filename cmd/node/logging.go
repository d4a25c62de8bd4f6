package main

import (
	"maps"
	"os"
	"slices"

	logging "github.com/ipfs/go-log/v2"
	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/settings"
	"github.com/kdht/kdht/cmd/node/internal/spelling"
	"github.com/libp2p/go-libp2p/gologshim"
)

// defaultLevel is what is logged unless somebody says otherwise.
const defaultLevel = "error"

var levels = []string{"debug", "info", "warn", "error"}

// checkLevel returns nil if there is such a level.
func checkLevel(level string) error {
	if !slices.Contains(levels, level) {
		return control.Errorf(control.Usage, "there is no log level %.20q: use debug, info, warn or error", level)
	}
	return nil
}

// checkLevels is checkLevel of all.
func checkLevels(level string, subsystems map[string]string) error {
	for name, own := range subsystems {
		if err := checkLevel(own); err != nil {
			return control.Errorf(control.Usage, "[log] %.40q: %v", name, err)
		}
		if all := subsystemNames(); !slices.Contains(all, name) {
			return control.Errorf(control.Usage, "[log]: there is no subsystem %.40q%s: `kdht log level` lists them", name, spelling.DidYouMean(name, all))
		}
	}
	return checkLevel(level)
}

// startLogging sends what is to be logged to standard error.
func (a *app) startLogging() error {
	subsystems := a.file.Table(settings.Log)
	if err := a.setLogging(a.logLevel, subsystems); err != nil {
		return err
	}
	gologshim.SetDefaultHandler(logging.SlogHandler())
	if a.logLevel == "warn" || a.logLevel == "error" {
		// It writes this past every log level; what to do about it is in its docs.
		os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
	}
	return nil
}

// setLogging has logged what is of a level, and of another one in some subsystems.
func (a *app) setLogging(level string, subsystems map[string]string) error {
	if err := checkLevels(level, subsystems); err != nil {
		return err
	}
	parsed, err := logging.LevelFromString(level)
	if err != nil {
		return control.AsError(err)
	}
	cfg := logging.GetConfig()
	cfg.Level, cfg.Stderr, cfg.Stdout, cfg.SubsystemLevels = parsed, true, false, map[string]logging.LogLevel{}
	logging.SetupLogging(cfg)
	a.logged = map[string]string{}
	for _, name := range subsystemNames() {
		a.logged[name] = level
	}
	maps.Copy(a.logged, subsystems)
	for name, own := range a.logged {
		if name == "swarm2" && own == "error" {
			own = "fatal" // what it logs as errors is of listeners being closed, or is returned as well
		}
		if err := logging.SetLogLevel(name, own); err != nil {
			return control.AsError(err)
		}
	}
	return nil
}

// ofLibp2p are the subsystems of go-libp2p, which it tells nobody before they log.
var ofLibp2p = []string{
	"autonat", "autonatv2", "autorelay", "basichost", "connmgr", "eventbus", "internal/nat", "mdns", "nat", "net/conngater", "net/identify",
	"observedaddrs", "p2p-circuit", "p2p-config", "p2p-holepunch", "peerstore", "ping", "pstoremanager", "quic-transport", "quicreuse",
	"rcmgr", "relay", "reuseport-transport", "routedhost", "swarm2", "tcp-demultiplex", "tcp-tpt", "upgrader",
}

// subsystemNames are all that can be told apart.
func subsystemNames() []string {
	all := slices.Concat(ofLibp2p, logging.GetSubsystems())
	slices.Sort(all)
	return slices.Compact(all)
}

// setSubsystem changes what one subsystem logs.
func (a *app) setSubsystem(name, level string) error {
	if err := checkLevel(level); err != nil {
		return err
	}
	if _, known := a.logged[name]; !known {
		return control.Errorf(control.Usage, "there is no subsystem %.40q%s: `kdht log level` lists them", name, spelling.DidYouMean(name, subsystemNames()))
	}
	if err := logging.SetLogLevel(name, level); err != nil {
		return control.AsError(err)
	}
	a.logged[name] = level
	return nil
}
