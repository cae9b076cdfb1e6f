package config

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cocaine/cocaine-go/internal/document"
)

// setting is one entry of the table that everything else follows from.
type setting struct {
	key string // section, dot, name
	doc string // what a person should know, in lines

	set   func(*Config, any) error // takes a value as TOML decodes it
	parse func(string) any         // turns text of the environment or the command line into such a value
	show  func(*Config) string     // the value as TOML
	path  func(*Config) *string    // set for paths only
}

func (s *setting) section() string {
	section, _, _ := strings.Cut(s.key, ".")
	return section
}

func (s *setting) name() string {
	_, name, _ := strings.Cut(s.key, ".")
	return name
}

// env is the environment variable of the setting.
func (s *setting) env() string {
	return envPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(s.key))
}

const envPrefix = "COCAINE_"

// settings returns the table, sections in order.
func settings() []*setting {
	return append([]*setting{
		text("network.endpoint", address, func(c *Config) *string { return &c.Network.Endpoint },
			"IP address that every service listens on. An address that other machines",
			"can reach takes tls.cert and authentication.type token, or insecure."),
		count("network.port", 0, 65535, func(c *Config) *int { return &c.Network.Port },
			"Port of the locator, which is all that a client has to know. 0 lets the",
			"system choose one."),
		text("network.hostname", document.String, func(c *Config) *string { return &c.Network.Hostname },
			"Name under which clients reach this machine. It is resolved and advertised",
			"when endpoint stands for all addresses (0.0.0.0 or ::). Empty means the name",
			"of the machine."),
		pinned("network.pinned", func(c *Config) *map[string]int { return &c.Network.Pinned },
			"Fixed ports of services and apps by name, such as { storage = 10054 }. In the",
			"environment: storage=10054,node=10055."),
		portRange("network.shared", func(c *Config) *PortRange { return &c.Network.Shared },
			"Ports for all other services: from the first up to, but not including, the",
			"second. [0, 0] lets the system choose. In the environment: 32768-61000."),
		toggle("network.insecure", func(c *Config) *bool { return &c.Network.Insecure },
			"Permit listening on addresses that other machines can reach without TLS and",
			"tokens. Whoever reaches a service can run code on this machine: only for",
			"networks you trust."),

		directory("paths.state", func(c *Config) *string { return &c.Paths.State },
			"Directory of everything that must survive a restart: apps, profiles, releases,",
			"logs. It belongs to one server at a time."),
		directory("paths.runtime", func(c *Config) *string { return &c.Paths.Runtime },
			"Directory of the sockets that workers connect to. The path must be short:",
			fmt.Sprintf("at most %d bytes, because the system limits the length of socket paths.", MaxRuntimePath)),
		directory("paths.spool", func(c *Config) *string { return &c.Paths.Spool },
			"Directory that apps are unpacked in. It can be emptied while the server is",
			"stopped. Unless given, it is spool in the state directory."),

		size("limits.frame", 1<<10, func(c *Config) *int64 { return &c.Limits.Frame },
			"Largest frame accepted from a peer. A longer one closes its connection."),
		size("limits.buffer", 64<<10, func(c *Config) *int64 { return &c.Limits.Buffer },
			"Bytes that may wait for one connection before whoever feeds it has to wait."),
		size("limits.memory", 1<<20, func(c *Config) *int64 { return &c.Limits.Memory },
			"Bytes that all connections may take together for frames half read, calls under",
			"way and output that waits; 64 KiB of each are free for every connection. Beyond",
			"it large frames are refused, and whoever feeds a slow connection has to wait.",
			"Unless given, it is a quarter of the memory there is."),
		duration("limits.stall", time.Millisecond, func(c *Config) *time.Duration { return &c.Limits.Stall },
			"How long a peer with waiting bytes may take none before it is cut off."),
		count("limits.channels", 1, maxCount, func(c *Config) *int { return &c.Limits.Channels },
			"Channels that one connection may have open at once."),
		count("limits.calls", 1, maxCount, func(c *Config) *int { return &c.Limits.Calls },
			"Calls of one connection to the services of the runtime that run at once."),
		count("limits.connections", 1, maxCount, func(c *Config) *int { return &c.Limits.Connections },
			"Connections that one service may have. Further ones are closed at once."),

		text("logging.severity", document.OneOf("debug", "info", "warning", "error"), func(c *Config) *string { return &c.Logging.Severity },
			"Least severity of the server's own log: debug, info, warning or error."),
		text("logging.format", document.OneOf("text", "json"), func(c *Config) *string { return &c.Logging.Format },
			"Form of the server's own log, on standard error: text or json."),
		size("logging.store-bytes", 64<<10, func(c *Config) *int64 { return &c.Logging.StoreBytes },
			"Bytes of log kept for each app. The oldest records go first."),
		duration("logging.store-age", time.Second, func(c *Config) *time.Duration { return &c.Logging.StoreAge },
			"How long log records of apps are kept."),

		text("state.url", natsURL, func(c *Config) *string { return &c.State.URL },
			"External NATS server to keep shared state in, such as nats://10.0.0.1:4222, or",
			"several of its cluster, separated by commas. Empty means that this server keeps",
			"its own state in paths.state.").redacted(),

		text("node.runlist", document.NonEmpty, func(c *Config) *string { return &c.Node.Runlist },
			"Runlist whose apps are started with the server."),
		duration("node.grace", 0, func(c *Config) *time.Duration { return &c.Node.Grace },
			"How long running requests may take to end when the server stops. What runs",
			"longer is cut off."),

		optionalFile("tls.cert", func(c *Config) *string { return &c.TLS.Cert },
			"Certificate of the server in PEM, with those in between up to the authority.",
			"With it connections from other machines have to be of TLS. It is read again",
			"when it changes."),
		optionalFile("tls.key", func(c *Config) *string { return &c.TLS.Key },
			"Its private key in PEM."),
		optionalFile("tls.client-ca", func(c *Config) *string { return &c.TLS.ClientCA },
			"Authorities in PEM. If given, who connects by TLS has to have a certificate of",
			"one of them."),
		optionalFile("tls.cluster-ca", func(c *Config) *string { return &c.TLS.ClusterCA },
			"Authorities in PEM that the other nodes of a cluster are known by. If given, this",
			"node connects to them by TLS, with tls.cert if there is one."),

		text("authentication.type", typeOf(Promiscuous, ByToken), func(c *Config) *string { return &c.Authentication.Type },
			"How callers are told apart. promiscuous: the header authorization is a list of",
			"user ids, and everybody is believed. token: it is a token, and who has none is",
			"refused, by every service."),
		tokenList("authentication.tokens", func(c *Config) *[]string { return &c.Authentication.Tokens },
			"Tokens, each as a name, a user id and the SHA-256 of the token in hex, such as",
			`["ann 1001 9f86d081..."]. In the environment they are separated by commas.`),
		optionalFile("authentication.token-file", func(c *Config) *string { return &c.Authentication.TokenFile },
			"File of more tokens, one in a line. It is read again when it changes."),
		userIDs("authentication.workers", func(c *Config) *map[string]uint64 { return &c.Authentication.Workers },
			"User ids under which the workers of apps call services, by app, such as",
			"{ hello = 1001 }. They are told in COCAINE_APP_TOKEN_TYPE and _BODY. In the",
			"environment: hello=1001,bye=1002."),

		text("authorizations.storage", typeOf(Disabled, "storage"), func(c *Config) *string { return &c.Authorizations.Storage },
			"Who may read and write collections of the storage: storage for what their",
			"permissions say, disabled for everybody."),
		text("authorizations.unicorn", typeOf(Disabled, "unicorn"), func(c *Config) *string { return &c.Authorizations.Unicorn },
			"Who may read and change what lies in unicorn: unicorn for what the permissions",
			"of the first name of the path say, disabled for everybody."),
		text("authorizations.event", typeOf(Disabled, "event"), func(c *Config) *string { return &c.Authorizations.Event },
			"Who may start and stop apps: event for those whose list of methods says so,",
			"disabled for everybody."),
	}, clusterSettings()...)
}

