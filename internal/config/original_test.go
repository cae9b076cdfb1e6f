package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cocaine/cocaine-go/internal/config"
)

func loadOriginal(t *testing.T, text string, overrides map[string]string) (*config.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.conf")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return config.Load(path, config.Host{Environ: []string{"HOME=/home/ann"}, UID: 1000}, overrides)
}

func notes(c *config.Config) []string {
	var out []string
	for _, n := range c.Notes() {
		_, rest, _ := strings.Cut(n.String(), "c.conf:")
		out = append(out, rest)
	}
	return out
}

const original4 = `{
  // The locator is a service like any other.
  "version": 4,
  "paths": {"plugins": ["/usr/lib/cocaine"], "runtime": "/run/old"},
  "network": {
    "endpoint": "127.0.0.2", "hostname": "box", "pool": 4,
    "pinned": {"locator": 10060, "storage": 10061},
    "shared": [20000, 21000],
  },
  "services": {
    "locator": {"type": "locator", "args": {"restrict": ["x"]}},
    "node": {"type": "node::v2", "args": {"runlist": "main"}},
    "storage": {"type": "storage", "args": {"backend": "core"}}, /* built in */
    "cache": {"type": "cache"},
  },
  "storages": {"core": {"type": "files", "args": {"path": "/var/lib/old"}}, "more": {}},
  "logging": {"severity": "warning", "loggers": {}},
  "authentications": {},
  "senders": {},
}`

