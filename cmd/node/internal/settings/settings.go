// Package settings puts together what a node is told in four places: flags, the environment, a file, and what holds if nobody says
// anything, in this order.
//
//	file, err := settings.Read(path, known)
//	all := settings.Layers{Flags: …, Environment: …, File: file, Defaults: …}
//	v := all.Get("mode") // v.Text, v.From
//
// A file is TOML; its keys are the names of `kdht run`'s flags, and the tables [limits] and [log]. A key that nobody knows is
// refused, with a guess at what was meant.
//
// The invariant: of each key exactly one place decides, the first of the four that has it.
package settings

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/spelling"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
	"github.com/pelletier/go-toml/v2"
)

// MaxFile bounds a file in bytes.
const MaxFile = 64 << 10

// Tables of a file: the bounds of `kdht throttle set`, and levels of the log by subsystem.
const (
	Limits = "limits."
	Log    = "log."
)

// delim separates a table from its keys. No flag and no subsystem of the log has it in its name.
const delim = "."

// File is what a file says. The nil File says nothing.
type File struct {
	Path string
	k    *koanf.Koanf
}

// Read reads a file, whose keys must be among known or in the table [log]. No file is an error that wraps fs.ErrNotExist.
func Read(path string, known []string) (*File, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, control.Errorf(control.Usage, "cannot read the config file: %v", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, MaxFile+1))
	switch {
	case err != nil:
		return nil, control.Errorf(control.Usage, "cannot read the config file %s: %v", path, err)
	case len(text) > MaxFile:
		return nil, control.Errorf(control.Usage, "the config file %s has more than %d KiB: is it another file?", path, MaxFile>>10)
	}
	return Parse(path, text, known)
}

// Parse is Read of a text; path is for its errors.
func Parse(path string, text []byte, known []string) (*File, error) {
	var tree map[string]any
	if err := toml.Unmarshal(text, &tree); err != nil {
		var d *toml.DecodeError
		if errors.As(err, &d) {
			line, _ := d.Position()
			return nil, control.Errorf(control.Usage, "%s:%d: %s", path, line, strings.TrimPrefix(d.Error(), "toml: "))
		}
		return nil, control.Errorf(control.Usage, "%s: %v", path, err)
	}
	f := &File{Path: path, k: koanf.New(delim)}
	if err := f.k.Load(confmap.Provider(tree, ""), nil); err != nil {
		return nil, control.Errorf(control.Usage, "%s: %v", path, err)
	}
	for _, key := range f.Keys() {
		if err := f.check(key, known); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *File) check(key string, known []string) error {
	if subsystem, ok := strings.CutPrefix(key, Log); ok {
		if _, isText := f.k.Get(key).(string); !isText || strings.Contains(subsystem, delim) {
			return control.Errorf(control.Usage, "%s: %.60q: write the level of a subsystem like %q = \"debug\"", f.Path, key, "swarm2")
		}
		return nil
	}
	if table, isTable := f.k.Get(key).(map[string]any); isTable && len(table) == 0 && (key+delim == Limits || key+delim == Log) {
		return nil
	}
	if !slices.Contains(known, key) {
		return control.Errorf(control.Usage, "%s: there is no setting %.60q%s (see `kdht config show --default`)", f.Path, key, spelling.DidYouMean(key, known))
	}
	if _, err := texts(f.k.Get(key)); err != nil {
		return control.Errorf(control.Usage, "%s: %s: %v", f.Path, key, err)
	}
	return nil
}

// Keys returns the keys that the file has, in order.
func (f *File) Keys() []string {
	if f == nil {
		return nil
	}
	return f.k.Keys()
}

// Texts returns the values of a key as flags take them, nil if the file does not have it.
func (f *File) Texts(key string) []string {
	if f == nil || !f.k.Exists(key) {
		return nil
	}
	all, _ := texts(f.k.Get(key)) // checked when it was read
	return all
}

// Table returns the keys of a table with their values, without the table's name.
func (f *File) Table(prefix string) map[string]string {
	all := make(map[string]string)
	for _, key := range f.Keys() {
		if name, ok := strings.CutPrefix(key, prefix); ok {
			all[name] = strings.Join(f.Texts(key), ",")
		}
	}
	return all
}

// texts writes a value as flags take it; it is never nil without an error.
func texts(v any) ([]string, error) {
	switch v := v.(type) {
	case string:
		return []string{v}, nil
	case bool:
		return []string{strconv.FormatBool(v)}, nil
	case int64:
		return []string{strconv.FormatInt(v, 10)}, nil
	case float64:
		return []string{strconv.FormatFloat(v, 'f', -1, 64)}, nil
	case []any:
		all := make([]string, 0, len(v))
		for _, one := range v {
			text, ok := one.(string)
			if !ok {
				return nil, errors.New("a list has texts in quotation marks only")
			}
			all = append(all, text)
		}
		return all, nil
	}
	return nil, fmt.Errorf("a value is a text, a number, true, false or a list of texts, and no %T", v)
}
