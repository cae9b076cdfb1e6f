package config

import (
	"fmt"

	"github.com/cocaine/cocaine-go/internal/document"
)

// Layer is a source of settings. Later layers win over earlier ones.
type Layer int

// The layers, in the order of their strength.
const (
	BuiltIn Layer = iota
	File
	Environment
	CommandLine
)

// Origin says where the value of a setting came from.
type Origin struct {
	Layer    Layer
	Name     string            // the file or the variable
	Position document.Position // in the file
}

const commandLine = "command line"

// String names the origin: "default", "server.toml:3:8", "$COCAINE_NETWORK_PORT"
// or "command line".
func (o Origin) String() string {
	switch o.Layer {
	case File:
		return fmt.Sprintf("%s:%d:%d", o.Name, o.Position.Line, o.Position.Column)
	case Environment:
		return "$" + o.Name
	case CommandLine:
		return commandLine
	default:
		return "default"
	}
}

// Setting is one setting of a configuration, explained.
type Setting struct {
	Key     string // such as "network.port"
	Env     string // the environment variable that sets it; "" of a service
	Doc     string // what it means, in lines
	Value   string // as TOML; passwords in it are hidden
	Default string // as TOML; "" of a service
	Origin  Origin
}

// Settings returns every setting, sections together, in the order of the
// documentation, and behind them the services that the configuration names.
func (c *Config) Settings() []Setting {
	var out []Setting
	for _, s := range settings() {
		out = append(out, c.explain(s))
	}
	return append(out, c.services()...)
}

// Setting returns the setting of that key.
func (c *Config) Setting(key string) (Setting, error) {
	var known []string
	for _, s := range settings() {
		if s.key == key {
			return c.explain(s), nil
		}
		known = append(known, s.key)
	}
	for _, s := range c.services() {
		if s.Key == key {
			return s, nil
		}
		known = append(known, s.Key)
	}
	err := fmt.Errorf("cannot explain %q: no such setting", key)
	if near := document.Suggest(key, known); near != "" {
		err = fmt.Errorf("%w (did you mean %q?)", err, near)
	}
	return Setting{}, err
}

func (c *Config) explain(s *setting) Setting {
	return Setting{
		Key:     s.key,
		Env:     s.env(),
		Doc:     s.doc,
		Value:   s.show(c),
		Default: c.defaults[s.key],
		Origin:  c.origins[s.key],
	}
}