// maxCount bounds counts that have no natural limit.
const maxCount = 1 << 24

// newSetting makes an entry from a place in the Config, a converter and the way
// back.
func newSetting[T any](key string, doc []string, at func(*Config) *T, as func(any) (T, error), show func(T) string, parse func(string) any) *setting {
	return &setting{
		key: key,
		doc: strings.Join(doc, "\n"),
		set: func(c *Config, v any) error {
			got, err := as(v)
			if err == nil {
				*at(c) = got
			}
			return err
		},
		parse: parse,
		show:  func(c *Config) string { return show(*at(c)) },
	}
}

func text(key string, as func(any) (string, error), at func(*Config) *string, doc ...string) *setting {
	return newSetting(key, doc, at, as, document.Quote, verbatim)
}

func directory(key string, at func(*Config) *string, doc ...string) *setting {
	s := text(key, directoryPath, at, doc...)
	s.path = at
	return s
}

func count(key string, least, most int, at func(*Config) *int, doc ...string) *setting {
	return newSetting(key, doc, at, document.Int(least, most), strconv.Itoa, number)
}

func toggle(key string, at func(*Config) *bool, doc ...string) *setting {
	return newSetting(key, doc, at, document.Bool, strconv.FormatBool, boolean)
}

func size(key string, least int64, at func(*Config) *int64, doc ...string) *setting {
	show := func(n int64) string { return document.Quote(document.FormatSize(n)) }
	return newSetting(key, doc, at, document.Size(least), show, number)
}

func duration(key string, least time.Duration, at func(*Config) *time.Duration, doc ...string) *setting {
	show := func(d time.Duration) string { return document.Quote(document.FormatDuration(d)) }
	return newSetting(key, doc, at, document.Duration(least), show, number)
}

