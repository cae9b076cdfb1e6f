package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

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
    "search": {"type": "elasticsearch", "args": {"endpoint": "x"}},
    "node": {"type": "node::v2", "args": {"runlist": "main"}},
    "storage": {"type": "storage", "args": {"backend": "core"}}, /* built in */
    "cache": {"type": "cache", "args": {"max-size": 10, "ttl": 5}}, "more": {"type": "storage", "args": {"backend": "more"}},
  },
  "storages": {"core": {"type": "files", "args": {"path": "/var/lib/old"}}, "more": {}},
  "logging": {"severity": "warning", "loggers": {}},
  "authentications": {"core": {"type": "promiscuous"}, "more": {}},
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
		"12:15: services.search: there is no service of this type",
		"15:64: services.cache.args.ttl: the service takes no such argument",
		"15:77: services.more: a service of type storage always runs, under the name storage alone",
		"17:24: storages.core: records are kept in paths.state; to take over those of the original: cocaine import /var/lib/old",
		"17:85: storages.more: records are kept in paths.state, by one storage",
		"18:49: logging.loggers: the log goes to standard error; logging.format says in which form",
		"19:64: authentications.more: services know one way to tell callers apart, that of core",
		"20:14: senders: this runtime does not know it",
	}
	if c.Services["cache"].Args != (config.CacheArgs{MaxSize: 10, MaxBytes: 256 << 20}) || len(c.Services) != 1 {
		t.Errorf("services: %+v", c.Services)
	}
	if !slices.Equal(c.Cluster.Restrict, []string{"x"}) || c.Cluster.Type != "none" {
		t.Errorf("cluster: %+v", c.Cluster)
	}
	if s, err := c.Setting("services.cache"); err != nil || s.Value != `{ type = "cache", args = { max-size = 10 } }` || !strings.HasSuffix(s.Origin.String(), "c.conf:15:14") {
		t.Errorf("services.cache is explained as %+v, %v", s, err)
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
	if c.Cluster.Type != "multicast" || c.Cluster.Group != "239.0.100.5" || c.Cluster.Port != 10053 || c.Cluster.Gateway != "none" {
		t.Errorf("cluster: %+v", c.Cluster)
	}
	if have := notes(c); len(have) != 2 || !strings.Contains(have[0], "network.group: taken over for nodes of this kind") {
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

// TestOriginalCluster: what the original says of clusters and gateways, by version.
func TestOriginalCluster(t *testing.T) {
	locator := func(args string) string {
		return `{"version": 4, "services": {"locator": {"type": "locator", "args": {` + args + `}}}}`
	}
	some := config.Cluster{Type: "none", Gateway: "adhoc", Interval: 5 * time.Second, Group: "239.0.100.53", Port: 10053, Hops: 1}
	with := func(change func(c *config.Cluster)) config.Cluster {
		c := some
		change(&c)
		return c
	}
	for _, c := range []struct {
		name, file string
		want       config.Cluster
		notes      []string
	}{
		{"none", locator(""), some, nil},
		{"multicast", locator(`"cluster": {"type": "multicast", "args": {"group": "239.1.2.3", "port": 7, "interval": 9, "loopback": true, "hops": 3, "interface": "10.0.0.1"}},
			"gateway": {"type": "adhoc"}, "extra_param": {"x-cocaine-cluster": "blue"}, "restrict": ["a", "b"]`),
			config.Cluster{Type: "multicast", Gateway: "adhoc", Name: "blue", Restrict: []string{"a", "b"}, Interval: 9 * time.Second, Group: "239.1.2.3", Port: 7,
				Interface: "10.0.0.1", Loopback: true, Hops: 3}, nil},
		{"interface by number", locator(`"cluster": {"type": "multicast", "args": {"group": "ff02::1", "interface": 2}}, "gateway": {"type": "adhoc"}`),
			with(func(c *config.Cluster) { c.Type, c.Group, c.Interface = "multicast", "ff02::1", "2" }), nil},
		{"predefine, announces only", locator(`"cluster": {"type": "predefine", "args": {"nodes": {"u2": "::1:10054", "u1": "box:10053"}}}`),
			with(func(c *config.Cluster) {
				c.Type, c.Gateway = "predefine", "none"
				c.Nodes = []config.ClusterNode{{UUID: "u1", Address: "box:10053"}, {UUID: "u2", Address: "[::1]:10054"}}
			}), nil},
		{"the name in old documentation", locator(`"cluster": {"type": "predefined", "args": {"nodes": {}}}, "gateway": {"type": "adhoc"}`),
			with(func(c *config.Cluster) { c.Type = "predefine" }), nil},
		{"types that are not here", locator(`"cluster": {"type": "unicorn", "args": {"path": "/x"}}, "gateway": {"type": "vicodyn", "args": {"balancer": {}}}, "extra_param": {"dc": "1"}`),
			some, []string{"services.locator.args.cluster.args.path: the service takes no such argument", "services.locator.args.cluster.type: nodes do not find each other by unicorn",
				"services.locator.args.extra_param.dc: ", "services.locator.args.gateway.args: ", "services.locator.args.gateway.type: there is no gateway of type vicodyn; adhoc takes its place"}},
		{"version 2", `{"version": 2, "network": {"group": "239.1.2.3", "gateway": {"type": "adhoc"}}}`,
			with(func(c *config.Cluster) { c.Type, c.Group = "multicast", "239.1.2.3" }), []string{"network.group: taken over for nodes of this kind"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			have, err := loadOriginal(t, c.file, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(have.Cluster, c.want) {
				t.Errorf("have %+v\nwant %+v", have.Cluster, c.want)
			}
			told := notes(have)
			slices.SortFunc(told, func(a, b string) int { return strings.Compare(afterPlace(a), afterPlace(b)) })
			for i, n := range told {
				if i >= len(c.notes) || !strings.HasPrefix(afterPlace(n), c.notes[i]) {
					t.Errorf("note %q", n)
				}
			}
			if len(told) != len(c.notes) {
				t.Errorf("%d notes, want %d", len(told), len(c.notes))
			}
		})
	}
}

// afterPlace is a note without its line and column.
func afterPlace(note string) string {
	_, rest, _ := strings.Cut(note, ": ")
	return rest
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
		"{\"version\": 4, \"network\": {\"endpoint\": \"::\"}}":                                                             "c.conf:1:40: network.endpoint: must be a loopback address",
		"{\"version\": 4, \"network\": 1}":                                                                                  "network: must be a table",
		"{\"version\": 4, \"logging\": {\"severity\": \"loud\"}}":                                                           "logging.severity: ",
		"{\"version\": 2, \"locator\": {\"port\": -1}}":                                                                     "c.conf:1:36: locator.port: ",
		"{\"version\": 4, \"network\": {\"pinned\": {\"locator\": \"x\"}}}":                                                 "network.pinned.locator: ",
		"{\"version\": 4, \"services\": {\"cache\": {\"type\": \"cache\", \"args\": {\"max-size\": 0}}}}":                   "services.cache.args.max-size: must be at least 1",
		"{\"version\": 4, \"services\": {\"cache\": 5}}":                                                                    "services.cache: must be a table",
		"{\"version\": 4, \"services\": {\"locator\": {\"args\": {\"cluster\": {\"args\": {\"nodes\": {\"u\": \"x\"}}}}}}}": "cluster.args.nodes: the address of a node must be HOST:PORT",
		"{\"version\": 4, \"services\": {\"locator\": {\"args\": {\"cluster\": {\"args\": {\"group\": \"10.0.0.1\"}}}}}}":   "must be a multicast address",
		"{\"version\": 4, \"version\": 4}":                                                                                  "given twice",
		"{\"version\": 4, \"a\": \"unclosed":                                                                                "c.conf:1:",
		"{\"version\": 4} /* unclosed":                                                                                      "",
		"// only a comment\n{\"version\": 4, \"paths\": {\"runtime\": 7}}":                                                  "c.conf:2:37: paths.runtime: ",
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
