package config

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cocaine/cocaine-go/internal/document"
)

// Cluster says how nodes find each other and what they tell.
type Cluster struct {
	// Type is how nodes are found: none, multicast or predefine. With none there is
	// no cluster.
	Type string
	// Gateway is adhoc where services of other nodes are resolvable here, none where
	// this node only tells what it has.
	Gateway string
	// Name is that of the cluster. Nodes do not use the services of another one.
	Name string
	// Token is what this node shows to others that want a token: the value of the header
	// authorization.
	Token string
	// Restrict names services that other nodes are not told.
	Restrict []string
	// Interval is how often a node gives a sign of life. One that gives none for
	// three times as long is gone.
	Interval time.Duration
	// Nodes are the others, for predefine.
	Nodes []ClusterNode
	// Group and Port are what datagrams are sent to, for multicast.
	Group string
	Port  int
	// Interface has the group: an address, a name or a number. Empty means that the
	// system chooses.
	Interface string
	// Loopback makes other servers on this machine hear this one.
	Loopback bool
	// Hops is how many networks a datagram crosses.
	Hops int
}

// ClusterNode is a node that the configuration names.
type ClusterNode struct {
	UUID    string // empty: whoever is at the address
	Address string // of its locator, host:port
}

func (n ClusterNode) String() string {
	if n.UUID == "" {
		return n.Address
	}
	return n.UUID + "=" + n.Address
}

func defaultCluster() Cluster {
	return Cluster{Type: "none", Gateway: "adhoc", Interval: 5 * time.Second, Group: "239.0.100.53", Port: 10053, Hops: 1}
}

// clusterSettings are the part of the table about the cluster.
func clusterSettings() []*setting {
	return []*setting{
		text("cluster.type", clusterType, func(c *Config) *string { return &c.Cluster.Type },
			"How this node and others find each other: multicast, predefine (by cluster.nodes)",
			"or none. Nodes of one cluster tell each other their services."),
		text("cluster.gateway", document.OneOf("adhoc", "none"), func(c *Config) *string { return &c.Cluster.Gateway },
			"adhoc: a service that this node does not have is resolved to one of the nodes",
			"that have it, at random. none: this node only tells what it has."),
		text("cluster.name", document.String, func(c *Config) *string { return &c.Cluster.Name },
			"Name of the cluster. Nodes do not use the services of another one."),
		newSetting("cluster.token", []string{
			`Token that this node shows to others, such as "Bearer s3cret". They need to know`,
			"it if their authentication.type is token."},
			func(c *Config) *string { return &c.Cluster.Token }, document.String, hidden, verbatim),
		names("cluster.restrict", func(c *Config) *[]string { return &c.Cluster.Restrict },
			"Services that other nodes are not told. In the environment separated by commas."),
		duration("cluster.interval", 10*time.Millisecond, func(c *Config) *time.Duration { return &c.Cluster.Interval },
			"How often a node gives a sign of life. One that gives none for three times as",
			"long is taken for gone."),
		nodes("cluster.nodes", func(c *Config) *[]ClusterNode { return &c.Cluster.Nodes },
			`Nodes for predefine: their locators, as "HOST:PORT" or "UUID=HOST:PORT", or a table`,
			`{ UUID = "HOST:PORT" }. One with a uuid is linked only if it is that node. In the`,
			"environment separated by commas."),
		text("cluster.group", group, func(c *Config) *string { return &c.Cluster.Group },
			"Address of the group for multicast."),
		count("cluster.port", 1, 65535, func(c *Config) *int { return &c.Cluster.Port },
			"UDP port of the group."),
		newSetting("cluster.interface", []string{
			"Interface that the group is on: an address that it has, its name or its number.",
			"Empty lets the system choose."},
			func(c *Config) *string { return &c.Cluster.Interface }, networkInterface, document.Quote, verbatim),
		toggle("cluster.loopback", func(c *Config) *bool { return &c.Cluster.Loopback },
			"Whether other servers on this machine hear this one in the group."),
		count("cluster.hops", 0, 255, func(c *Config) *int { return &c.Cluster.Hops },
			"How many networks a datagram may cross."),
	}
}

// hidden shows that there is a secret, and not which.
func hidden(s string) string {
	if s != "" {
		s = "(hidden)"
	}
	return document.Quote(s)
}

