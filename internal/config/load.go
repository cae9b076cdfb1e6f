package config

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/cocaine/cocaine-go/internal/document"
)

// Load returns the configuration made of the defaults, the file, the
// environment of h and the overrides of the command line, by key, each layer
// over the ones before. An empty path means no file; see [Find].
//
// A file may also be one of the original runtime, of version 2, 3 or 4: what has a
// meaning here is taken over, [Config.Notes] tells the rest.
//
// Relative paths in a file are relative to the file, others to the working
// directory. Every problem is reported, as an *[document.Error].
func Load(path string, h Host, overrides map[string]string) (*Config, error) {
	l := loader{config: Default(h)}
	if path != "" {
		if err := l.readFile(path); err != nil {
			return nil, fmt.Errorf("cannot load configuration: %w", err)
		}
	}
	l.readEnvironment(h)
	l.readOverrides(overrides)
	l.finishPaths()
	l.check()
	if err := l.err(); err != nil {
		return nil, fmt.Errorf("cannot load configuration: %w", err)
	}
	return l.config, nil
}

// loader applies layers to a configuration and collects problems.
type loader struct {
	config   *Config
	doc      *document.Document // nil without a file
	places   map[string]place   // where settings stand in a file of the original; nil of any other
	problems []error
}

// A place is a key of a table.
type place struct {
	table *document.Table
	key   string
}

func (l *loader) err() error {
	if l.doc == nil {
		return errors.Join(l.problems...)
	}
	return errors.Join(append([]error{l.doc.Err()}, l.problems...)...)
}

func (l *loader) readFile(path string) error {
	text, err := readLimited(path)
	if err != nil {
		return err
	}
	if isOriginal(text) {
		return l.readOriginal(path, text)
	}
	if l.doc, err = document.ParseTOML(path, text); err != nil {
		return err
	}
	root := l.doc.Root()
	sections := make(map[string][]string)
	for _, s := range settings() {
		sections[s.section()] = append(sections[s.section()], s.name())
	}
	root.Only(append(slices.Collect(maps.Keys(sections)), "services")...)
	l.readServices(root)
	tables := make(map[string]*document.Table)
	for _, section := range slices.Sorted(maps.Keys(sections)) {
		if table := root.Table(section); table != nil {
			table.Only(sections[section]...)
			tables[section] = table
		}
	}
	for _, s := range settings() {
		if table := tables[s.section()]; table != nil && table.Has(s.name()) {
			l.apply(s, table.Values()[s.name()], Origin{Layer: File, Name: path, Position: table.Position(s.name())})
		}
	}
	return nil
}

// readLimited reads a file no larger than a configuration can be.
func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, document.MaxSize+1))
}

// clientVariables have the names of sections, and are about connecting to a server.
var clientVariables = []string{"COCAINE_TLS_CA", "COCAINE_TLS_NAME"}

// readEnvironment applies the variables of settings. A variable that has the
// name of a section but of none of its settings is a mistake; other variables
// that begin with COCAINE_ belong to others.
func (l *loader) readEnvironment(h Host) {
	known := make(map[string]*setting)
	sections := make(map[string]bool)
	for _, s := range settings() {
		known[s.env()] = s
		sections[envPrefix+strings.ToUpper(s.section())+"_"] = true
	}
	names := slices.Sorted(maps.Keys(known))
	for _, entry := range slices.Sorted(slices.Values(h.Environ)) {
		name, _, _ := strings.Cut(entry, "=")
		value, ok := h.lookup(name)
		if !ok || !strings.HasPrefix(name, envPrefix) {
			continue
		}
		if s := known[name]; s != nil {
			l.applyText(s, value, Origin{Layer: Environment, Name: name})
			delete(known, name) // a name that is given twice is applied once
			continue
		}
		if slices.Contains(clientVariables, name) {
			continue
		}
		for prefix := range sections {
			if strings.HasPrefix(name, prefix) && !slices.Contains(names, name) {
				l.unknown("$"+name, "no such setting", document.Suggest(name, names))
			}
		}
	}
}

func (l *loader) readOverrides(overrides map[string]string) {
	known := make(map[string]*setting)
	for _, s := range settings() {
		known[s.key] = s
	}
	for _, key := range slices.Sorted(maps.Keys(overrides)) {
		s := known[key]
		if s == nil {
			l.unknown(commandLine, fmt.Sprintf("no such setting %q", key), document.Suggest(key, slices.Sorted(maps.Keys(known))))
			continue
		}
		l.applyText(s, overrides[key], Origin{Layer: CommandLine})
	}
}

