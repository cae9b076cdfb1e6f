package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cocaine/cocaine-go/internal/document"
)

// A Note is about a key of a configuration of the original runtime that has no
// meaning here, or another one.
type Note struct {
	File     string
	Position document.Position
	Key      string // dotted, as in the file
	Text     string
}

// String returns "FILE:LINE:COLUMN: KEY: TEXT".
func (n Note) String() string {
	return fmt.Sprintf("%s:%d:%d: %s: %s", n.File, n.Position.Line, n.Position.Column, n.Key, n.Text)
}

// Notes returns what a person should know of a configuration that was written for
// the original runtime, in the order of the file. Of any other it is empty.
func (c *Config) Notes() []Note { return slices.Clone(c.notes) }

// originalSettings maps keys of the original to ours, by the version that the file
// says it is of.
func originalSettings(version int) map[string]string {
	keys := map[string]string{
		"paths.runtime":               "paths.runtime",
		"paths.spool":                 "paths.spool",
		"services.node.args.runlist":  "node.runlist",
		"authentications.core.type":   "authentication.type",
		"authorizations.storage.type": "authorizations.storage",
		"authorizations.unicorn.type": "authorizations.unicorn",
		"authorizations.event.type":   "authorizations.event",
	}
	maps.Copy(keys, originalCluster(version))
	if version == 2 {
		maps.Copy(keys, map[string]string{
			"locator.endpoint":            "network.endpoint",
			"locator.hostname":            "network.hostname",
			"locator.port":                "network.port",
			"locator.port-range":          "network.shared",
			"loggers.core.args.verbosity": "logging.severity",
		})
		return keys
	}
	maps.Copy(keys, map[string]string{
		"network.endpoint":       "network.endpoint",
		"network.hostname":       "network.hostname",
		"network.shared":         "network.shared",
		"network.pinned":         "network.pinned", // but for the locator: see pinned
		"network.pinned.locator": "network.port",
	})
	if version == 3 {
		keys["logging.core.verbosity"] = "logging.severity"
	} else {
		keys["logging.severity"] = "logging.severity"
	}
	return keys
}

// originalReasons tell why a key has no meaning here. A key without a reason of its
// own has that of the closest one around it.
func originalReasons() map[string]string {
	return map[string]string{
		"":                 "this runtime does not know it",
		"paths.plugins":    "there are no plugins: what they did is built in, or is not there",
		"network":          "this runtime does not know it",
		"network.pool":     "the number of threads is not a setting",
		"services":         "there is no service of this type",
		"services.locator": "the service takes no such argument",
		"services.logging": "the service takes no such argument",
		"services.node":    "the service takes no such argument",
		"services.storage": "the service takes no such argument",
		"services.unicorn": "the service takes no such argument",
		"storages":         "records are kept in paths.state, by one storage",
		"unicorns":         "coordination is built in",
		"logging":          "the log goes to standard error; logging.format says in which form",
		"loggers":          "the log goes to standard error; logging.format says in which form",
		"authentications":  "services know one way to tell callers apart, that of core",
		"authorizations":   "there is no such kind of permissions",
		"authorizations.storage.args.cache_duration": "nothing is cached: permissions count at once",
		"context": "connections are spread over threads by themselves",
		"uuid":    "the identity of the node is kept in paths.state",
	}
}

// silent keys need no note: they say what is so anyway.
func silentOriginal(path []string) bool {
	if len(path) == 1 {
		return path[0] == "version"
	}
	if path[0] == "authorizations" && len(path) == 4 && path[2] == "args" {
		return path[3] == "backend" || path[3] == "unicorn" // there is one storage, and one unicorn
	}
	if path[0] != "services" || !slices.Contains([]string{"locator", "logging", "node", "storage", "unicorn"}, path[1]) {
		return false
	}
	rest := strings.Join(path[2:], ".")
	return rest == "type" || rest == "args.backend" || rest == "args.source"
}

// original reads a configuration of the original runtime.
type original struct {
	*loader
	file     string
	settings map[string]string   // ours by the original's
	known    map[string]*setting // by key
}