func clusterType(v any) (string, error) {
	if v == "predefined" { // the name in old documentation
		v = "predefine"
	}
	return document.OneOf("multicast", "none", "predefine")(v)
}

// group accepts a multicast address.
func group(v any) (string, error) {
	s, err := document.String(v)
	if err != nil {
		return "", err
	}
	if a, err := netip.ParseAddr(s); err != nil || !a.IsMulticast() {
		return "", fmt.Errorf("must be a multicast address such as 239.0.100.53, have %q", s)
	}
	return s, nil
}

// networkInterface accepts an address, a name or a number.
func networkInterface(v any) (string, error) {
	if n, err := document.Int(0, maxCount)(v); err == nil {
		if n == 0 {
			return "", nil // as in the original: the system's choice
		}
		return strconv.Itoa(n), nil
	}
	return document.String(v)
}

func names(key string, at func(*Config) *[]string, doc ...string) *setting {
	return newSetting(key, doc, at, serviceNames, showList, parseList)
}

func serviceNames(v any) ([]string, error) {
	list, err := document.Strings(v)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	if slices.Contains(list, "") {
		return nil, errors.New("a service must have a name")
	}
	return list, nil
}

func showList(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = document.Quote(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// parseList reads a,b,c.
func parseList(s string) any {
	list := []any{}
	for part := range strings.SplitSeq(s, ",") {
		list = append(list, strings.TrimSpace(part))
	}
	return list
}

func nodes(key string, at func(*Config) *[]ClusterNode, doc ...string) *setting {
	show := func(nodes []ClusterNode) string {
		list := make([]string, len(nodes))
		for i, n := range nodes {
			list[i] = n.String()
		}
		return showList(list)
	}
	return newSetting(key, doc, at, asNodes, show, parseList)
}

// asNodes accepts a list of [uuid=]host:port, or a table of host:port by uuid.
func asNodes(v any) ([]ClusterNode, error) {
	var nodes []ClusterNode
	switch v := v.(type) {
	case map[string]any:
		for _, uuid := range slices.Sorted(maps.Keys(v)) {
			n, err := asNode(uuid, v[uuid])
			if err != nil {
				return nil, err
			}
			nodes = append(nodes, n)
		}
	case []any:
		for _, e := range v {
			uuid := ""
			if s, ok := e.(string); ok {
				if before, after, ok := strings.Cut(s, "="); ok {
					uuid, e = before, after
				}
			}
			n, err := asNode(uuid, e)
			if err != nil {
				return nil, err
			}
			nodes = append(nodes, n)
		}
	default:
		return nil, fmt.Errorf(`must be a list such as ["10.0.0.2:10053"] or a table by uuid, have %s`, document.Describe(v))
	}
	for i, n := range nodes {
		if slices.ContainsFunc(nodes[:i], func(o ClusterNode) bool { return o.Address == n.Address || n.UUID != "" && o.UUID == n.UUID }) {
			return nil, fmt.Errorf("node %q is given twice", n)
		}
	}
	return nodes, nil
}

// maxUUID is the length of the longest uuid, in bytes.
const maxUUID = 255

func asNode(uuid string, v any) (ClusterNode, error) {
	address, err := document.String(v)
	if err != nil {
		return ClusterNode{}, fmt.Errorf("a node %w", err)
	}
	if len(uuid) > maxUUID {
		return ClusterNode{}, fmt.Errorf("the uuid of a node has at most %d bytes, this one has %d", maxUUID, len(uuid))
	}
	// The original splits at the last colon: an IPv6 address has no brackets there.
	if at := strings.LastIndexByte(address, ':'); at > 0 {
		if a, err := netip.ParseAddr(address[:at]); err == nil && a.Is6() {
			address = net.JoinHostPort(address[:at], address[at+1:])
		}
	}
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		var n int
		if n, err = strconv.Atoi(port); err == nil && (n < 1 || n > 65535 || host == "") {
			err = strconv.ErrRange
		}
	}
	if err != nil {
		return ClusterNode{}, fmt.Errorf("the address of a node must be HOST:PORT, have %q", address)
	}
	return ClusterNode{UUID: uuid, Address: address}, nil
}
