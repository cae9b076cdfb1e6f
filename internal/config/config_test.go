package config_test

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/internal/config"
	"github.com/cocaine/cocaine-go/internal/document"
)

var update = flag.Bool("update", false, "rewrite the generated part of docs/CONFIG.md")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// root is a host whose defaults depend on nothing.
var root = config.Host{UID: 0}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "server.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, path string, h config.Host, overrides map[string]string) *config.Config {
	t.Helper()
	c, err := config.Load(path, h, overrides)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// plain is a configuration without its memory of where it came from.
func plain(c *config.Config) config.Config {
	return config.Config{Network: c.Network, Paths: c.Paths, Limits: c.Limits, Logging: c.Logging, State: c.State, Node: c.Node, Cluster: c.Cluster, TLS: c.TLS, Authentication: c.Authentication, Authorizations: c.Authorizations, Services: c.Services}
}

func TestDefault(t *testing.T) {
	want := config.Config{
		Network: config.Network{Endpoint: "127.0.0.1", Port: 10053, Pinned: map[string]int{}},
		Paths:   config.Paths{State: "/var/lib/cocaine", Runtime: "/run/cocaine", Spool: "/var/lib/cocaine/spool"},
		Limits:  config.Limits{Frame: 64 << 20, Buffer: 4 << 20, Memory: 1 << 30, Stall: 30 * time.Second, Channels: 131072, Calls: 256, Connections: 65536},
		Logging: config.Logging{Severity: "info", Format: "text", StoreBytes: 64 << 20, StoreAge: 7 * 24 * time.Hour},
		Node:    config.Node{Runlist: "default", Grace: 30 * time.Second},
		Cluster: config.Cluster{Type: "none", Gateway: "adhoc", Interval: 5 * time.Second, Group: "239.0.100.53", Port: 10053, Hops: 1},

		Authentication: config.Authentication{Type: "promiscuous", Workers: map[string]uint64{}},
		Authorizations: config.Authorizations{Storage: "disabled", Unicorn: "disabled", Event: "disabled"},
		Services:       map[string]config.Service{},
	}
	if got := plain(config.Default(root)); !reflect.DeepEqual(got, want) {
		t.Errorf("have %+v\nwant %+v", got, want)
	}
	if got := plain(load(t, "", root, nil)); !reflect.DeepEqual(got, want) {
		t.Errorf("loaded from nothing: have %+v\nwant %+v", got, want)
	}
}

func TestDefaultPaths(t *testing.T) {
	for _, c := range []struct {
		name string
		host config.Host
		want config.Paths
	}{
		{"user", config.Host{UID: 1000, Environ: []string{"HOME=/home/ann", "XDG_RUNTIME_DIR=/run/user/1000"}},
			config.Paths{State: "/home/ann/.local/state/cocaine", Runtime: "/run/user/1000/cocaine", Spool: "/home/ann/.local/state/cocaine/spool"}},
		{"xdg", config.Host{UID: 1000, Environ: []string{"HOME=/home/ann", "XDG_STATE_HOME=/data"}},
			config.Paths{State: "/data/cocaine", Runtime: filepath.Join(os.TempDir(), "cocaine-1000"), Spool: "/data/cocaine/spool"}},
		{"nothing", config.Host{UID: 7},
			config.Paths{State: filepath.Join(os.TempDir(), "cocaine-7/state"), Runtime: filepath.Join(os.TempDir(), "cocaine-7"), Spool: filepath.Join(os.TempDir(), "cocaine-7/state/spool")}},
		{"relative and long are ignored", config.Host{UID: 7, Environ: []string{"HOME=/h", "XDG_STATE_HOME=data", "XDG_RUNTIME_DIR=/" + strings.Repeat("x", 100)}},
			config.Paths{State: "/h/.local/state/cocaine", Runtime: filepath.Join(os.TempDir(), "cocaine-7"), Spool: "/h/.local/state/cocaine/spool"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := config.Default(c.host).Paths; got != c.want {
				t.Errorf("have %+v, want %+v", got, c.want)
			}
		})
	}
}

const digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

