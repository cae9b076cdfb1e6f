package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cocaine/cocaine-go/internal/document"
	"github.com/cocaine/cocaine-go/internal/tokens"
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

// tokenList is a list of what tokens.Parse reads.
func tokenList(key string, at func(*Config) *[]string, doc ...string) *setting {
	return newSetting(key, doc, at, asTokens, showTokens, splitList)
}

func asTokens(v any) ([]string, error) {
	entries, ok := v.([]any)
	if !ok {
		return nil, errors.New(`must be a list such as ["ann 1001 SHA256"]`) // it may hold a secret: not repeated
	}
	if len(entries) == 0 {
		return nil, nil
	}
	lines := make([]string, len(entries))
	list := make([]tokens.Token, len(entries))
	for i, entry := range entries {
		line, ok := entry.(string)
		if !ok {
			return nil, fmt.Errorf("the entry %d must be text", i+1)
		}
		var err error
		if list[i], err = tokens.Parse(line); err != nil {
			return nil, fmt.Errorf("the entry %d %w", i+1, err)
		}
		lines[i] = line
	}
	return lines, tokens.Check(list)
}

func showTokens(lines []string) string {
	quoted := make([]string, len(lines))
	for i, line := range lines {
		quoted[i] = document.Quote(line)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

func splitList(s string) any {
	list := []any{}
	if s == "" {
		return list
	}
	for part := range strings.SplitSeq(s, ",") {
		list = append(list, strings.TrimSpace(part))
	}
	return list
}

// optionalFile is a path that may be missing.
func optionalFile(key string, at func(*Config) *string, doc ...string) *setting {
	s := text(key, optionalPath, at, doc...)
	s.path = at
	return s
}

func optionalPath(v any) (string, error) {
	if v == "" {
		return "", nil
	}
	return directoryPath(v)
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
