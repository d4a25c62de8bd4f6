package dashboard

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

// files are what `npm run build` makes of web/.
//
//go:embed assets
var files embed.FS

// asset is one file of the page, also as most browsers take it.
type asset struct {
	kind, tag string
	plain, gz []byte
}

// page holds the assets by their paths, made at the first request.
var page = sync.OnceValue(func() map[string]*asset {
	all := make(map[string]*asset)
	_ = fs.WalkDir(files, "assets", func(p string, d fs.DirEntry, err error) error { // what is embedded can be read
		if err != nil || d.IsDir() {
			return err
		}
		a := &asset{kind: mime.TypeByExtension(path.Ext(p))}
		if a.plain, err = files.ReadFile(p); err != nil {
			return err
		}
		sum := sha256.Sum256(a.plain)
		a.tag = `"` + hex.EncodeToString(sum[:8]) + `"`
		var b bytes.Buffer
		z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
		_, _ = z.Write(a.plain)
		_ = z.Close()
		a.gz = b.Bytes()
		name := strings.TrimPrefix(p, "assets")
		all[strings.TrimSuffix(name, "index.html")] = a
		return nil
	})
	return all
})

// assets routes the page and what belongs to it.
func (d *Dashboard) assets() {
	d.mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		a := page()[r.URL.Path]
		if a == nil {
			http.Error(w, "there is nothing at this path: the dashboard is at /", http.StatusNotFound)
			return
		}
		h := w.Header()
		h.Set("Content-Type", a.kind)
		h.Set("Cache-Control", "no-cache") // asked for each time, and sent if it is another
		h.Set("ETag", a.tag)
		h.Set("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("If-None-Match"), a.tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		body := a.plain
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			h.Set("Content-Encoding", "gzip")
			body = a.gz
		}
		h.Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	})
}