func (l *loader) unknown(where, reason, near string) {
	if near != "" {
		reason += fmt.Sprintf(" (did you mean %q?)", near)
	}
	l.problems = append(l.problems, &document.Error{File: where, Reason: reason})
}

// apply sets a setting and notes where its value came from.
func (l *loader) apply(s *setting, v any, from Origin) {
	l.config.origins[s.key] = from
	if err := s.set(l.config, v); err != nil {
		l.problem(s.key, "%v", err)
	}
}

// applyText sets a setting from text. TOML is UTF-8; so is what stands in for it.
func (l *loader) applyText(s *setting, text string, from Origin) {
	if !utf8.ValidString(text) {
		l.config.origins[s.key] = from
		l.problem(s.key, "must be valid UTF-8, have %q", text)
		return
	}
	l.apply(s, s.parse(text), from)
}

// problem records what is wrong with a setting, at the place that it was given.
func (l *loader) problem(key, format string, args ...any) {
	from := l.config.origins[key]
	if at, ok := l.places[key]; ok && from.Layer == File {
		at.table.Problem(at.key, format, args...)
		return
	}
	if from.Layer == File {
		section, name, _ := strings.Cut(key, ".")
		l.doc.Root().Table(section).Problem(name, format, args...)
		return
	}
	l.problems = append(l.problems, &document.Error{File: from.String(), Key: key, Reason: fmt.Sprintf(format, args...)})
}

// finishPaths makes paths absolute and lets the spool follow the state
// directory.
func (l *loader) finishPaths() {
	for _, s := range settings() {
		if s.path == nil {
			continue
		}
		path := s.path(l.config)
		if *path == "" {
			continue // none
		}
		if from := l.config.origins[s.key]; from.Layer == File && !filepath.IsAbs(*path) {
			*path = filepath.Join(filepath.Dir(from.Name), *path)
		}
		abs, err := filepath.Abs(*path)
		if err != nil {
			l.problem(s.key, "cannot make %q absolute: %v", *path, err)
			continue
		}
		*path = abs
	}
	_, stateGiven := l.config.origins["paths.state"]
	_, spoolGiven := l.config.origins["paths.spool"]
	if stateGiven && !spoolGiven {
		l.config.Paths.Spool = spoolIn(l.config.Paths.State)
	}
}

// check looks at settings that depend on each other.
func (l *loader) check() {
	l.checkNetwork()
	if a := &l.config.Authentication; a.Type == ByToken && len(a.Tokens) == 0 && a.TokenFile == "" {
		l.problem("authentication.type", "needs tokens: give authentication.tokens or authentication.token-file, else nobody is let in")
	}
	if path := l.config.Paths.Runtime; len(path) > MaxRuntimePath {
		l.problem("paths.runtime", "must be at most %d bytes long, because the system limits the length of socket paths, have %d (%q)",
			MaxRuntimePath, len(path), path)
	}
}

func (l *loader) checkTLS() {
	t := l.config.TLS
	if (t.Cert == "") != (t.Key == "") {
		given := "tls.cert"
		if t.Cert == "" {
			given = "tls.key"
		}
		l.problem(given, "tls.cert and tls.key are of no use without each other")
	}
	if t.ClientCA != "" && t.Cert == "" {
		l.problem("tls.client-ca", "is of no use without tls.cert and tls.key")
	}
}

func (l *loader) checkNetwork() {
	n := &l.config.Network
	safe := l.config.TLS.Cert != "" && l.config.Authentication.Type == ByToken
	if addr, err := netip.ParseAddr(n.Endpoint); err == nil && !addr.Unmap().IsLoopback() && !n.Insecure && !safe {
		l.problem("network.endpoint", "must be a loopback address such as 127.0.0.1, have %q: whoever reaches it can run code on this machine; "+
			"set tls.cert, tls.key and authentication.type = \"token\", or network.insecure = true if every machine that can reach it is trusted", n.Endpoint)
	}
	l.checkTLS()
	taken := map[int]string{n.Port: "the locator"}
	for _, service := range slices.Sorted(maps.Keys(n.Pinned)) {
		port := n.Pinned[service]
		if holder, ok := taken[port]; ok {
			l.problem("network.pinned", "port %d of %q is taken by %s", port, service, holder)
		}
		taken[port] = fmt.Sprintf("%q", service)
	}
}
