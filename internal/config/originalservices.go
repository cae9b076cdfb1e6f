package config

import (
	"fmt"
	"maps"
	"slices"

	"github.com/cocaine/cocaine-go/internal/document"
)

// originalArgs are the arguments of services that mean here what they meant there, by
// type.
var originalArgs = map[string][]string{
	"cache":       {"max-size"},
	"logging::v2": {"default_metafilter", "unicorn_path"},
	"uniresis":    {"prefix", "restrictions"},
	"urlfetch":    {"connections-limit"},
}

// builtIn are the types of the services that always run, and under which name they do.
var builtIn = map[string]string{
	"locator": "locator", "logging": "logging", "node": "node", "node::v2": "node", "storage": "storage", "unicorn": "unicorn",
}

// service takes over a service that does not always run. It reports false for one that
// does, whose arguments are settings.
func (o *original) service(all *document.Table, name string) bool {
	t, ok := all.Values()[name].(map[string]any)
	kind, _ := t["type"].(string)
	dotted := "services." + name
	switch always := builtIn[kind]; {
	case !ok:
		all.Table(name) // tells what is wrong
	case replaceable[name] != "" && kind == replaceable[name]:
		o.takeService(all, name, kind)
	case slices.Contains(fixedServices, name) || replaceable[name] != "":
		return false
	case always != "":
		o.note(all, name, dotted, fmt.Sprintf("a service of type %s always runs, under the name %s alone", kind, always))
	case serviceTypes[kind] == nil:
		o.note(all, name, dotted, o.reason([]string{"services", name}))
	default:
		o.takeService(all, name, kind)
	}
	return true
}

func (o *original) takeService(all *document.Table, name, kind string) {
	if reason := unfitName(name); reason != "" {
		all.Problem(name, "%s", reason)
		return
	}
	t := all.Table(name)
	if t == nil {
		return
	}
	s := Service{Type: kind}
	args := new(document.Table)
	if t.Has("args") {
		if args = t.Table("args"); args == nil {
			return
		}
	}
	var vain []string
	for _, arg := range slices.Sorted(maps.Keys(args.Values())) {
		if !slices.Contains(originalArgs[kind], arg) {
			vain = append(vain, arg)
			o.note(args, arg, document.Dotted("services", name, "args", arg), "the service takes no such argument")
		}
	}
	args = args.Without(vain...)
	s.Args = serviceTypes[kind](args)
	o.config.Services[name] = s
	o.config.writtenOriginal(name, kind, args, Origin{Layer: File, Name: o.file, Position: all.Position(name)})
}

// writtenOriginal remembers a service as it would be written here.
func (c *Config) writtenOriginal(name, kind string, args *document.Table, from Origin) {
	t := map[string]any{"type": kind}
	if len(args.Values()) > 0 {
		t["args"] = args.Values()
	}
	c.served(name, t, from)
}
