package manifest

import (
	"fmt"
	"slices"
	"strings"
)

// MaxNameLength is the longest name of an app.
const MaxNameLength = 128

// ValidateAppName tells why a name cannot be an app's, nil when it can. Apps
// and services share one name space, so the services of the runtime keep their
// names; in the original, an app called "storage" took the storage down.
func ValidateAppName(name string) error {
	if reason := badName(name); reason != "" {
		return fmt.Errorf("cannot use %q as the name of an app: %s", name, reason)
	}
	return nil
}

func badName(name string) string {
	switch {
	case name == "":
		return "it is empty"
	case len(name) > MaxNameLength:
		return fmt.Sprintf("it has %d characters, the limit is %d", len(name), MaxNameLength)
	case name == "." || name == "..":
		return "it means a directory"
	case strings.HasPrefix(name, "-"):
		return `it begins with "-" and would be taken for an option`
	case slices.Contains(ServiceNames(), name):
		return "it is the name of a service"
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
