package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cocaine/cocaine-go/internal/document"
)

// typeOf accepts one of some types, by its name or as a table { type = "..." } such as
// the original has for its components. Their arguments say where the permissions are
// kept and for how long they are cached: here there is one place, and no cache.
func typeOf(names ...string) func(any) (string, error) {
	one := document.OneOf(names...)
	return func(v any) (string, error) {
		table, ok := v.(map[string]any)
		if !ok {
			return one(v)
		}
		for _, key := range slices.Sorted(maps.Keys(table)) {
			if key != "type" {
				return "", fmt.Errorf("must be a type, or a table with nothing but a type; there is no %q", key)
			}
		}
		typ, ok := table["type"]
		if !ok {
			return "", fmt.Errorf("must have a type, such as %q", names[len(names)-1])
		}
		return one(typ)
	}
}

func userIDs(key string, at func(*Config) *map[string]uint64, doc ...string) *setting {
	return newSetting(key, doc, at, asUserIDs, showUserIDs, parsePinned)
}

// asUserIDs accepts a table of user ids by app.
func asUserIDs(v any) (map[string]uint64, error) {
	table, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("must be a table such as { hello = 1001 }, have %s", document.Describe(v))
	}
	ids := make(map[string]uint64, len(table))
	for _, app := range slices.Sorted(maps.Keys(table)) {
		id, ok := table[app].(int64)
		switch {
		case app == "":
			return nil, errors.New("an app must have a name")
		case !ok || id < 0:
			return nil, fmt.Errorf("user id of %q must be a whole number from 0 on, have %s", app, document.Describe(table[app]))
		}
		ids[app] = uint64(id)
	}
	return ids, nil
}

func showUserIDs(ids map[string]uint64) string {
	if len(ids) == 0 {
		return "{}"
	}
	var pairs []string
	for _, app := range slices.Sorted(maps.Keys(ids)) {
		pairs = append(pairs, fmt.Sprintf("%s = %d", document.Dotted(app), ids[app]))
	}
	return "{ " + strings.Join(pairs, ", ") + " }"
}