func pinned(key string, at func(*Config) *map[string]int, doc ...string) *setting {
	return newSetting(key, doc, at, asPinned, showPinned, parsePinned)
}

func portRange(key string, at func(*Config) *PortRange, doc ...string) *setting {
	show := func(r PortRange) string { return fmt.Sprintf("[%d, %d]", r.Min, r.Max) }
	return newSetting(key, doc, at, asPortRange, show, parsePortRange)
}

// redacted hides the passwords of URLs from whoever looks at the configuration.
func (s *setting) redacted() *setting {
	show := s.show
	s.show = func(c *Config) string {
		shown := *c
		urls := strings.Split(c.State.URL, ",")
		for i, part := range urls {
			if u, err := url.Parse(strings.TrimSpace(part)); err == nil {
				urls[i] = u.Redacted()
			}
		}
		shown.State.URL = strings.Join(urls, ",")
		return show(&shown)
	}
	return s
}

func verbatim(s string) any { return s }

// number reads text as the number that it looks like.
func number(s string) any {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return f
	}
	return s
}

func boolean(s string) any {
	if b, err := strconv.ParseBool(s); err == nil {
		return b
	}
	return s
}

// address accepts an IP address.
func address(v any) (string, error) {
	s, err := document.String(v)
	if err != nil {
		return "", err
	}
	if _, err := netip.ParseAddr(s); err != nil {
		return "", fmt.Errorf("must be an IP address such as 127.0.0.1 or ::, have %q", s)
	}
	return s, nil
}

// directoryPath accepts the name of a directory.
func directoryPath(v any) (string, error) {
	s, err := document.NonEmpty(v)
	if err != nil {
		return "", err
	}
	if strings.ContainsRune(s, 0) {
		return "", errors.New("must not contain a zero byte")
	}
	if strings.HasPrefix(s, "~") {
		return "", fmt.Errorf(`must be written out, "~" has no meaning here, have %q`, s)
	}
	return s, nil
}

// natsURL accepts nothing or a list of NATS servers.
func natsURL(v any) (string, error) {
	s, err := document.String(v)
	if err != nil || s == "" {
		return "", err
	}
	for part := range strings.SplitSeq(s, ",") {
		u, err := url.Parse(strings.TrimSpace(part))
		if err != nil || u.Host == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
			return "", errors.New("must be a URL such as nats://10.0.0.1:4222, or several, separated by commas") // it may hold a password: not repeated
		}
	}
	return s, nil
}

func asPinned(v any) (map[string]int, error) {
	table, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("must be a table such as { storage = 10054 }, have %s", document.Describe(v))
	}
	ports := make(map[string]int, len(table))
	for _, service := range slices.Sorted(maps.Keys(table)) {
		port, err := document.Int(1, 65535)(table[service])
		switch {
		case err != nil:
			return nil, fmt.Errorf("port of %q %w", service, err)
		case service == "":
			return nil, errors.New("a service must have a name")
		case service == "locator":
			return nil, errors.New("the locator's port is network.port")
		}
		ports[service] = port
	}
	return ports, nil
}

func showPinned(ports map[string]int) string {
	if len(ports) == 0 {
		return "{}"
	}
	var pairs []string
	for _, service := range slices.Sorted(maps.Keys(ports)) {
		pairs = append(pairs, fmt.Sprintf("%s = %d", document.Dotted(service), ports[service]))
	}
	return "{ " + strings.Join(pairs, ", ") + " }"
}

// parsePinned reads name=port,name=port.
func parsePinned(s string) any {
	table := make(map[string]any)
	for pair := range strings.SplitSeq(s, ",") {
		service, port, ok := strings.Cut(pair, "=")
		if !ok {
			return s
		}
		table[strings.TrimSpace(service)] = number(strings.TrimSpace(port))
	}
	return table
}

func asPortRange(v any) (PortRange, error) {
	list, ok := v.([]any)
	if !ok || len(list) != 2 {
		return PortRange{}, fmt.Errorf("must be two ports such as [32768, 61000], have %s", document.Describe(v))
	}
	first, err := document.Int(0, 65535)(list[0])
	if err != nil {
		return PortRange{}, fmt.Errorf("the first port %w", err)
	}
	end, err := document.Int(0, 65536)(list[1])
	if err != nil {
		return PortRange{}, fmt.Errorf("the second port %w", err)
	}
	r := PortRange{Min: first, Max: end}
	if r != (PortRange{}) && (first == 0 || end <= first) {
		return PortRange{}, fmt.Errorf("must be a range that holds a port, have [%d, %d]", first, end)
	}
	return r, nil
}

// parsePortRange reads first-end or first,end.
func parsePortRange(s string) any {
	first, end, ok := strings.Cut(strings.Trim(s, "[] "), ",")
	if !ok {
		first, end, ok = strings.Cut(s, "-")
	}
	if !ok {
		return s
	}
	return []any{number(strings.TrimSpace(first)), number(strings.TrimSpace(end))}
}