const fullFile = `[network]
endpoint = "::1"
port = 0
hostname = "box"
pinned = { storage = 10054, "my.app" = 10055 }
shared = [32768, 61000]
insecure = true
[paths]
state = "state"
runtime = "/run/x"
spool = "/spool"
[limits]
frame = "1M"
buffer = 131072
memory = "512M"
stall = "1m"
channels = 10
calls = 2
connections = 3
[logging]
severity = "debug"
format = "json"
store-bytes = "1G"
store-age = "36h"
[state]
url = "nats://ann:secret@a:4222,tls://b"
[node]
runlist = "other"
grace = 0
[tls]
cert = "cert.pem"
key = "/key.pem"
client-ca = "/ca.pem"
cluster-ca = "/nodes.pem"
[authentication]
type = "token"
tokens = ["ann 1001 ` + digest + `"]
token-file = "tokens"
workers = { hello = 1001 }
[authorizations]
storage = "storage"
unicorn = { type = "unicorn" }
[authorizations.event]
type = "event"
[cluster]
type = "multicast"
gateway = "none"
name = "blue"
token = "Bearer s3cret"
restrict = ["admin", "node"]
interval = "2s"
nodes = ["10.0.0.2:10053", "u-1=box:10054", "fe80::1:10055"]
group = "ff02::1"
port = 10054
interface = 3
loopback = true
hops = 4
`

func TestFileSetsEverything(t *testing.T) {
	path := write(t, fullFile)
	c := load(t, path, root, nil)
	want := config.Config{
		Network: config.Network{Endpoint: "::1", Hostname: "box", Pinned: map[string]int{"storage": 10054, "my.app": 10055},
			Shared: config.PortRange{Min: 32768, Max: 61000}, Insecure: true},
		Paths:   config.Paths{State: filepath.Join(filepath.Dir(path), "state"), Runtime: "/run/x", Spool: "/spool"},
		Limits:  config.Limits{Frame: 1 << 20, Buffer: 128 << 10, Memory: 512 << 20, Stall: time.Minute, Channels: 10, Calls: 2, Connections: 3},
		Logging: config.Logging{Severity: "debug", Format: "json", StoreBytes: 1 << 30, StoreAge: 36 * time.Hour},
		State:   config.State{URL: "nats://ann:secret@a:4222,tls://b"},
		Node:    config.Node{Runlist: "other"},
		Cluster: config.Cluster{Type: "multicast", Gateway: "none", Name: "blue", Token: "Bearer s3cret", Restrict: []string{"admin", "node"}, Interval: 2 * time.Second,
			Nodes: []config.ClusterNode{{Address: "10.0.0.2:10053"}, {UUID: "u-1", Address: "box:10054"}, {Address: "[fe80::1]:10055"}},
			Group: "ff02::1", Port: 10054, Interface: "3", Loopback: true, Hops: 4},

		TLS: config.TLS{Cert: filepath.Join(filepath.Dir(path), "cert.pem"), Key: "/key.pem", ClientCA: "/ca.pem", ClusterCA: "/nodes.pem"},
		Authentication: config.Authentication{Type: "token", Tokens: []string{"ann 1001 " + digest},
			TokenFile: filepath.Join(filepath.Dir(path), "tokens"), Workers: map[string]uint64{"hello": 1001}},
		Authorizations: config.Authorizations{Storage: "storage", Unicorn: "unicorn", Event: "event"},
		Services:       map[string]config.Service{},
	}
	if got := plain(c); !reflect.DeepEqual(got, want) {
		t.Errorf("have %+v\nwant %+v", got, want)
	}
	defaults := config.Default(root).Settings()
	for i, s := range c.Settings() {
		if s.Origin.Layer != config.File || s.Origin.Position.Line < 2 || !strings.HasPrefix(s.Origin.String(), path+":") {
			t.Errorf("%s comes from %v", s.Key, s.Origin)
		}
		if s.Value == s.Default || s.Default != defaults[i].Value || s.Doc == "" {
			t.Errorf("%s is explained as %+v", s.Key, s)
		}
	}
}

