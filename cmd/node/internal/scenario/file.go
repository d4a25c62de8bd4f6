package scenario

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// file is a scenario as it is written. Fields under the names of sim.Config's are
// copied there by name; `in` bounds a number, or a duration in hours, from and to.
// A test holds that no field of sim.Config is left out.
type file struct {
	about
	amounts
	Link        link              `toml:"link"`
	Adversaries adversaries       `toml:"adversaries"`
	Faults      faults            `toml:"faults"`
	Churn       churn             `toml:"churn"`
	Node        node              `toml:"node"`
	Measure     measure           `toml:"measure"`
	Records     records           `toml:"records"`
	Expect      map[string]string `toml:"expect"`
}

// about is what is no part of a run.
type about struct {
	Summary string `toml:"summary"`
	Why     string `toml:"why"`
	Seeds   int    `toml:"seeds" in:"0 1000"`
}

// amounts stand before the tables.
type amounts struct {
	Seed     uint64   `toml:"seed"`
	Nodes    int      `toml:"nodes" in:"0 1000000"`
	JoinRate float64  `toml:"join_rate" in:"0 1000000"`
	Settle   duration `toml:"settle" in:"0 8784"`
	Lookups  int      `toml:"lookups" in:"0 10000000"`
	Rate     float64  `toml:"rate" in:"0 1000000"`
	MinExact float64  `toml:"min_exact" in:"0 1"`
	Compare  bool     `toml:"compare"`
}

type link struct {
	RTTScale float64  `toml:"rtt_scale" in:"0 1000"`
	Jitter   float64  `toml:"jitter" in:"-1 100"`
	Loss     float64  `toml:"loss" in:"0 0.99"`
	TCP      float64  `toml:"tcp" in:"0 1"`
	Conns    int      `toml:"conns" in:"0 1000000"`
	Dial     duration `toml:"dial" in:"0 1"`
	Deadline duration `toml:"deadline" in:"0 1"`
	Limits   limits   `toml:"limits"`
	Public   bool     `toml:"public"`
}

type faults struct {
	Refuse    float64  `toml:"refuse" in:"0 1"`
	BlackHole float64  `toml:"black_hole" in:"0 1"`
	Hung      float64  `toml:"hung" in:"0 1"`
	NATed     float64  `toml:"natted" in:"0 1"`
	Tarpit    float64  `toml:"tarpit" in:"0 1"`
	Clients   float64  `toml:"clients" in:"0 1"`
	Skew      duration `toml:"skew" in:"0 8784"`
	Partition float64  `toml:"partition" in:"0 1"`
	CutAfter  duration `toml:"cut_after" in:"0 8784"`
	CutFor    duration `toml:"cut_for" in:"0 8784"`
	Restart   duration `toml:"restart" in:"0 8784"`
}

type churn struct {
	On     bool     `toml:"on"`
	Scale  float64  `toml:"scale" in:"0 1000"`
	Gap    duration `toml:"gap" in:"0 8784"`
	Return float64  `toml:"return" in:"-1 1"`

	Comeback comeback `toml:"comeback"`
}

type comeback struct {
	Saved  bool     `toml:"saved"`
	Anchor bool     `toml:"anchor"`
	Share  float64  `toml:"share" in:"0 1"`
	After  duration `toml:"after" in:"0 8784"`
	Within duration `toml:"within" in:"0 8784"`
	Down   duration `toml:"down" in:"0 8784"`
}

type node struct {
	K          int      `toml:"k" in:"0 64"`
	Alpha      int      `toml:"alpha" in:"0 256"`
	Beta       int      `toml:"beta" in:"0 64"`
	FarBuckets int      `toml:"far_buckets" in:"0 4096"`
	Paths      int      `toml:"paths" in:"0 8"`
	Strict     bool     `toml:"strict"`
	Whole      duration `toml:"whole" in:"0 8784"`
	Region     int      `toml:"region" in:"0 2"`
	Timing     timing   `toml:"timing"`
}

type timing struct {
	Slot      duration `toml:"slot" in:"0 1"`
	GiveUp    duration `toml:"give_up" in:"0 1"`
	Probe     duration `toml:"probe" in:"-1 8784"`
	Suspect   duration `toml:"suspect" in:"-1 8784"`
	Refresh   duration `toml:"refresh" in:"-1 8784"`
	Reprovide duration `toml:"reprovide" in:"-1 8784"`
	Retry     duration `toml:"retry" in:"0 8784"`
	Cache     duration `toml:"cache" in:"-1 8784"`
	Fresh     duration `toml:"fresh" in:"-1 8784"`
	Missing   duration `toml:"missing" in:"-1 1"`
	Republish duration `toml:"republish" in:"-1 8784"`
	Replicate duration `toml:"replicate" in:"-1 8784"`
}

