package isolate

import (
	"slices"
	"strings"
)

// Environ returns the environment of a worker: base, as a rule the runtime's own,
// less what is the runtime's business, then add. Every name occurs once and the
// last value wins; the original left both in, and which one a worker saw depended
// on its C library.
func Environ(base []string, add ...string) []string {
	env := make([]string, 0, len(base)+len(add))
	place := make(map[string]int, len(base)+len(add))
	set := func(variable string) {
		name, _, ok := strings.Cut(variable, "=")
		if !ok || name == "" {
			return
		}
		if at, ok := place[name]; ok {
			env[at] = variable
			return
		}
		place[name] = len(env)
		env = append(env, variable)
	}
	for _, variable := range base {
		if name, _, _ := strings.Cut(variable, "="); !private(name) {
			set(variable)
		}
	}
	for _, variable := range add {
		set(variable)
	}
	return env
}

// private reports variables that speak to the runtime alone: its configuration,
// which may hold tokens, and its side of the bargain with the service manager,
// which a worker would take for its own.
func private(name string) bool {
	if strings.HasPrefix(name, "COCAINE_") {
		return true
	}
	return slices.Contains([]string{
		"NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "LISTEN_PIDFDID",
		"WATCHDOG_PID", "WATCHDOG_USEC", "CREDENTIALS_DIRECTORY", "JOURNAL_STREAM", "INVOCATION_ID",
	}, name)
}

// Lookup returns the value of a variable in an environment.
func Lookup(env []string, name string) (string, bool) {
	for _, variable := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(variable, name+"="); ok {
			return value, true
		}
	}
	return "", false
}