func TestPasswordsAreHidden(t *testing.T) {
	s, err := load(t, write(t, fullFile), root, nil).Setting("state.url")
	if err != nil || s.Value != `"nats://ann:xxxxx@a:4222,tls://b"` {
		t.Errorf("have %v, %v", s.Value, err)
	}
	_, err = config.Load("", root, map[string]string{"state.url": "http://ann:secret@a"})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("have %v", err)
	}
}

func TestLayers(t *testing.T) {
	path := write(t, "[network]\nport = 1\nhostname = \"file\"\nendpoint = \"127.0.0.2\"\n[limits]\ncalls = 5\n")
	host := config.Host{Environ: []string{
		"COCAINE_NETWORK_HOSTNAME=lost", "COCAINE_NETWORK_PORT=2", "COCAINE_NETWORK_HOSTNAME=env", "COCAINE_LIMITS_CALLS=",
		"COCAINE_NETWORK_PINNED=storage=5, x = 6", "COCAINE_NETWORK_SHARED=10-20", "COCAINE_NETWORK_INSECURE=1",
		"COCAINE_LIMITS_FRAME=2M", "COCAINE_NODE_GRACE=2.5", "COCAINE_LOGGING_STORE_AGE=3d", "COCAINE_APP_TOKEN_TYPE=other", "PATH=/bin",
	}}
	c := load(t, path, host, map[string]string{"network.port": "3", "network.shared": "[11, 21]", "limits.stall": "5"})
	for key, want := range map[string][2]string{
		"network.port":      {"3", "command line"},
		"network.hostname":  {`"env"`, "$COCAINE_NETWORK_HOSTNAME"},
		"network.endpoint":  {`"127.0.0.2"`, path + ":4:12"},
		"network.pinned":    {"{ storage = 5, x = 6 }", "$COCAINE_NETWORK_PINNED"},
		"network.shared":    {"[11, 21]", "command line"},
		"network.insecure":  {"true", "$COCAINE_NETWORK_INSECURE"},
		"limits.frame":      {`"2M"`, "$COCAINE_LIMITS_FRAME"},
		"limits.stall":      {`"5s"`, "command line"},
		"limits.calls":      {"5", path + ":6:9"}, // an empty variable is no value
		"logging.store-age": {`"3d"`, "$COCAINE_LOGGING_STORE_AGE"},
		"node.grace":        {`"2.5s"`, "$COCAINE_NODE_GRACE"},
		"node.runlist":      {`"default"`, "default"},
	} {
		s, err := c.Setting(key)
		if err != nil || s.Value != want[0] || s.Origin.String() != want[1] {
			t.Errorf("%s is %s from %v (%v), want %s from %s", key, s.Value, s.Origin, err, want[0], want[1])
		}
	}
	if _, err := c.Setting("network.prt"); err == nil || err.Error() != `cannot explain "network.prt": no such setting (did you mean "network.port"?)` {
		t.Errorf("have %v", err)
	}
}

func TestSpoolFollowsState(t *testing.T) {
	state := t.TempDir()
	c := load(t, "", root, map[string]string{"paths.state": state})
	if c.Paths.Spool != filepath.Join(state, "spool") {
		t.Errorf("have %+v", c.Paths)
	}
	c = load(t, "", root, map[string]string{"paths.state": state, "paths.spool": "/s"})
	if c.Paths.Spool != "/s" {
		t.Errorf("have %+v", c.Paths)
	}
}

func TestRelativePathsOfTheCommandLine(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	c := load(t, "", root, map[string]string{"paths.state": "here"})
	if c.Paths.State != filepath.Join(dir, "here") {
		t.Errorf("have %+v", c.Paths)
	}
}

