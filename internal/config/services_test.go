package config_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/config"
	"github.com/cocaine/cocaine-go/internal/document"
)

func TestServices(t *testing.T) {
	for _, c := range []struct {
		name, file string
		want       map[string]config.Service
	}{
		{"none", "[services]\n", map[string]config.Service{}},
		{"defaults", "services.a.type='cache'\nservices.b.type='chrono'\nservices.c.type='echo'\nservices.d.type='uniresis'\nservices.e.type='urlfetch'\nservices.metrics.type='metrics'\nservices.logging.type='logging::v2'\n",
			map[string]config.Service{
				"a":       {Type: "cache", Args: config.CacheArgs{MaxSize: 1_000_000, MaxBytes: 256 << 20}},
				"b":       {Type: "chrono", Args: config.ChronoArgs{MaxTimers: 1000}},
				"c":       {Type: "echo"},
				"metrics": {Type: "metrics"},
				"d":       {Type: "uniresis", Args: config.UniresisArgs{Prefix: "/resources"}},
				"e":       {Type: "urlfetch", Args: config.URLFetchArgs{Connections: 10, MaxBytes: 16 << 20, MaxTime: time.Minute, Redirects: 10}},
				"logging": {Type: "logging::v2", Args: config.LoggingArgs{UnicornPath: "/cocaine/logging_v2/filters", Filters: []any{[]any{"empty"}}}},
			}},
		{"all arguments", `
[services.a]
type = "cache"
args = { max-size = 5, max-bytes = "1K" }
[services.b]
type = "chrono"
[services.b.args]
max-timers = 7
[services.d]
type = "uniresis"
args = { prefix = "/x/y", restrictions = { cpu = 2, mem = "1G" } }
[services.e]
type = "urlfetch"
args = { connections-limit = 1, max-bytes = 2, max-time = "3s", max-redirects = 0, allow-link-local = true }
[services.f]
type = "logging::v2"
args = { unicorn_path = "/f", default_metafilter = [["severity", 1], ["==", "a", 2.5]] }
`, map[string]config.Service{
			"a": {Type: "cache", Args: config.CacheArgs{MaxSize: 5, MaxBytes: 1 << 10}},
			"b": {Type: "chrono", Args: config.ChronoArgs{MaxTimers: 7}},
			"d": {Type: "uniresis", Args: config.UniresisArgs{Prefix: "/x/y", CPU: 2, Memory: 1 << 30}},
			"e": {Type: "urlfetch", Args: config.URLFetchArgs{Connections: 1, MaxBytes: 2, MaxTime: 3 * time.Second, LinkLocal: true}},
			"f": {Type: "logging::v2", Args: config.LoggingArgs{UnicornPath: "/f", Filters: []any{[]any{"severity", int64(1)}, []any{"==", "a", 2.5}}}},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := load(t, write(t, c.file), root, nil).Services; !reflect.DeepEqual(got, c.want) {
				t.Errorf("have %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestServiceProblems(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"no table", "services = 5\n", "server.toml:1:12: services: must be a table, have 5"},
		{"service is no table", "[services]\na = 5\n", "server.toml:2:5: services.a: must be a table, have 5"},
		{"no type", "[services.a]\n", `services.a: must have a type, such as type = "cache"`},
		{"unknown type", "[services.a]\ntype = 'cach'\n", `server.toml:2:8: services.a.type: must be one of cache, `},
		{"near type", "[services.a]\ntype = 'cach'\n", `have "cach" (did you mean "cache"?)`},
		{"unknown key", "[services.a]\ntype = 'echo'\narg = 1\n", `server.toml:3:1: services.a.arg: unknown key (did you mean "services.a.args"?)`},
		{"unknown argument", "[services.a]\ntype = 'cache'\nargs = { max_size = 1 }\n", `services.a.args.max_size: unknown key (did you mean "services.a.args.max-size"?)`},
		{"argument of none", "[services.a]\ntype = 'echo'\nargs = { a = 1 }\n", `services.a.args.a: unknown key`},
		{"arguments are no table", "[services.a]\ntype = 'cache'\nargs = 1\n", `server.toml:3:8: services.a.args: must be a table, have 1`},
		{"zero entries", "[services.a]\ntype = 'cache'\nargs.max-size = 0\n", `services.a.args.max-size: must be at least 1, have 0`},
		{"negative timers", "[services.a]\ntype = 'chrono'\nargs.max-timers = -1\n", `services.a.args.max-timers: must be at least 1, have -1`},
		{"prefix", "[services.a]\ntype = 'uniresis'\nargs.prefix = 'x'\n", `services.a.args.prefix: must be a path such as /cocaine/x, have "x"`},
		{"restrictions", "[services.a]\ntype = 'uniresis'\nargs.restrictions.mem = '1X'\n", `services.a.args.restrictions.mem: `},
		{"redirects", "[services.a]\ntype = 'urlfetch'\nargs.max-redirects = 101\n", `services.a.args.max-redirects: must be at most 100, have 101`},
		{"filters", "[services.a]\ntype = 'logging::v2'\nargs.default_metafilter = 'empty'\n", `services.a.args.default_metafilter: must be a list, have "empty"`},
		{"fixed", "[services.storage]\ntype = 'cache'\n", `services.storage: is a service that always runs, and cannot be configured`},
		{"logging", "[services.logging]\ntype = 'cache'\n", `services.logging.type: must be "logging::v2", or this service is not named at all, have "cache"`},
		{"blank", "[services.'a b']\ntype = 'cache'\n", `the name of a service has neither blanks nor control characters`},
		{"empty name", "[services.'']\ntype = 'cache'\n", `a service must have a name`},
		{"long name", "[services." + strings.Repeat("n", 129) + "]\ntype = 'cache'\n", `the name of a service has at most 128 bytes, this one has 129`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := config.Load(write(t, c.file), root, nil)
			if _, ok := errors.AsType[*document.Error](err); !ok || !strings.Contains(err.Error(), c.want) {
				t.Errorf("have %v\nwant %q in it", err, c.want)
			}
		})
	}
}
