package control

import (
	"context"
	"net/http"
)

// Operator is what a program that runs a node lets its operator change while it runs, and what it was told. A Node that is an
// Operator as well is served as both.
type Operator interface {
	// Settings says what the node was told, and where.
	Settings(ctx context.Context) (*Settings, error)
	// Reload reads the config file anew, and says what became of each change.
	Reload(ctx context.Context) (*Reloaded, error)
	// Log changes what is logged, if Level is set, and says what is.
	Log(ctx context.Context, r LogRequest) (*Log, error)
}

// Settings are what a node was told.
type Settings struct {
	File string    `json:"file"` // empty: none
	All  []Setting `json:"settings"`
}

// Setting is one of them. From is "flag", "environment", "file" or "default".
type Setting struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	From  string `json:"from"`
}

// Reloaded is what a file that was read anew has changed.
type Reloaded struct {
	File    string   `json:"file"`
	Changes []Change `json:"changes"`
}

// Change is one setting that is another now in the file. State is "applied", "restart" (it holds from the next start on) or
// "overridden" (a flag or the environment decides).
type Change struct {
	Key   string `json:"key"`
	Old   string `json:"old"`
	New   string `json:"new"`
	State string `json:"state"`
}

// LogRequest sets the level of a subsystem, of all if it is empty.
type LogRequest struct {
	Subsystem string `json:"subsystem,omitempty"`
	Level     string `json:"level,omitempty"`
}

// Log is the level of each subsystem of the log.
type Log struct {
	Levels map[string]string `json:"levels"`
}

func (s *Server) operatorRoutes(mux *http.ServeMux, n Node) {
	o, ok := n.(Operator)
	if !ok {
		return
	}
	handle(s, mux, "settings", func(ctx context.Context, _ struct{}, _ Watch) (*Settings, error) { return o.Settings(ctx) })
	handle(s, mux, "reload", func(ctx context.Context, _ struct{}, _ Watch) (*Reloaded, error) { return o.Reload(ctx) })
	handle(s, mux, "log", func(ctx context.Context, r LogRequest, _ Watch) (*Log, error) { return o.Log(ctx, r) })
}

// Settings asks the node's Operator.
func (c *Client) Settings(ctx context.Context) (*Settings, error) {
	return call[Settings](ctx, c, "settings", struct{}{}, nil)
}

// Reload asks the node's Operator.
func (c *Client) Reload(ctx context.Context) (*Reloaded, error) {
	return call[Reloaded](ctx, c, "reload", struct{}{}, nil)
}

// Log asks the node's Operator.
func (c *Client) Log(ctx context.Context, r LogRequest) (*Log, error) {
	return call[Log](ctx, c, "log", r, nil)
}
