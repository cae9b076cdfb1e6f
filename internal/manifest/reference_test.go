package manifest_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/manifest"
)

// docs/CONFIG.md must not describe keys that do not exist, and its example must
// be a legal app file.
func TestReference(t *testing.T) {
	text, err := os.ReadFile("../../docs/CONFIG.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "<!-- begin cocaine.toml -->\n```toml\n")
	example, rest, ok := strings.Cut(rest, "```\n<!-- end cocaine.toml -->")
	if !ok {
		t.Fatal("the reference has no example of an app file")
	}
	if _, err := manifest.ParseApp("cocaine.toml", []byte(example)); err != nil {
		t.Errorf("the example: %v", err)
	}
	appTable, rest, _ := strings.Cut(rest, "### manifest.json")
	_, rest, _ = strings.Cut(rest, "Profile:\n")
	profileTable, _, _ := strings.Cut(rest, "## The server")

	appKeys, profileKeys := tableKeys(appTable), tableKeys(profileTable)
	if len(appKeys) != 12 || len(profileKeys) != 20 {
		t.Errorf("the reference lists %d keys of app files and %d of profiles: %q %q", len(appKeys), len(profileKeys), appKeys, profileKeys)
	}
	for _, key := range appKeys {
		_, err := manifest.ParseApp("f", []byte(key+" = 1979-05-27\n"))
		if err == nil || strings.Contains(err.Error(), "unknown key") {
			t.Errorf("%q of app files: %v", key, err)
		}
	}
	for _, key := range profileKeys {
		raw := map[string]any{key: time.Time{}}
		if outer, inner, ok := strings.Cut(key, "."); ok {
			raw = map[string]any{outer: map[string]any{inner: time.Time{}}}
		}
		if _, err := manifest.ParseProfile("p", raw); err == nil {
			t.Errorf("%q means nothing in a profile", key)
		}
	}
}

// tableKeys returns what stands in the first column of a table.
func tableKeys(text string) []string {
	var keys []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(text, -1) {
		keys = append(keys, row[1])
	}
	return keys
}
