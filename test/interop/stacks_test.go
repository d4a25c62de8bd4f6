package interop_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// js installs js-libp2p from js/package-lock.json, and returns a copy of peer.mjs that finds it.
func js(t *testing.T) *stack {
	t.Helper()
	node := needs(t, "node", "Node.js 20 or newer")
	npm := needs(t, "npm", "Node.js 20 or newer, with npm")
	packages := madeOnce(t, "js", "js", []string{"package.json", "package-lock.json", ".npmrc"}, func(fresh string) {
		runIn(t, fresh, 3*time.Minute, npm, "ci", "--ignore-scripts")
	})
	scripts := []string{"peer.mjs", "polyfill.mjs", "delegated.mjs"}
	dir := filepath.Join(packages, fingerprint(t, "js", scripts...))
	copyFiles(t, "js", dir, scripts...)
	return &stack{
		name: "js", start: []string{node, filepath.Join(dir, "peer.mjs")},
		checks: true, pongs: true, renews: true, longKeys: true, unordered: true, manyOverTCP: true, manyOverQUIC: true,
	}
}

// rust builds the crate in rust/. Its lock file is made then; Cargo.toml names the versions that count.
func rust(t *testing.T) *stack {
	t.Helper()
	cargo := needs(t, "cargo", "Rust 1.88 or newer and a C compiler")
	dir := madeOnce(t, "rust", "rust", []string{"Cargo.toml", "src/main.rs", "src/queries.rs"}, func(fresh string) {
		runIn(t, fresh, 10*time.Minute, cargo, "install", "--debug", "--path", ".", "--root", ".")
		if err := os.RemoveAll(filepath.Join(fresh, "target")); err != nil { // a few hundred MB that nobody needs again
			t.Fatal(err)
		}
	})
	return &stack{
		name: "rust", start: []string{filepath.Join(dir, "bin", "kdht-interop-peer")},
		renews: true, longKeys: true, removesValues: true, stopsProviding: true, manyOverTCP: true,
	}
}

// py installs py-libp2p from py/requirements.txt into an environment of its own, and runs py/peer.py in it.
func py(t *testing.T) *stack {
	t.Helper()
	python := needs(t, "python3", "Python 3.11 or newer, with venv and pip")
	dir := madeOnce(t, "py", "py", []string{"requirements.txt"}, func(fresh string) {
		runIn(t, fresh, time.Minute, python, "-m", "venv", "venv")
		runIn(t, fresh, 4*time.Minute, filepath.Join(fresh, "venv", "bin", "python"), "-m", "pip", "install", "--no-deps", "--requirement", "requirements.txt")
	})
	script, err := filepath.Abs(filepath.Join("py", "peer.py"))
	if err != nil {
		t.Fatal(err)
	}
	return &stack{
		name: "py", start: []string{filepath.Join(dir, "venv", "bin", "python"), "-B", script},
		checks: true, pongs: true, removesValues: true,
	}
}
