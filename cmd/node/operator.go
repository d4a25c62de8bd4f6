package main

import (
	"context"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/live"
	"github.com/kdht/kdht/cmd/node/internal/settings"
	"github.com/kdht/kdht/cmd/node/internal/spelling"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// operator is a node that runs, with what its operator told it: it implements control.Operator.
//
// Invariant: what it says of a setting is what holds, or the error that its change met.
type operator struct {
	*live.Node
	app  *app
	cmd  *cobra.Command
	own  map[string]string  // limits that were given by flag or variable
	base map[string]float64 // limits as they are if nobody says anything

	mu   sync.Mutex
	file *settings.File
}

var _ control.Operator = (*operator)(nil)

func (a *app) operator(cmd *cobra.Command, n *live.Node, f *runFlags) *operator {
	o := &operator{Node: n, app: a, cmd: cmd, file: a.file, own: make(map[string]string)}
	for _, given := range f.limits {
		name, value, _ := strings.Cut(given, "=")
		o.own[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return o
}

// limit sets the limits that were given at the start.
func (o *operator) limit(ctx context.Context) error {
	t, err := o.Throttle(ctx, control.ThrottleRequest{})
	if err != nil {
		return err
	}
	l := &t.Limits
	o.base = map[string]float64{
		"peer-rate": l.PeerRate, "peer-burst": l.PeerBurst, "bursts": l.Bursts, "total": l.TotalRate, "total-burst": l.TotalBurst,
		"near": l.Near, "far": l.Far, "egress": l.Egress, "workers": 0,
	}
	all := o.file.Table(settings.Limits)
	for name, value := range o.own {
		all[name] = value
	}
	return o.setLimits(ctx, all)
}

// setLimits sets limits by their names; there may be none.
func (o *operator) setLimits(ctx context.Context, limits map[string]string) error {
	var r control.SetThrottleRequest
	fields := map[string]**float64{
		"peer-rate": &r.PeerRate, "peer-burst": &r.PeerBurst, "bursts": &r.Bursts, "total": &r.TotalRate, "total-burst": &r.TotalBurst,
		"near": &r.Near, "far": &r.Far, "egress": &r.Egress,
	}
	for name, text := range limits {
		f := &figure{into: fields[name]}
		if name == "workers" {
			workers, err := strconv.Atoi(text)
			if err != nil || workers < 0 {
				return control.Errorf(control.Usage, "limit workers: %.20q: give a number, or 0 for as many as suit the machine", text)
			}
			r.Workers = &workers
			continue
		}
		if f.into == nil {
			return control.Errorf(control.Usage, "there is no limit %.40q%s: use %s", name, spelling.DidYouMean(name, limitNames), strings.Join(limitNames, ", "))
		}
		if err := f.Set(text); err != nil {
			return control.Errorf(control.Usage, "limit %s: %.20q: %v", name, text, err)
		}
	}
	if r == (control.SetThrottleRequest{}) {
		return nil
	}
	_, err := o.SetThrottle(ctx, r)
	return err
}

// listen reads the file anew at each hangup until ctx ends, and says what came of it.
func (o *operator) listen(ctx context.Context, hangups <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			o.app.tellReloading()
			done, err := o.Reload(ctx)
			o.app.tellReady("")
			if err != nil {
				o.app.note("the config file was not taken: %v", err)
				continue
			}
			o.app.note("the config file was read anew: %s", count(len(done.Changes), "change"))
			for _, c := range done.Changes {
				o.app.note("  %s", changeText(&c))
			}
		}
	}
}

// Reload implements control.Operator. A file that is wrong changes nothing.
func (o *operator) Reload(ctx context.Context) (*control.Reloaded, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	path, named := o.app.configPath()
	if path == "" {
		return nil, control.Errorf(control.Usage, "this node was started without a config file: give it one with --config, and start it again")
	}
	now, err := settings.Read(path, o.app.known(o.cmd.Root()))
	switch {
	case os.IsNotExist(err) && named:
		return nil, control.Errorf(control.Usage, "there is no config file %s any more: put it back; what it said still holds", path)
	case os.IsNotExist(err): // nobody named it: then there is none
		now = nil
	case err != nil:
		return nil, err
	}
	if err := o.wouldStart(now); err != nil {
		return nil, err
	}
	done := &control.Reloaded{File: path, Changes: []control.Change{}}
	limits, logs := make(map[string]string), false
	for _, d := range settings.Compare(o.file, now) {
		c := control.Change{Key: d.Key, Old: settings.Show(d.Before), New: settings.Show(d.Now), State: "restart"}
		name, isLimit := strings.CutPrefix(d.Key, settings.Limits)
		switch {
		case isLimit && o.own[name] != "" || !isLimit && slices.Contains([]string{fromFlag, fromEnvironment}, o.app.from[d.Key]):
			c.State = "overridden"
		case isLimit:
			c.State = "applied"
			limits[name] = strings.Join(d.Now, ",")
			if d.Now == nil {
				limits[name] = strconv.FormatFloat(o.base[name], 'f', -1, 64)
			}
		case d.Key == "log-level" || strings.HasPrefix(d.Key, settings.Log):
			c.State, logs = "applied", true
		}
		done.Changes = append(done.Changes, c)
	}
	o.keepBursts(now, limits)
	if err := o.apply(ctx, now, limits, logs); err != nil {
		return nil, err
	}
	o.file = now
	return done, nil
}

// apply makes what of a new file can be changed while the node runs hold.
func (o *operator) apply(ctx context.Context, now *settings.File, limits map[string]string, logs bool) error {
	level := o.app.logLevel
	if logs {
		if from := o.app.from["log-level"]; from == fromFile || from == fromDefault {
			level = defaultLevel
			if given := now.Texts("log-level"); len(given) == 1 {
				level = given[0]
			}
		}
		if err := checkLevels(level, now.Table(settings.Log)); err != nil {
			return err
		}
	}
	if err := o.setLimits(ctx, limits); err != nil || !logs {
		return err
	}
	return o.app.setLogging(level, now.Table(settings.Log))
}

// Log implements control.Operator.
func (o *operator) Log(_ context.Context, r control.LogRequest) (*control.Log, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case r.Level == "":
	case r.Subsystem == "":
		if err := o.app.setLogging(r.Level, nil); err != nil {
			return nil, err
		}
	default:
		if err := o.app.setSubsystem(r.Subsystem, r.Level); err != nil {
			return nil, err
		}
	}
	return &control.Log{Levels: maps.Clone(o.app.logged)}, nil
}

