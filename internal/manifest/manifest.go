// Package manifest describes apps: what to run ([Manifest]), how ([Profile]),
// which apps a node starts by itself ([Runlist]), and the one file that says it
// all for people ([App], cocaine.toml).
//
//	cocaine.toml ──ParseApp──▶ App ──▶ Manifest, Profile
//	manifest.json, profile.json ──DecodeManifestJSON, DecodeProfileJSON──▶   "
//	storage records (msgpack) ──DecodeManifest, DecodeProfile──▶             "
//	                                       Encode ──▶ storage records
//
// Guarantees:
//
//  1. Every form goes through the same checks; a value that was parsed is valid.
//  2. All problems are reported at once, each naming its field and, when the
//     value came from a file, its line and column.
//  3. Keys this package does not know survive: they are kept in Raw and written
//     back as they came, so records of other versions are never damaged.
//  4. Records are written in the old msgpack dialect (PROTOCOL.md, "Dialect"),
//     and both dialects are read.
//
// Field names, defaults and their meaning follow the original v0.12 runtime;
// where v0.11 called a thing differently, its name is accepted too. The
// differences are stated at the fields.
//
// Parsed values are plain data: safe to share between goroutines as long as
// nobody changes them.
package manifest

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cocaine/cocaine-go/internal/document"
)

// Keys of a manifest.
const (
	keySlave       = "slave"
	keyArgs        = "args"
	keyEnvironment = "environment"
)

// Manifest says what an app runs.
type Manifest struct {
	// Slave is the program of a worker; the old word for worker is slave. See
	// Executable for how it is looked up.
	Slave string

	// Args come before the flags that the runtime passes to every worker. The
	// original knows no such key and ignores it.
	Args []string

	// Environment is added to the worker's environment.
	Environment map[string]string

	// Raw is the manifest as it was parsed, unknown keys included; nil when it
	// was built by hand.
	Raw map[string]any
}

// ParseManifest reads a decoded manifest. The name is the app's, for errors.
func ParseManifest(name string, raw map[string]any) (*Manifest, error) {
	return readManifest(name, document.FromMap(raw))
}

// DecodeManifest reads a manifest from its storage record.
func DecodeManifest(name string, record []byte) (*Manifest, error) {
	raw, err := decodeMap(record)
	if err != nil {
		return nil, fmt.Errorf("cannot use manifest %q: %w", name, err)
	}
	return ParseManifest(name, raw)
}

// DecodeManifestJSON reads a manifest.json. The name of the file appears in
// errors.
func DecodeManifestJSON(name, file string, text []byte) (*Manifest, error) {
	doc, err := document.ParseJSON(file, text)
	if err != nil {
		return nil, fmt.Errorf("cannot use manifest %q: %w", name, err)
	}
	return readManifest(name, doc)
}

func readManifest(name string, doc *document.Document) (*Manifest, error) {
	root := doc.Root()
	m := &Manifest{Raw: root.Values()}
	if !root.Has(keySlave) {
		root.Problem(keySlave, "must name the program to run")
	}
	document.Read(root, keySlave, program, &m.Slave)
	document.Read(root, keyArgs, arguments, &m.Args)
	m.Environment = readEnvironment(root, keyEnvironment)
	if err := doc.Err(); err != nil {
		return nil, fmt.Errorf("cannot use manifest %q: %w", name, err)
	}
	return m, nil
}

// Map returns the manifest as a record holds it: what was parsed, overlaid with
// the fields.
func (m *Manifest) Map() map[string]any {
	out := maps.Clone(m.Raw)
	if out == nil {
		out = make(map[string]any)
	}
	out[keySlave] = m.Slave
	setOrDelete(out, keyArgs, m.Args, len(m.Args) > 0)
	setOrDelete(out, keyEnvironment, m.Environment, len(m.Environment) > 0)
	return out
}

// setOrDelete keeps an empty value out of a record, unless it stood there.
func setOrDelete[V any](m map[string]any, key string, v V, use bool) {
	if _, stood := m[key]; use || stood {
		m[key] = v
	}
}

// Encode returns the manifest as a storage record.
func (m *Manifest) Encode() ([]byte, error) {
	b, err := encodeMap(m.Map())
	if err != nil {
		return nil, fmt.Errorf("cannot encode manifest: %w", err)
	}
	return b, nil
}

// Executable returns the path of the program for an app unpacked in dir. A
// relative path leads into dir, as in the original. One thing is added to that
// rule: a bare name ("python3") that is no file in dir is returned as it is, to
// be found in PATH by whoever runs it.
func (m *Manifest) Executable(dir string) string {
	if filepath.IsAbs(m.Slave) {
		return m.Slave
	}
	inside := filepath.Join(dir, m.Slave)
	if !strings.ContainsRune(m.Slave, '/') {
		if _, err := os.Stat(inside); err != nil {
			return m.Slave
		}
	}
	return inside
}

// program accepts the name of an executable that cannot leave the app's
// directory by "..".
func program(v any) (string, error) {
	s, err := document.NonEmpty(v)
	switch {
	case err != nil:
		return "", err
	case strings.ContainsRune(s, 0):
		return "", fmt.Errorf("must not contain a zero byte, have %q", s)
	case !filepath.IsAbs(s) && !filepath.IsLocal(s):
		return "", fmt.Errorf("must stay inside the app's directory, have %q", s)
	}
	return s, nil
}

func arguments(v any) ([]string, error) {
	args, err := document.Strings(v)
	if err != nil {
		return nil, err
	}
	for i, arg := range args {
		if strings.ContainsRune(arg, 0) {
			return nil, fmt.Errorf("element %d must not contain a zero byte", i+1)
		}
	}
	return args, nil
}

// readEnvironment reads a table of variables. Numbers and booleans are taken as
// their text, as v0.11 does; v0.12 refuses them, which helps nobody.
func readEnvironment(t *document.Table, key string) map[string]string {
	if v, ok := t.Values()[key]; !ok || v == nil {
		return nil
	}
	table := t.Table(key)
	if table == nil {
		return nil
	}
	env := make(map[string]string, len(table.Values()))
	for _, name := range slices.Sorted(maps.Keys(table.Values())) {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			table.Problem(name, "is no name for a variable")
			continue
		}
		var value string
		if document.Read(table, name, variable, &value) {
			env[name] = value
		}
	}
	return env
}

// variable accepts the value of an environment variable.
func variable(v any) (string, error) {
	switch v := v.(type) {
	case string:
		if strings.ContainsRune(v, 0) {
			return "", fmt.Errorf("must not contain a zero byte")
		}
		return v, nil
	case bool, int, int64, uint64, float64:
		return document.Describe(v), nil
	}
	return "", fmt.Errorf("must be a string, have %s", document.Describe(v))
}