// readOriginal applies what a configuration of the original runtime says, and notes
// what it says in vain.
func (l *loader) readOriginal(file string, text []byte) error {
	var err error
	if l.doc, err = document.ParseJSON(file, plainJSON(text)); err != nil {
		return err
	}
	root := l.doc.Root()
	var version int64
	document.Read(root, "version", originalVersion, &version)
	if !root.Has("version") {
		root.Problem("", "a configuration in JSON is one of the original runtime, and must say of which version: 2, 3 or 4")
	}
	if l.doc.Err() != nil {
		return nil // Load reports it
	}
	o := original{loader: l, file: file, settings: originalSettings(int(version)), known: make(map[string]*setting)}
	for _, s := range settings() {
		o.known[s.key] = s
	}
	l.places = make(map[string]place)
	o.walk(root, nil)
	o.finishCluster()
	slices.SortStableFunc(l.config.notes, func(a, b Note) int {
		return cmp.Or(cmp.Compare(a.Position.Line, b.Position.Line), cmp.Compare(a.Position.Column, b.Position.Column))
	})
	return nil
}

func originalVersion(v any) (int64, error) {
	n, err := document.Int(2, 4)(v)
	return int64(n), err
}

// walk applies or notes each key of a table.
func (o *original) walk(t *document.Table, path []string) {
	for _, key := range slices.Sorted(maps.Keys(t.Values())) {
		at := append(path[:len(path):len(path)], key)
		dotted := strings.Join(at, ".")
		switch {
		case dotted == "network.pinned" && o.settings[dotted] != "":
			o.pinned(t)
		case o.cluster(t, key, dotted):
		case o.settings[dotted] != "":
			o.take(t, key, o.settings[dotted], t.Values()[key])
		case silentOriginal(at):
		case dotted == "storages.core":
			o.storage(t, key)
		case len(at) == 2 && at[0] == "services" && o.service(t, key):
		case o.leads(dotted):
			if inner := t.Table(key); inner != nil {
				o.walk(inner, at)
			}
		default:
			o.note(t, key, dotted, o.reason(at))
		}
	}
}

// leads reports whether there are keys with a meaning below one.
func (o *original) leads(dotted string) bool {
	switch dotted {
	case "services", "services.locator", "services.logging", "services.storage", "services.unicorn",
		"services.locator.args", "services.logging.args", "services.storage.args", "services.unicorn.args", "storages",
		"authorizations.storage.args", "authorizations.unicorn.args", "authorizations.event.args":
		return true
	}
	for key := range o.settings {
		if strings.HasPrefix(key, dotted+".") {
			return true
		}
	}
	return false
}

func (o *original) take(t *document.Table, key, ours string, value any) {
	o.places[ours] = place{t, key}
	o.apply(o.known[ours], value, Origin{Layer: File, Name: o.file, Position: t.Position(key)})
}

// pinned splits the locator's port from those of other services.
func (o *original) pinned(t *document.Table) {
	table := t.Table("pinned")
	if table == nil {
		return
	}
	others := maps.Clone(table.Values())
	if port, ok := others["locator"]; ok {
		delete(others, "locator")
		o.take(table, "locator", "network.port", port)
	}
	if len(others) > 0 {
		o.take(t, "pinned", "network.pinned", others)
	}
}

// storage tells how to get at the records that the original kept in files.
func (o *original) storage(t *document.Table, key string) {
	core := t.Table(key)
	if core == nil {
		return
	}
	text := originalReasons()["storages"]
	if args, ok := core.Values()["args"].(map[string]any); ok && core.Values()["type"] == "files" {
		if dir, ok := args["path"].(string); ok && dir != "" {
			text = fmt.Sprintf("records are kept in paths.state; to take over those of the original: cocaine import %s", dir)
		}
	}
	o.note(t, key, "storages.core", text)
}

func (o *original) note(t *document.Table, key, dotted, text string) {
	o.config.notes = append(o.config.notes, Note{File: o.file, Position: t.Position(key), Key: dotted, Text: text})
}

// reason finds why a key has no meaning.
func (o *original) reason(path []string) string {
	reasons := originalReasons()
	for n := len(path); n > 0; n-- {
		if text := reasons[strings.Join(path[:n], ".")]; text != "" {
			return text
		}
	}
	return reasons[""]
}