// Settings implements control.Operator.
func (o *operator) Settings(ctx context.Context) (*control.Settings, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := o.app.settings(o.cmd, o.file)
	t, err := o.Throttle(ctx, control.ThrottleRequest{})
	if err != nil {
		return nil, err
	}
	l := &t.Limits
	for name, value := range map[string]float64{
		"peer-rate": l.PeerRate, "peer-burst": l.PeerBurst, "bursts": l.Bursts, "total": l.TotalRate, "total-burst": l.TotalBurst,
		"near": l.Near, "far": l.Far, "egress": l.Egress, "workers": float64(t.Workers),
	} {
		s := control.Setting{Key: settings.Limits + name, Value: number(value), From: fromDefault}
		given := o.file.Table(settings.Limits)[name]
		switch {
		case o.own[name] != "":
			s.From, given = o.app.from[limitFlag], o.own[name]
		case given != "":
			s.From = fromFile
		}
		if x, err := strconv.ParseFloat(given, 64); given != "" && (err != nil || x != value && x != 0) {
			s.From = "kdht throttle set"
		}
		all.All = append(all.All, s)
	}
	slices.SortStableFunc(all.All, func(a, b control.Setting) int {
		return strings.Compare(tableOf(a.Key), tableOf(b.Key))
	})
	return all, nil
}

// tableOf is what the settings of a table are sorted by: those of none come first, in the order of the flags.
func tableOf(key string) string {
	if strings.Contains(key, ".") {
		return key
	}
	return ""
}

// settings are what a command would be run with, or was.
func (a *app) settings(cmd *cobra.Command, file *settings.File) *control.Settings {
	all := &control.Settings{All: []control.Setting{}}
	if file != nil {
		all.File = file.Path
	}
	visitRun(cmd.Root(), func(f *pflag.Flag) {
		if !configurable(f) {
			return
		}
		value := f.Value.String()
		if list, ok := f.Value.(pflag.SliceValue); ok {
			value = strings.Join(list.GetSlice(), ", ")
		}
		all.All = append(all.All, control.Setting{Key: f.Name, Value: control.Clean(value), From: a.from[f.Name]})
	})
	for name, level := range file.Table(settings.Log) {
		all.All = append(all.All, control.Setting{Key: settings.Log + name, Value: level, From: fromFile})
	}
	return all
}