type measure struct {
	From   duration `toml:"from" in:"0 8784"`
	Memory bool     `toml:"memory"`
	Stores bool     `toml:"stores"`
}

type records struct {
	Values    int      `toml:"values" in:"0 1000000"`
	Providers int      `toml:"providers" in:"0 1000000"`
	Rate      float64  `toml:"rate" in:"0 1000000"`
	For       duration `toml:"for" in:"0 8784"`
	Reads     float64  `toml:"reads" in:"0 1000000"`
	Every     duration `toml:"every" in:"0 8784"`
	MaxAge    duration `toml:"max_age" in:"0 8784"`
	AddrTTL   duration `toml:"addr_ttl" in:"0 8784"`
	Durable   bool     `toml:"durable"`
	Copies    string   `toml:"copies"`
	CopyEvery duration `toml:"copy_every" in:"0 8784"`
	Jumps     jumps    `toml:"jumps"`
}

type jumps struct {
	Share float64  `toml:"share" in:"0 1"`
	By    duration `toml:"by" in:"0 8784"`
}

// duration is written as text, such as "10m" or "1h30m".
type duration struct{ time.Duration }

// UnmarshalText reads a duration; whoever reads the file says what is wrong.
func (d *duration) UnmarshalText(text []byte) (err error) {
	d.Duration, err = time.ParseDuration(string(text))
	return err
}

// key is one key that a file may have.
type key struct {
	kind        string // what its value is
	least, most float64
}

// wants says what the key's value must be.
func (k key) wants() string {
	number := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	switch {
	case k.least == k.most:
		return k.kind
	case k.kind == aDuration:
		return fmt.Sprintf("%s, from %sh to %sh", k.kind, number(k.least), number(k.most))
	}
	return fmt.Sprintf("%s from %s to %s", k.kind, number(k.least), number(k.most))
}

const (
	aTable    = "a table"
	aDuration = `a duration such as "10m"`
	aBound    = `a bound such as ">= 0.99"`
)

// keys are all that a file may have, by their path.
var keys = func() map[string]key {
	known := map[string]key{"expect": {kind: aTable}}
	for name := range figureKinds {
		known["expect."+name] = key{kind: aBound}
	}
	fields(reflect.ValueOf(file{}), "", func(path string, _ reflect.Value, k key) { known[path] = k })
	return known
}()

// fields calls visit for every key of v, with its path.
func fields(v reflect.Value, path string, visit func(path string, v reflect.Value, k key)) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name := strings.TrimPrefix(path+"."+f.Tag.Get("toml"), ".")
		switch {
		case f.Type.Kind() == reflect.Map: // expect, whose names are the figures
		case f.Anonymous:
			fields(v.Field(i), path, visit)
		case f.Type.Kind() == reflect.Struct && f.Type != reflect.TypeFor[duration]():
			visit(name, v.Field(i), key{kind: aTable})
			fields(v.Field(i), name, visit)
		default:
			k := key{kind: kindOf(f.Type)}
			if in := f.Tag.Get("in"); in != "" {
				if _, err := fmt.Sscan(in, &k.least, &k.most); err != nil {
					panic("BUG: the bounds of " + name + ": " + in)
				}
			}
			visit(name, v.Field(i), k)
		}
	}
}

// copyTo sets the fields of dst that have the names of those of src.
func copyTo(dst, src reflect.Value) {
	for i := range src.NumField() {
		f := src.Type().Field(i)
		to := dst.FieldByName(f.Name)
		switch {
		case f.Type == reflect.TypeFor[about]() || f.Type.Kind() == reflect.Map: // no part of a run
		case f.Anonymous:
			copyTo(dst, src.Field(i))
		case !to.IsValid():
			panic("BUG: a file has a key for " + f.Name + ", of which the simulator knows nothing")
		case f.Type == reflect.TypeFor[duration]():
			to.SetInt(src.Field(i).Field(0).Int())
		case f.Type.Kind() == reflect.Struct:
			copyTo(to, src.Field(i))
		default:
			to.Set(src.Field(i).Convert(to.Type()))
		}
	}
}

func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Struct:
		return aDuration
	case reflect.Bool:
		return "true or false"
	case reflect.Float64:
		return "a number"
	case reflect.String:
		return "text"
	}
	return "a whole number"
}
