package scenario

import (
	"reflect"
	"strings"
	"time"
	"unicode"

	"github.com/kdht/kdht/routing/sim"
)

// Figures are the numbers of a report by name; durations are in nanoseconds. A
// field of sim.Report has its name in small letters; those of a struct, the
// counts of faults and the lookups of the baseline have one before it: table_alive,
// fired_hung, baseline_p95. What tells its share itself has that under its own name.
type Figures map[string]float64

const baselinePrefix = "baseline_"

// FiguresOf returns the figures of a report. Faults that did not happen are zero;
// without a baseline its figures are not there.
func FiguresOf(rep *sim.Report) Figures {
	all := make(Figures)
	for _, fault := range sim.FaultNames() {
		all["fired_"+strings.ReplaceAll(fault, " ", "_")] = float64(rep.Fired[fault])
	}
	numbers(reflect.ValueOf(*rep), "", func(name string, v reflect.Value) {
		switch {
		case v.CanInt():
			all[name] = float64(v.Int())
		case v.CanUint():
			all[name] = float64(v.Uint())
		default:
			all[name] = v.Float()
		}
	})
	return all
}

// numbers calls visit for every number in a struct.
func numbers(v reflect.Value, prefix string, visit func(name string, v reflect.Value)) {
	for i := range v.NumField() {
		f, field := v.Type().Field(i), v.Field(i)
		name := prefix + inSmall(f.Name)
		if field.Kind() == reflect.Pointer && !field.IsNil() {
			field = field.Elem()
		}
		if part, is := field.Interface().(interface{ Share() float64 }); is {
			visit(name, reflect.ValueOf(part.Share()))
		}
		switch {
		case field.Kind() == reflect.Struct && f.Anonymous:
			numbers(field, prefix, visit)
		case field.Kind() == reflect.Struct:
			numbers(field, name+"_", visit)
		case field.CanInt() || field.CanUint() || field.CanFloat():
			visit(name, field)
		}
	}
}

// inSmall writes a Go name with small letters and underscores.
func inSmall(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 && !unicode.IsUpper(rune(name[i-1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// figureKinds are all figures that a report can have, and whether they are
// durations.
var figureKinds = func() map[string]bool {
	kinds := make(map[string]bool)
	var full sim.Report
	whole(reflect.ValueOf(&full).Elem())
	for name := range FiguresOf(&full) {
		kinds[name] = false
	}
	numbers(reflect.ValueOf(full), "", func(name string, v reflect.Value) {
		kinds[name] = v.Type() == reflect.TypeFor[time.Duration]()
	})
	return kinds
}()

// whole puts zero values where v has nil pointers to structs.
func whole(v reflect.Value) {
	for i := range v.NumField() {
		field := v.Field(i)
		if field.Kind() == reflect.Pointer && field.Type().Elem().Kind() == reflect.Struct {
			field.Set(reflect.New(field.Type().Elem()))
			field = field.Elem()
		}
		if field.Kind() == reflect.Struct {
			whole(field)
		}
	}
}
