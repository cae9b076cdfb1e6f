package manifest

import (
	"fmt"
	"slices"
	"strings"
)

// MaxNameLength is the longest name of an app.
const MaxNameLength = 128

// ValidateAppName tells why a name cannot be that of a new app, nil when it can. It is
// stricter than CheckAppName, so that nobody has to quote a name.
func ValidateAppName(name string) error { return cannotUse(name, badName(name)) }

// CheckAppName tells why an app cannot be run by a name, nil when it can. The original
// took any name; refused is what would lead elsewhere. Apps and services share one name
// space, so the services of the runtime keep their names; in the original, an app called
// "storage" took the storage down.
func CheckAppName(name string) error { return cannotUse(name, unusable(name)) }

func cannotUse(name, reason string) error {
	if reason == "" {
		return nil
	}
	return fmt.Errorf("cannot use %q as the name of an app: %s", name, reason)
}

func badName(name string) string {
	if reason := unusable(name); reason != "" {
		return reason
	}
	return unwieldy(name)
}

func unusable(name string) string {
	switch {
	case name == "":
		return "it is empty"
	case len(name) > MaxNameLength:
		return fmt.Sprintf("it has %d characters, the limit is %d", len(name), MaxNameLength)
	case name == "." || name == "..":
		return "it means a directory"
	case strings.ContainsAny(name, "/\x00"):
		return `it contains "/" or a zero byte`
	case slices.Contains(ServiceNames(), name):
		return "it is the name of a service"
	}
	return ""
}

func unwieldy(name string) string {
	if strings.HasPrefix(name, "-") {
		return `it begins with "-" and would be taken for an option`
	}
	for _, c := range name {
		if !isNameChar(c) {
			return fmt.Sprintf(`it contains %q, allowed are letters, digits, "-", "_" and "."`, c)
		}
	}
	return ""
}

func isNameChar(c rune) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		return true
	}
	return false
}

// ServiceNames returns the names that services of the runtime have or had in
// the original, sorted. No app may take one.
func ServiceNames() []string {
	return []string{"admin", "isolate", "locator", "logging", "metrics", "node", "storage", "tvm", "unicat", "unicorn", "uniresis", "vicodyn"}
}