func TestProblems(t *testing.T) {
	for _, c := range []struct {
		name, file string
		environ    []string
		overrides  map[string]string
		want       []string
	}{
		{name: "syntax", file: "[network]\nport = \n", want: []string{"server.toml:2:8: ", "\n\t2 | port = "}},
		{name: "unknown section", file: "[netwrk]\n", want: []string{`server.toml:1:2: netwrk: unknown key (did you mean "network"?)`}},
		{name: "unknown key", file: "[network]\nprt = 1\n", want: []string{"server.toml:2:1: network.prt: unknown key (did you mean \"network.port\"?)\n\t2 | prt = 1"}},
		{name: "key outside of sections", file: "port = 1\n", want: []string{"server.toml:1:1: port: unknown key"}},
		{name: "section of another type", file: "network = 5\n", want: []string{"server.toml:1:11: network: must be a table, have 5"}},
		{name: "port text", file: "[network]\nport = '1'\n", want: []string{"server.toml:2:8: network.port: must be a whole number, have \"1\"\n\t2 | port = '1'"}},
		{name: "port range", overrides: map[string]string{"network.port": "65536"}, want: []string{"command line: network.port: must be at most 65535, have 65536"}},
		{name: "port of the environment", environ: []string{"COCAINE_NETWORK_PORT=x"}, want: []string{`$COCAINE_NETWORK_PORT: network.port: must be a whole number, have "x"`}},
		{name: "unknown variable", environ: []string{"COCAINE_NETWORK_PROT=1"}, want: []string{`$COCAINE_NETWORK_PROT: no such setting (did you mean "COCAINE_NETWORK_PORT"?)`}},
		{name: "unknown override", overrides: map[string]string{"port": "1"}, want: []string{`command line: no such setting "port"`}},
		{name: "endpoint", file: "[network]\nendpoint = 'localhost'\n", want: []string{`network.endpoint: must be an IP address such as 127.0.0.1 or ::, have "localhost"`}},
		{name: "open endpoint", file: "[network]\nendpoint = '0.0.0.0'\n", want: []string{`server.toml:2:12: network.endpoint: must be a loopback address such as 127.0.0.1, have "0.0.0.0"`, "set tls.cert, tls.key and authentication.type = \"token\", or network.insecure = true"}},
		{name: "open endpoint with TLS alone", file: "[network]\nendpoint = '0.0.0.0'\n[tls]\ncert = 'c'\nkey = 'k'\n", want: []string{`network.endpoint: must be a loopback address`}},
		{name: "open endpoint with tokens alone", file: "[network]\nendpoint = '0.0.0.0'\n[authentication]\ntype = 'token'\ntoken-file = 't'\n", want: []string{`network.endpoint: must be a loopback address`}},
		{name: "certificate without key", file: "[tls]\ncert = 'c'\n", want: []string{`server.toml:2:8: tls.cert: tls.cert and tls.key are of no use without each other`}},
		{name: "authority of clients alone", overrides: map[string]string{"tls.client-ca": "x"}, want: []string{`command line: tls.client-ca: is of no use without tls.cert`}},
		{name: "variable of TLS", environ: []string{"COCAINE_TLS_CRET=x"}, want: []string{`$COCAINE_TLS_CRET: no such setting`}},
		{name: "open endpoint of the environment", environ: []string{"COCAINE_NETWORK_ENDPOINT=::"}, want: []string{`$COCAINE_NETWORK_ENDPOINT: network.endpoint: must be a loopback address`}},
		{name: "mapped open endpoint", overrides: map[string]string{"network.endpoint": "::ffff:10.0.0.1"}, want: []string{`command line: network.endpoint: must be a loopback address`}},
		{name: "insecure", overrides: map[string]string{"network.insecure": "maybe"}, want: []string{`network.insecure: must be true or false, have "maybe"`}},
		{name: "pinned locator", file: "[network.pinned]\nlocator = 1\n", want: []string{"server.toml:1:2: network.pinned: the locator's port is network.port"}},
		{name: "pinned twice", file: "[network]\npinned = { a = 5, b = 5 }\n", want: []string{`server.toml:2:10: network.pinned: port 5 of "b" is taken by "a"`}},
		{name: "pinned on the locator", overrides: map[string]string{"network.pinned": "a=10053"}, want: []string{`command line: network.pinned: port 10053 of "a" is taken by the locator`}},
		{name: "pinned port", overrides: map[string]string{"network.pinned": "a=0"}, want: []string{`network.pinned: port of "a" must be at least 1, have 0`}},
		{name: "pinned nobody", overrides: map[string]string{"network.pinned": "=5"}, want: []string{`network.pinned: a service must have a name`}},
		{name: "pinned text", overrides: map[string]string{"network.pinned": "x"}, want: []string{`network.pinned: must be a table such as { storage = 10054 }, have "x"`}},
		{name: "shared", file: "[network]\nshared = [5]\n", want: []string{"network.shared: must be two ports such as [32768, 61000], have a list"}},
		{name: "shared empty", overrides: map[string]string{"network.shared": "5-5"}, want: []string{"network.shared: must be a range that holds a port, have [5, 5]"}},
		{name: "shared zero", overrides: map[string]string{"network.shared": "0-5"}, want: []string{"network.shared: must be a range that holds a port, have [0, 5]"}},
		{name: "shared beyond", overrides: map[string]string{"network.shared": "5,65537"}, want: []string{"network.shared: the second port must be at most 65536, have 65537"}},
		{name: "shared text", overrides: map[string]string{"network.shared": "x-y"}, want: []string{`network.shared: the first port must be a whole number, have "x"`}},
		{name: "shared word", overrides: map[string]string{"network.shared": "all"}, want: []string{`network.shared: must be two ports such as [32768, 61000], have "all"`}},
		{name: "long runtime", file: "[paths]\nruntime = '/" + strings.Repeat("r", 63) + "'\n", want: []string{"server.toml:2:11: paths.runtime: must be at most 62 bytes long, because the system limits the length of socket paths, have 64"}},
		{name: "not UTF-8", environ: []string{"COCAINE_NETWORK_HOSTNAME=\xff"}, want: []string{`$COCAINE_NETWORK_HOSTNAME: network.hostname: must be valid UTF-8, have "\xff"`}},
		{name: "home", file: "[paths]\nstate = '~/x'\n", want: []string{`paths.state: must be written out, "~" has no meaning here, have "~/x"`}},
		{name: "no path", file: "[paths]\nspool = ''\n", want: []string{"paths.spool: must not be empty"}},
		{name: "zero byte", file: "[paths]\nspool = \"\\u0000\"\n", want: []string{"paths.spool: must not contain a zero byte"}},
		{name: "frame", overrides: map[string]string{"limits.frame": "5"}, want: []string{"limits.frame: must be at least 1K, have 5"}},
		{name: "stall", overrides: map[string]string{"limits.stall": "0"}, want: []string{"limits.stall: must be at least 0.001 seconds, have 0"}},
		{name: "channels", overrides: map[string]string{"limits.channels": "0"}, want: []string{"limits.channels: must be at least 1, have 0"}},
		{name: "severity", overrides: map[string]string{"logging.severity": "warn"}, want: []string{`logging.severity: must be one of debug, info, warning, error, have "warn" (did you mean "warning"?)`}},
		{name: "format", overrides: map[string]string{"logging.format": "xml"}, want: []string{`logging.format: must be one of text, json, have "xml"`}},
		{name: "url", file: "[state]\nurl = 'localhost:4222'\n", want: []string{"state.url: must be a URL such as nats://10.0.0.1:4222"}},
		{name: "url type", file: "[state]\nurl = 5\n", want: []string{"state.url: must be a string, have 5"}},
		{name: "runlist", file: "[node]\nrunlist = ''\n", want: []string{"node.runlist: must not be empty"}},
		{name: "authorization", file: "[authorizations]\nstorage = 'strage'\n", want: []string{`server.toml:2:11: authorizations.storage: must be one of disabled, storage, have "strage" (did you mean "storage"?)`}},
		{name: "authorization without type", file: "[authorizations.event]\n", want: []string{`server.toml:1:2: authorizations.event: must have a type, such as "event"`}},
		{name: "authorization with more", file: "[authorizations]\nevent = { type = 'event', unicorn = 'x' }\n", want: []string{`authorizations.event: must be a type, or a table with nothing but a type; there is no "unicorn"`}},
		{name: "authentication", file: "[authentication]\ntype = 'tokens'\n", want: []string{`server.toml:2:8: authentication.type: must be one of promiscuous, token, have "tokens" (did you mean "token"?)`}},
		{name: "no tokens", file: "[authentication]\ntype = 'token'\n", want: []string{`server.toml:2:8: authentication.type: needs tokens`}},
		{name: "tokens", overrides: map[string]string{"authentication.tokens": "ann 7 secret"}, want: []string{`command line: authentication.tokens: the entry 1 must be a name, a user id and the SHA-256 of the token in hex`, "the third word is no SHA-256"}},
		{name: "tokens twice", environ: []string{"COCAINE_AUTHENTICATION_TOKENS=ann 7 " + digest + ",bob 8 " + digest}, want: []string{`$COCAINE_AUTHENTICATION_TOKENS: authentication.tokens: "ann" and "bob" have the same token`}},
		{name: "user id", overrides: map[string]string{"authentication.workers": "app=-1"}, want: []string{`authentication.workers: user id of "app" must be a whole number from 0 on, have -1`}},
		{name: "user ids", overrides: map[string]string{"authentication.workers": "app"}, want: []string{`authentication.workers: must be a table such as { hello = 1001 }, have "app"`}},
		{name: "all of them", file: "[network]\nport = -1\nx = 1\n", environ: []string{"COCAINE_NODE_GRACE=soon"}, overrides: map[string]string{"limits.calls": "no"}, want: []string{
			"server.toml:2:8: network.port: must be at least 0, have -1", "server.toml:3:1: network.x: unknown key",
			`$COCAINE_NODE_GRACE: node.grace: must be a duration such as "30s", have "soon"`, `command line: limits.calls: must be a whole number, have "no"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := ""
			if c.file != "" {
				path = write(t, c.file)
			}
			_, err := config.Load(path, config.Host{Environ: c.environ}, c.overrides)
			if _, ok := errors.AsType[*document.Error](err); !ok {
				t.Fatalf("have %T %v", err, err)
			}
			if !strings.HasPrefix(err.Error(), "cannot load configuration: ") {
				t.Errorf("have %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is missing in\n%v", want, err)
				}
			}
		})
	}
}

func TestMissingFile(t *testing.T) {
	_, err := config.Load(filepath.Join(t.TempDir(), "none.toml"), root, nil)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("have %v", err)
	}
}

func TestInsecureOpensTheEndpoint(t *testing.T) {
	c := load(t, "", root, map[string]string{"network.endpoint": "0.0.0.0", "network.insecure": "true"})
	if c.Network.Endpoint != "0.0.0.0" {
		t.Errorf("have %+v", c.Network)
	}
	c = load(t, "", config.Host{Environ: []string{"COCAINE_TLS_CA=/ca.pem", "COCAINE_TLS_NAME=box"}}, map[string]string{
		"network.endpoint": "0.0.0.0", "tls.cert": "/c", "tls.key": "/k", "authentication.type": "token", "authentication.tokens": "ann 1 " + digest})
	if c.Network.Endpoint != "0.0.0.0" || c.TLS.Cert != "/c" {
		t.Errorf("with TLS and tokens: %+v", c.Network)
	}
	for _, loopback := range []string{"127.0.0.1", "127.5.5.5", "::1", "::ffff:127.0.0.1"} {
		load(t, "", root, map[string]string{"network.endpoint": loopback})
	}
}

func TestFind(t *testing.T) {
	home := t.TempDir()
	path := filepath.Join(home, ".config/cocaine/server.toml")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	host := config.Host{Environ: []string{"HOME=" + home}, UID: 1}
	if got := config.Find(host); got == path {
		t.Error("found a file that is not there")
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := config.Find(host); got != path {
		t.Errorf("found %q, want %q", got, path)
	}
	host.Environ = append(host.Environ, "XDG_CONFIG_HOME="+filepath.Join(home, ".config"), "HOME=/nowhere")
	if got := config.Find(host); got != path {
		t.Errorf("found %q, want %q", got, path)
	}
	host.Environ = append(host.Environ, "COCAINE_CONFIG=/missing")
	if got := config.Find(host); got != "/missing" {
		t.Errorf("found %q", got)
	}
}

func defaultFile(t *testing.T, h config.Host) string {
	t.Helper()
	var b strings.Builder
	if err := config.WriteDefault(&b, h); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestDefaultFileLoadsBack(t *testing.T) {
	host := config.Host{UID: 1000, Environ: []string{"HOME=/home/ann", "XDG_RUNTIME_DIR=/run/user/1000"}}
	want := plain(config.Default(host))
	text := defaultFile(t, host)

	c := load(t, write(t, text), host, nil)
	if got := plain(c); !reflect.DeepEqual(got, want) {
		t.Errorf("as written: have %+v\nwant %+v", got, want)
	}
	for _, s := range c.Settings() {
		if s.Origin.Layer != config.BuiltIn {
			t.Errorf("%s is set by a file that sets nothing", s.Key)
		}
	}

	// With the "#" before settings removed, on a host with other defaults.
	c = load(t, write(t, regexp.MustCompile(`(?m)^#([a-z])`).ReplaceAllString(text, "$1")), root, nil)
	if got := plain(c); !reflect.DeepEqual(got, want) {
		t.Errorf("switched on: have %+v\nwant %+v", got, want)
	}
	for _, s := range c.Settings() {
		if s.Origin.Layer != config.File {
			t.Errorf("%s is not in the file", s.Key)
		}
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, fs.ErrClosed }

func TestWriteDefaultReportsTheWriter(t *testing.T) {
	if err := config.WriteDefault(brokenWriter{}, root); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("have %v", err)
	}
}

// The reference shows the file that WriteDefault writes, and names every
// variable.
func TestReferenceIsComplete(t *testing.T) {
	const path = "../../docs/CONFIG.md"
	const begin, end = "<!-- begin server.toml -->\n```toml\n", "```\n<!-- end server.toml -->"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	block, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no generated part", path)
	}
	want := defaultFile(t, root)
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if block != want {
		t.Errorf("%s is out of date: go test ./internal/config -update", path)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(fullFile, "storage=1,x=2", "1-2")
	f.Add("[services.'a.b']\ntype = 'logging::v2'\nargs.default_metafilter = [['severity', 1], ['==', 'a', 2.0, -inf, 1e30, true]]\n[services.c]\ntype='cache'\nargs={max-bytes='1K'}", "a=1", "[1,2]")
	f.Add("[network]\npinned.a = 1\n[paths]\nstate='x'", "a", "[1,2]")
	f.Fuzz(func(t *testing.T, file, pinned, shared string) {
		path := filepath.Join(t.TempDir(), "server.toml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(path, config.Host{Environ: []string{"COCAINE_NETWORK_PINNED=" + pinned}}, map[string]string{"network.shared": shared})
		if err != nil {
			return
		}
		if !filepath.IsAbs(c.Paths.State) || len(c.Paths.Runtime) > config.MaxRuntimePath || c.Limits.Frame < 1<<10 || c.Network.Shared.Max < c.Network.Shared.Min {
			t.Fatalf("accepted %+v", c)
		}
		// What is shown is TOML that means the same.
		var again strings.Builder
		for _, s := range c.Settings() {
			if s.Key != "state.url" && s.Key != "cluster.token" { // shown without secrets
				again.WriteString(s.Key + " = " + s.Value + "\n")
			}
		}
		second, err := config.Load(write(t, again.String()), root, nil)
		if err != nil {
			t.Fatalf("shown as\n%s\nwhich does not load: %v", again.String(), err)
		}
		one, two := plain(c), plain(second)
		one.State, two.State = config.State{}, config.State{}
		one.Cluster.Token, two.Cluster.Token = "", ""
		if !reflect.DeepEqual(one, two) {
			t.Fatalf("have %+v\nwant %+v", two, one)
		}
	})
}

func TestDefaultMemory(t *testing.T) {
	for _, c := range []struct{ has, want int64 }{
		{0, 1 << 30},
		{128 << 20, 256 << 20},
		{8<<30 + 5, 2 << 30},
		{8<<30 + 7<<20, 2<<30 + 1<<20},
	} {
		if got := config.Default(config.Host{Memory: c.has}).Limits.Memory; got != c.want {
			t.Errorf("of %d bytes %d are for connections, want %d", c.has, got, c.want)
		}
	}
	if runtime.GOOS == "linux" && config.ThisHost().Memory < 64<<20 {
		t.Errorf("this host has %d bytes of memory", config.ThisHost().Memory)
	}
}
