package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/settings"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Where a setting comes from.
const (
	fromFlag        = "flag"
	fromEnvironment = "environment"
	fromFile        = "file"
	fromDefault     = "default"
)

const envAnnotation = "env"

// fromEnv lets an environment variable stand for a flag that is not given, and the config file for both.
func fromEnv(flags *pflag.FlagSet, name, variable string) {
	f := flags.Lookup(name)
	f.Usage += " ($" + variable + ")"
	f.Annotations = map[string][]string{envAnnotation: {variable}}
}

// variable is the environment variable of a flag: every flag of `kdht run` has one.
func variable(f *pflag.Flag, run bool) string {
	if named := f.Annotations[envAnnotation]; len(named) > 0 {
		return named[0]
	}
	if run && configurable(f) {
		return "KDHT_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
	}
	return ""
}

// configurable reports whether a flag of `kdht run` can stand in a file.
func configurable(f *pflag.Flag) bool {
	return !slices.Contains([]string{"help", "json", "config", "version", "limit"}, f.Name)
}

// limitFlag lets the bounds of `kdht throttle set` be given at the start.
const limitFlag = "limit"

// limitNames are the bounds, as `kdht throttle set` has them.
var limitNames = []string{"peer-rate", "peer-burst", "bursts", "total", "total-burst", "near", "far", "egress", "workers"}

// known returns the keys of a config file.
func (a *app) known(root *cobra.Command) (keys []string) {
	visitRun(root, func(f *pflag.Flag) {
		if configurable(f) {
			keys = append(keys, f.Name)
		}
	})
	keys = append(keys, "timeout")
	for _, name := range limitNames {
		keys = append(keys, settings.Limits+name)
	}
	return keys
}

// visitRun visits the flags of `kdht run`.
func visitRun(root *cobra.Command, visit func(*pflag.Flag)) {
	for _, cmd := range root.Commands() {
		if cmd.Name() == runName {
			cmd.LocalFlags().VisitAll(visit)
			root.PersistentFlags().VisitAll(func(f *pflag.Flag) {
				if cmd.LocalFlags().Lookup(f.Name) == nil {
					visit(f)
				}
			})
		}
	}
}

// settle sets the flags of a command that are not given from their variables, and then from the config file.
func (a *app) settle(cmd *cobra.Command) error {
	if err := a.readConfig(cmd.Root()); err != nil {
		return err
	}
	return a.settleFlags(cmd)
}

// settleFlags is settle with the file that has been read.
func (a *app) settleFlags(cmd *cobra.Command) error {
	a.from = make(map[string]string)
	var failed error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if failed == nil {
			failed = a.settleFlag(cmd, f)
		}
	})
	return failed
}

// settleFlag sets one flag.
func (a *app) settleFlag(cmd *cobra.Command, f *pflag.Flag) error {
	name := variable(f, cmd.Name() == runName)
	a.from[f.Name] = fromDefault
	switch {
	case f.Changed:
		a.from[f.Name] = fromFlag
		return nil
	case name == "":
		return nil
	}
	if text := a.getenv(name); text != "" {
		a.from[f.Name] = fromEnvironment
		values := []string{text}
		if f.Value.Type() == "stringArray" {
			values = strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
		}
		if err := setAll(cmd, f, values); err != nil {
			return control.Errorf(control.Usage, "$%s: %v", name, err)
		}
		return nil
	}
	if values := a.file.Texts(f.Name); values != nil {
		a.from[f.Name] = fromFile
		if err := setAll(cmd, f, values); err != nil {
			return control.Errorf(control.Usage, "%s: %s: %v", a.file.Path, f.Name, err)
		}
	}
	return nil
}

func setAll(cmd *cobra.Command, f *pflag.Flag, values []string) error {
	if len(values) > 1 && f.Value.Type() != "stringArray" {
		return errors.New("it takes one value, and no list")
	}
	for _, v := range values {
		if err := cmd.Flags().Set(f.Name, v); err != nil {
			return err
		}
	}
	return nil
}

// noConfig stands for no config file.
const noConfig = "none"

// readConfig reads the config file, if there is one.
func (a *app) readConfig(root *cobra.Command) error {
	path, named := a.configPath()
	if path == "" {
		return nil
	}
	file, err := settings.Read(path, a.known(root))
	switch {
	case errors.Is(err, fs.ErrNotExist) && !named:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return control.Errorf(control.Usage, "there is no config file %s: `kdht config show --default` prints one to begin with", path)
	}
	a.file = file
	return err
}

// configPath returns the config file, empty if there is none, and whether somebody named it.
func (a *app) configPath() (path string, named bool) {
	path = a.configFile
	if path == "" {
		path = a.getenv("KDHT_CONFIG")
	}
	switch {
	case path == noConfig:
		return "", true
	case path != "":
		if abs, err := filepath.Abs(path); err == nil { // for a reload, whatever the working directory is then
			path = abs
		}
		return path, true
	}
	dir := a.getenv("XDG_CONFIG_HOME")
	if home := a.getenv("HOME"); !filepath.IsAbs(dir) && filepath.IsAbs(home) {
		dir = filepath.Join(home, ".config")
	}
	if !filepath.IsAbs(dir) {
		if dir, _ = os.UserConfigDir(); a.getenv("HOME") == "" {
			return "", false
		}
	}
	return filepath.Join(dir, "kdht", "config.toml"), false
}
