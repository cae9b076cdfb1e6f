package manifest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cocaine/cocaine-go/internal/document"
)

// AppFile is the name of the app file.
const AppFile = "cocaine.toml"

// App is what an app file says. The file is for people: it has few keys, their
// names are short, times and sizes have units, and a key that means nothing is
// an error. docs/CONFIG.md is its reference.
type App struct {
	// Name is the app's name, empty when the file leaves it to the directory.
	Name string

	// Run is the program of a worker and its arguments, empty when the file
	// leaves it to what is built from the source.
	Run []string

	// Build is the command that makes the program. It is nil when the file has
	// no such key, and empty when the file says that there is nothing to build.
	Build []string

	// Environment is added to the worker's environment.
	Environment map[string]string

	// Profile holds what the file says about the pool, limits and health, and
	// defaults for the rest.
	Profile *Profile
}

// ParseApp reads an app file. The name of the file appears in errors.
func ParseApp(file string, text []byte) (*App, error) {
	doc, err := document.ParseTOML(file, text)
	if err != nil {
		return nil, fmt.Errorf("cannot use app file: %w", err)
	}
	root := doc.Root()
	root.Only("name", "run", "build", "pool", "limits", "health", "env")
	a := &App{}
	if document.Read(root, "name", document.String, &a.Name) {
		if reason := badName(a.Name); reason != "" {
			root.Problem("name", "cannot use %q: %s", a.Name, reason)
		}
	}
	document.Read(root, "run", runCommand, &a.Run)
	document.Read(root, "build", buildCommand, &a.Build)
	a.Environment = readEnvironment(root, "env")
	profile := readAppProfile(root)
	if err := doc.Err(); err != nil {
		return nil, fmt.Errorf("cannot use app file: %w", err)
	}
	if a.Profile, err = ParseProfile(a.Name, profile); err != nil {
		return nil, err
	}
	return a, nil
}

// Manifest returns the manifest that the file amounts to. Without Run it has no
// program yet.
func (a *App) Manifest() *Manifest {
	m := &Manifest{Environment: a.Environment}
	if len(a.Run) > 0 {
		m.Slave, m.Args = a.Run[0], slices.Clone(a.Run[1:])
	}
	return m
}

// readAppProfile translates the tables of an app file into the keys of a
// profile. Only what the file gives is written: the record stays as short as
// the file.
func readAppProfile(root *document.Table) map[string]any {
	profile := make(map[string]any)
	readPool(root.Table("pool"), profile)
	readLimits(root.Table("limits"), profile)
	readHealth(root.Table("health"), profile)
	return profile
}

func readPool(pool *document.Table, profile map[string]any) {
	if pool == nil {
		return
	}
	pool.Only("min", "max", "concurrency", "queue", "idle")
	limit, least := DefaultProfile().PoolLimit, 0
	for _, k := range []struct {
		key, profileKey string
		least           int
		keep            *int
	}{
		{"max", keyPoolLimit, 1, &limit},
		{"min", keyPoolMin, 0, &least},
		{"concurrency", "concurrency", 1, new(int)},
		{"queue", keyQueueLimit, UnlimitedQueue, new(int)},
	} {
		if document.Read(pool, k.key, document.Int(k.least, maxCount), k.keep) {
			profile[k.profileKey] = int64(*k.keep)
		}
	}
	if least > limit {
		pool.Problem("min", "must be at most pool.max (%d), have %d", limit, least)
	}
	var idle time.Duration
	if document.Read(pool, "idle", document.Duration(0), &idle) {
		profile["idle-timeout"] = inSeconds(idle)
	}
}

func readLimits(limits *document.Table, profile map[string]any) {
	if limits == nil {
		return
	}
	limits.Only("memory", "cpu")
	args := make(map[string]any)
	var memory int64
	if document.Read(limits, "memory", document.Size(1), &memory) {
		args[keyMemoryLimit] = memory
	}
	var cpu float64
	if document.Read(limits, "cpu", processors, &cpu) {
		args[keyCPULimit] = cpu
	}
	if len(args) > 0 {
		profile[keyIsolate] = map[string]any{keyIsolateType: defaultIsolateType, keyIsolateArgs: args}
	}
}

func readHealth(health *document.Table, profile map[string]any) {
	if health == nil {
		return
	}
	health.Only("startup")
	var startup time.Duration
	if document.Read(health, "startup", document.Duration(time.Millisecond), &startup) {
		profile[keySpawn] = inSeconds(startup)
		profile["handshake-timeout"] = inSeconds(startup)
	}
}

// runCommand accepts a list of words, or text that needs no shell to be split.
func runCommand(v any) ([]string, error) {
	words, err := commandWords(v)
	if err != nil {
		return nil, err
	}
	if len(words) == 0 {
		return nil, errors.New("must name the program to run")
	}
	if _, err := program(words[0]); err != nil {
		return nil, err
	}
	return arguments(words)
}

func commandWords(v any) ([]string, error) {
	s, ok := v.(string)
	if !ok {
		words, err := document.Strings(v)
		if err != nil {
			return nil, fmt.Errorf("must be a command or a list of its words, have %s", document.Describe(v))
		}
		return words, nil
	}
	const special = "\"'`\\$&|;<>()*?[]{}~#\n"
	if i := strings.IndexAny(s, special); i >= 0 {
		return nil, fmt.Errorf(`is not run by a shell and cannot contain %q: write a list, such as ["./hello", "a b"]`, s[i])
	}
	return strings.Fields(s), nil
}

// buildCommand accepts a list of words, or text for the shell.
func buildCommand(v any) ([]string, error) {
	if s, ok := v.(string); ok {
		if strings.TrimSpace(s) == "" {
			return []string{}, nil
		}
		return []string{"/bin/sh", "-c", s}, nil
	}
	words, err := document.Strings(v)
	if err != nil {
		return nil, fmt.Errorf("must be a command or a list of its words, have %s", document.Describe(v))
	}
	return words, nil
}
