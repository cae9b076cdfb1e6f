package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cocaine/cocaine-go/internal/document"
)

// Service is a service that runs because the configuration names it.
type Service struct {
	// Type is what it is, by the name that the original has for it: "cache".
	Type string
	// Args are the arguments of its type, with their defaults: CacheArgs,
	// ChronoArgs, UniresisArgs, URLFetchArgs or LoggingArgs; nil for a type without.
	Args any
}

// CacheArgs configure a service of type cache.
type CacheArgs struct {
	MaxSize  int   // entries
	MaxBytes int64 // bytes of keys and values together
}

// ChronoArgs configure a service of type chrono.
type ChronoArgs struct {
	MaxTimers int // timers of one connection
}

// UniresisArgs configure a service of type uniresis.
type UniresisArgs struct {
	Prefix string // path in unicorn under which the node's resources are told
	CPU    int    // most processors that are told; 0: all there are
	Memory int64  // most bytes of memory that are told; 0: all there are
}

// URLFetchArgs configure a service of type urlfetch.
type URLFetchArgs struct {
	Connections int           // requests at once
	MaxBytes    int64         // bytes of an answer's body
	MaxTime     time.Duration // longest time that a client may ask for
	Redirects   int           // redirects that are followed
	LinkLocal   bool          // whether link-local addresses may be reached
}

// LoggingArgs configure a service of type logging::v2.
type LoggingArgs struct {
	UnicornPath string // where the filters of the cluster are
	Filters     []any  // filters of the logger default, in the notation of set_filter
}

// serviceTypes are the types that can be named, with what reads their arguments.
var serviceTypes = map[string]func(t *document.Table) any{
	"cache":       readCacheArgs,
	"chrono":      readChronoArgs,
	"echo":        readNoArgs,
	"logging::v2": readLoggingArgs,
	"metrics":     readNoArgs,
	"unicat":      readNoArgs,
	"uniresis":    readUniresisArgs,
	"urlfetch":    readURLFetchArgs,
}

func readNoArgs(t *document.Table) any {
	t.Only()
	return nil
}

func readCacheArgs(t *document.Table) any {
	a := CacheArgs{MaxSize: 1_000_000, MaxBytes: 256 << 20}
	t.Only("max-size", "max-bytes")
	document.Read(t, "max-size", document.Int(1, maxCount), &a.MaxSize)
	document.Read(t, "max-bytes", document.Size(1), &a.MaxBytes)
	return a
}

func readChronoArgs(t *document.Table) any {
	a := ChronoArgs{MaxTimers: 1000}
	t.Only("max-timers")
	document.Read(t, "max-timers", document.Int(1, maxCount), &a.MaxTimers)
	return a
}

func readUniresisArgs(t *document.Table) any {
	a := UniresisArgs{Prefix: "/resources"}
	t.Only("prefix", "restrictions")
	document.Read(t, "prefix", unicornPath, &a.Prefix)
	if r := t.Table("restrictions"); r != nil {
		r.Only("cpu", "mem")
		document.Read(r, "cpu", document.Int(1, maxCount), &a.CPU)
		document.Read(r, "mem", document.Size(1), &a.Memory)
	}
	return a
}

func readURLFetchArgs(t *document.Table) any {
	a := URLFetchArgs{Connections: 10, MaxBytes: 16 << 20, MaxTime: time.Minute, Redirects: 10}
	t.Only("connections-limit", "max-bytes", "max-time", "max-redirects", "allow-link-local")
	document.Read(t, "connections-limit", document.Int(1, maxCount), &a.Connections)
	document.Read(t, "max-bytes", document.Size(1), &a.MaxBytes)
	document.Read(t, "max-time", document.Duration(time.Millisecond), &a.MaxTime)
	document.Read(t, "max-redirects", document.Int(0, 100), &a.Redirects)
	document.Read(t, "allow-link-local", document.Bool, &a.LinkLocal)
	return a
}

func readLoggingArgs(t *document.Table) any {
	a := LoggingArgs{UnicornPath: "/cocaine/logging_v2/filters", Filters: []any{[]any{"empty"}}}
	t.Only("unicorn_path", "default_metafilter")
	document.Read(t, "unicorn_path", unicornPath, &a.UnicornPath)
	document.Read(t, "default_metafilter", list, &a.Filters)
	return a
}

// unicornPath accepts what looks like a path in unicorn.
func unicornPath(v any) (string, error) {
	s, err := document.NonEmpty(v)
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(s, "/") || strings.HasSuffix(s, "/") || strings.Contains(s, "//") {
		return "", fmt.Errorf("must be a path such as /cocaine/x, have %q", s)
	}
	return s, nil
}

func list(v any) ([]any, error) {
	l, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("must be a list, have %s", document.Describe(v))
	}
	return l, nil
}

// fixedServices always run, and are what they are.
var fixedServices = []string{"admin", "locator", "node", "storage", "unicorn"}

// replaceable are the services that always run, but may be of another type.
var replaceable = map[string]string{"logging": "logging::v2"}

// readServices reads the tables [services.NAME].
func (l *loader) readServices(root *document.Table) {
	all := root.Table("services")
	if all == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(all.Values())) {
		if reason := unfitName(name); reason != "" {
			all.Problem(name, "%s", reason)
			continue
		}
		if t := all.Table(name); t != nil {
			l.readService(name, t)
			l.config.served(name, t.Values(), Origin{Layer: File, Name: l.doc.File(), Position: all.Position(name)})
		}
	}
}

func (l *loader) readService(name string, t *document.Table) {
	t.Only("type", "args")
	var s Service
	if !t.Has("type") {
		t.Problem("", `must have a type, such as type = "cache"`)
		return
	}
	if !document.Read(t, "type", document.OneOf(slices.Sorted(maps.Keys(serviceTypes))...), &s.Type) {
		return
	}
	if want := replaceable[name]; want != "" && s.Type != want {
		t.Problem("type", "must be %q, or this service is not named at all, have %q", want, s.Type)
		return
	}
	args := new(document.Table)
	if t.Has("args") {
		if args = t.Table("args"); args == nil {
			return
		}
	}
	s.Args = serviceTypes[s.Type](args)
	l.config.Services[name] = s
}

// maxServiceName is the length of the longest name, in bytes.
const maxServiceName = 128

func unfitName(name string) string {
	switch {
	case slices.Contains(fixedServices, name):
		return "is a service that always runs, and cannot be configured"
	case name == "":
		return "a service must have a name"
	case len(name) > maxServiceName:
		return fmt.Sprintf("the name of a service has at most %d bytes, this one has %d", maxServiceName, len(name))
	case strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return "the name of a service has neither blanks nor control characters"
	}
	return ""
}