func TestOriginalVersion4(t *testing.T) {
	c, err := loadOriginal(t, original4, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Network.Endpoint != "127.0.0.2" || c.Network.Hostname != "box" || c.Network.Port != 10060 ||
		len(c.Network.Pinned) != 1 || c.Network.Pinned["storage"] != 10061 || c.Network.Shared != (config.PortRange{Min: 20000, Max: 21000}) {
		t.Errorf("network: %+v", c.Network)
	}
	if c.Paths.Runtime != "/run/old" || c.Node.Runlist != "main" || c.Logging.Severity != "warning" {
		t.Errorf("%+v %+v %+v", c.Paths, c.Node, c.Logging)
	}
	s, err := c.Setting("network.port")
	if err != nil || !strings.HasSuffix(s.Origin.String(), "c.conf:7:27") {
		t.Errorf("network.port comes from %v, %v", s.Origin, err)
	}
	want := []string{
		"4:24: paths.plugins: there are no plugins: what they did is built in, or is not there",
		"6:57: network.pool: the number of threads is not a setting",
		"11:57: services.locator.args.restrict: nodes are not connected this way",
		"14:14: services.cache: not taken over: services that do not always run are named in server.toml (docs/CONFIG.md, Services)",
		"16:24: storages.core: records are kept in paths.state; to take over those of the original: cocaine import /var/lib/old",
		"16:85: storages.more: records are kept in paths.state, by one storage",
		"17:49: logging.loggers: the log goes to standard error; logging.format says in which form",
		"18:22: authentications: callers are believed, as by the original's promiscuous",
		"19:14: senders: this runtime does not know it",
	}
	if have := notes(c); !slices.Equal(have, want) {
		t.Errorf("notes:\n%s\nwant:\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
}

func TestOriginalVersions2And3(t *testing.T) {
	c, err := loadOriginal(t, `{"version": 2,
		"paths": {"runtime": "/run/old", "spool": "/var/spool/old"},
		"locator": {"hostname": "box", "endpoint": "127.0.0.3", "port": 10070, "port-range": [30000, 40000]},
		"network": {"group": "239.0.100.5"},
		"loggers": {"core": {"type": "syslog", "args": {"verbosity": "debug"}}}}`, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Network.Port != 10070 || c.Network.Shared.Max != 40000 || c.Network.Endpoint != "127.0.0.3" || c.Network.Hostname != "box" ||
		c.Paths.Spool != "/var/spool/old" || c.Logging.Severity != "debug" {
		t.Errorf("%+v %+v %+v", c.Network, c.Paths, c.Logging)
	}
	if have := notes(c); len(have) != 2 {
		t.Errorf("notes: %q", have)
	}
	c, err = loadOriginal(t, `{"version": 3, "logging": {"core": {"verbosity": "error", "loggers": []}}, "network": {"pinned": {"locator": 10071}}}`, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Logging.Severity != "error" || c.Network.Port != 10071 || len(c.Network.Pinned) != 0 {
		t.Errorf("%+v %+v", c.Logging, c.Network)
	}
}

// The three kinds of permissions of the original are taken over.
func TestOriginalAuthorizations(t *testing.T) {
	c, err := loadOriginal(t, `{"version": 4, "authorizations": {
		"event": {"type": "event", "args": {"unicorn": "core"}},
		"storage": {"type": "storage", "args": {"backend": "core", "cache_duration": 60}},
		"unicorn": {"type": "unicorn", "args": {"backend": "auth"}},
		"moon": {"type": "disabled"}}}`, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := (config.Authorizations{Storage: "storage", Unicorn: "unicorn", Event: "event"}); c.Authorizations != want {
		t.Errorf("have %+v", c.Authorizations)
	}
	want := []string{
		"3:80: authorizations.storage.args.cache_duration: nothing is cached: permissions count at once",
		"5:11: authorizations.moon: there is no such kind of permissions",
	}
	if have := notes(c); !slices.Equal(have, want) {
		t.Errorf("notes:\n%s", strings.Join(have, "\n"))
	}
	_, err = loadOriginal(t, `{"version": 4, "authorizations": {"storage": {"type": "elliptics"}}}`, nil)
	if err == nil || !strings.Contains(err.Error(), "c.conf:1:55: authorizations.storage.type: must be one of disabled, storage") {
		t.Errorf("an unknown type: %v", err)
	}
}

// TestOriginalIsOverridden holds the order of layers for files of the original.
func TestOriginalIsOverridden(t *testing.T) {
	c, err := loadOriginal(t, original4, map[string]string{"network.port": "5"})
	if err != nil || c.Network.Port != 5 {
		t.Errorf("port %v, %v", c, err)
	}
}

func TestBadOriginals(t *testing.T) {
	for text, want := range map[string]string{
		"{\n \"version\": 4,\n \"paths\" {}}": "c.conf:3:10: ",
		"{\"version\": 1}":                    "c.conf:1:13: version: ",
		"{\"version\": \"4\"}":                "c.conf:1:13: version: ",
		"{}":                                  "must say of which version",
		"{\"version\": 4, \"network\": {\"endpoint\": \"::\"}}":             "c.conf:1:40: network.endpoint: must be a loopback address",
		"{\"version\": 4, \"network\": 1}":                                  "network: must be a table",
		"{\"version\": 4, \"logging\": {\"severity\": \"loud\"}}":           "logging.severity: ",
		"{\"version\": 2, \"locator\": {\"port\": -1}}":                     "c.conf:1:36: locator.port: ",
		"{\"version\": 4, \"network\": {\"pinned\": {\"locator\": \"x\"}}}": "network.pinned.locator: ",
		"{\"version\": 4, \"version\": 4}":                                  "given twice",
		"{\"version\": 4, \"a\": \"unclosed":                                "c.conf:1:",
		"{\"version\": 4} /* unclosed":                                      "",
		"// only a comment\n{\"version\": 4, \"paths\": {\"runtime\": 7}}":  "c.conf:2:37: paths.runtime: ",
	} {
		_, err := loadOriginal(t, text, nil)
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func FuzzOriginal(f *testing.F) {
	f.Add(original4)
	f.Add(`{"version": 2, "locator": {"port-range": [1, 2]}}`)
	f.Add("/**/{\"a\": \"\\\"//\", }")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(dir, "c.conf")
		if err := os.WriteFile(path, []byte("{"+text), 0o644); err != nil {
			t.Fatal(err)
		}
		if c, err := config.Load(path, config.Host{UID: 1000}, nil); err == nil {
			c.Settings()
			c.Notes()
		}
	})
}
