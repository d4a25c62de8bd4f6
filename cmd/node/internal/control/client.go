package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

const (
	// maxLine bounds one line of an answer in bytes: a value in base64, or a table.
	maxLine = 16 << 20
	// grace is how much longer than the node a client waits: the node's own answer
	// that the time is over says more.
	grace = 2 * time.Second
)

// Client is the node behind a control socket. Close it after use.
type Client struct {
	path string
	http *http.Client
}

var _ Node = (*Client)(nil)

// Dial returns the node that is served at path.
func Dial(ctx context.Context, path string) (*Client, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		if ctx.Err() != nil {
			return nil, AsError(ctx.Err())
		}
		return nil, dialError(path, err)
	}
	conn.Close()
	c := &Client{path: path}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", path)
		},
		DisableCompression: true,
	}}
	return c, nil
}

// Close lets go of the connection; the node lives on.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Status implements Node.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	return call[Status](ctx, c, "status", struct{}{}, nil)
}

// Table implements Node.
func (c *Client) Table(ctx context.Context) (*Table, error) {
	return call[Table](ctx, c, "table", struct{}{}, nil)
}

// Put implements Node.
func (c *Client) Put(ctx context.Context, r PutRequest, w Watch) (*Stored, error) {
	return call[Stored](ctx, c, "put", r, w)
}

// Get implements Node.
func (c *Client) Get(ctx context.Context, r GetRequest, w Watch) (*Value, error) {
	return call[Value](ctx, c, "get", r, w)
}

// Provide implements Node.
func (c *Client) Provide(ctx context.Context, r ProvideRequest, w Watch) (*Provided, error) {
	return call[Provided](ctx, c, "provide", r, w)
}

// FindProviders implements Node.
func (c *Client) FindProviders(ctx context.Context, r ProvidersRequest, w Watch) (*Providers, error) {
	return call[Providers](ctx, c, "find-providers", r, w)
}

// FindPeer implements Node.
func (c *Client) FindPeer(ctx context.Context, r PeerRequest, w Watch) (*Found, error) {
	return call[Found](ctx, c, "find-peer", r, w)
}

// Closest implements Node.
func (c *Client) Closest(ctx context.Context, r ClosestRequest, w Watch) (*Closest, error) {
	return call[Closest](ctx, c, "closest", r, w)
}

// Ping implements Node.
func (c *Client) Ping(ctx context.Context, r PingRequest, w Watch) (*Pong, error) {
	return call[Pong](ctx, c, "ping", r, w)
}

// call runs one operation.
func call[Res any](ctx context.Context, c *Client, name string, req any, w Watch) (*Res, error) {
	body, err := json.Marshal(req)
	if err != nil {
		return nil, AsError(err)
	}
	limit := maxTimeout
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline))
	}
	// The deadline is the node's to keep; here it only guards against one that hangs.
	patient, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit+grace)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.Canceled) {
			cancel()
		}
	})()
	hr, err := http.NewRequestWithContext(patient, http.MethodPost, "http://kdht/v1/"+name, bytes.NewReader(body))
	if err != nil {
		return nil, AsError(err)
	}
	hr.Header.Set(timeoutHeader, max(limit, time.Millisecond).String())
	answer, err := c.http.Do(hr)
	if err != nil {
		return nil, c.broken(patient, err)
	}
	defer answer.Body.Close()
	res, err := readAnswer[Res](answer.Body, w)
	if err != nil {
		return nil, c.broken(patient, err)
	}
	return res, nil
}

// broken says why there is no answer.
func (c *Client) broken(ctx context.Context, err error) *Error {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e
	case ctx.Err() != nil:
		return AsError(ctx.Err())
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Errorf(Failed, "the node at %s ended before it answered: look at its terminal", c.path)
	}
	return dialError(c.path, err)
}

// readAnswer passes on the events of an answer and returns its result.
func readAnswer[Res any](body io.Reader, w Watch) (*Res, error) {
	scanner := bufio.NewScanner(body)
	scanner.Buffer(nil, maxLine)
	for scanner.Scan() {
		var l struct {
			Event  *Event `json:"event"`
			Result *Res   `json:"result"`
			Error  *Error `json:"error"`
		}
		if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
			return nil, Errorf(Failed, "what serves the control socket is no kdht node: its answer does not parse (%v)", err)
		}
		switch {
		case l.Error != nil:
			return nil, l.Error
		case l.Result != nil:
			return l.Result, nil
		case l.Event != nil && w != nil:
			w(*l.Event)
		}
	}
	if errors.Is(scanner.Err(), bufio.ErrTooLong) {
		return nil, Errorf(Failed, "what serves the control socket is no kdht node: it answered a line of more than %d bytes", maxLine)
	}
	if err := scanner.Err(); err != nil {
		return nil, err
	}
	return nil, io.ErrUnexpectedEOF
}
