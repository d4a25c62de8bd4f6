package main

import (
	"os"
	"slices"

	logging "github.com/ipfs/go-log/v2"
	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/libp2p/go-libp2p/gologshim"
)

var levels = []string{"debug", "info", "warn", "error"}

// setLogging sends what the libraries log from a level on to standard error.
func setLogging(level string) error {
	if !slices.Contains(levels, level) {
		return control.Errorf(control.Usage, "there is no log level %.20q: use debug, info, warn or error", level)
	}
	parsed, err := logging.LevelFromString(level)
	if err != nil {
		return control.AsError(err)
	}
	cfg := logging.GetConfig()
	cfg.Level, cfg.Stderr, cfg.Stdout, cfg.SubsystemLevels = parsed, true, false, nil
	if level == "error" {
		// What it logs as errors is of listeners being closed, or is returned as well.
		cfg.SubsystemLevels = map[string]logging.LogLevel{"swarm2": logging.LevelFatal}
	}
	logging.SetupLogging(cfg)
	gologshim.SetDefaultHandler(logging.SlogHandler())
	if level == "warn" || level == "error" {
		// It writes this past every log level; what to do about it is in its docs.
		os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
	}
	return nil
}
