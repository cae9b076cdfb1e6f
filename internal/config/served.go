package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cocaine/cocaine-go/internal/document"
)

// served remembers how a service was configured, for whoever wants it explained.
func (c *Config) served(name string, t map[string]any, from Origin) {
	key := document.Dotted("services", name)
	c.written[key] = inline(t)
	c.origins[key] = from
}

// services explains the services that the configuration names. They have no default
// and no variable.
func (c *Config) services() []Setting {
	var out []Setting
	for _, key := range slices.Sorted(maps.Keys(c.written)) {
		out = append(out, Setting{Key: key, Value: c.written[key], Origin: c.origins[key],
			Doc: "A service that runs because it is named. The arguments that are not given have the\ndefaults of its type (docs/CONFIG.md, Services)."})
	}
	return out
}

// inline writes a value as TOML in one line.
func inline(v any) string {
	switch v := v.(type) {
	case map[string]any:
		pairs := make([]string, 0, len(v))
		for _, key := range inOrder(v) {
			pairs = append(pairs, document.Dotted(key)+" = "+inline(v[key]))
		}
		if len(pairs) == 0 {
			return "{}"
		}
		return "{ " + strings.Join(pairs, ", ") + " }"
	case []any:
		items := make([]string, len(v))
		for i := range v {
			items[i] = inline(v[i])
		}
		return "[" + strings.Join(items, ", ") + "]"
	case string:
		return document.Quote(v)
	case float64:
		return inlineFloat(v)
	}
	return fmt.Sprint(v)
}

// inlineFloat writes a number so that it is not read as a whole one.
func inlineFloat(f float64) string {
	s := strings.ToLower(strconv.FormatFloat(f, 'f', -1, 64))
	if strings.ContainsAny(s, ".n") { // inf and nan have an n
		return s
	}
	return s + ".0"
}

// inOrder gives the keys of a table, the type of a service first.
func inOrder(t map[string]any) []string {
	keys := slices.Sorted(maps.Keys(t))
	if i := slices.Index(keys, "type"); i > 0 {
		keys = slices.Insert(slices.Delete(keys, i, i+1), 0, "type")
	}
	return keys
}
