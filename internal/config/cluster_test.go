package config_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cocaine/cocaine-go/internal/config"
)

func TestClusterNodes(t *testing.T) {
	want := []config.ClusterNode{{UUID: "a", Address: "box:1"}, {UUID: "b", Address: "[::1]:2"}}
	for _, file := range []string{
		"[cluster.nodes]\nb = '[::1]:2'\na = 'box:1'\n",
		"[cluster.nodes]\nb = '::1:2'\na = 'box:1'\n",
		"[cluster]\nnodes = ['a=box:1', 'b=[::1]:2']\n",
	} {
		if have := load(t, write(t, file), root, nil).Cluster.Nodes; !reflect.DeepEqual(have, want) {
			t.Errorf("%s: %+v", file, have)
		}
	}
	host := config.Host{Environ: []string{"COCAINE_CLUSTER_NODES=a=box:1, b=[::1]:2", "COCAINE_CLUSTER_RESTRICT=x,y", "COCAINE_CLUSTER_TYPE=predefined"}}
	c := load(t, "", host, nil)
	if !reflect.DeepEqual(c.Cluster.Nodes, want) || !reflect.DeepEqual(c.Cluster.Restrict, []string{"x", "y"}) || c.Cluster.Type != "predefine" {
		t.Errorf("%+v", c.Cluster)
	}
	s, err := c.Setting("cluster.nodes")
	if err != nil || s.Value != `["a=box:1", "b=[::1]:2"]` || s.Origin.String() != "$COCAINE_CLUSTER_NODES" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestClusterTokenIsHidden(t *testing.T) {
	c := load(t, write(t, "[cluster]\ntoken = 'Bearer s3cret'\n"), root, nil)
	s, err := c.Setting("cluster.token")
	if err != nil || s.Value != `"(hidden)"` || s.Default != `""` || c.Cluster.Token != "Bearer s3cret" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestClusterProblems(t *testing.T) {
	for file, want := range map[string]string{
		"[cluster]\ntype = 'raft'\n":                                    `server.toml:2:8: cluster.type: must be one of multicast, none, predefine, have "raft"`,
		"[cluster]\ngateway = 'ipvs'\n":                                 `cluster.gateway: must be one of adhoc, none, have "ipvs"`,
		"[cluster]\ngroup = '10.0.0.1'\n":                               `cluster.group: must be a multicast address such as 239.0.100.53, have "10.0.0.1"`,
		"[cluster]\nport = 0\n":                                         `cluster.port: must be at least 1`,
		"[cluster]\nhops = 256\n":                                       `cluster.hops: must be at most 255`,
		"[cluster]\ninterval = 0\n":                                     `cluster.interval: must be at least 0.01 seconds, have 0`,
		"[cluster]\nnodes = 5\n":                                        `cluster.nodes: must be a list such as ["10.0.0.2:10053"] or a table by uuid, have 5`,
		"[cluster]\nnodes = ['box']\n":                                  `cluster.nodes: the address of a node must be HOST:PORT, have "box"`,
		"[cluster]\nnodes = [':1']\n":                                   `cluster.nodes: the address of a node must be HOST:PORT, have ":1"`,
		"[cluster]\nnodes = ['a:0']\n":                                  `cluster.nodes: the address of a node must be HOST:PORT, have "a:0"`,
		"[cluster]\nnodes = [5]\n":                                      `cluster.nodes: a node must be a string, have 5`,
		"[cluster]\nnodes = ['a:1', 'a:1']\n":                           `cluster.nodes: node "a:1" is given twice`,
		"[cluster]\nnodes = ['u=a:1', 'u=b:1']\n":                       `cluster.nodes: node "u=b:1" is given twice`,
		"[cluster]\nrestrict = ['']\n":                                  `cluster.restrict: a service must have a name`,
		"[cluster]\nrestrict = 'x'\n":                                   `cluster.restrict: must be a list of strings, have "x"`,
		"[cluster]\ninterface = true\n":                                 `cluster.interface: must be a string, have true`,
		"[cluster]\nnode = []\n":                                        `cluster.node: unknown key (did you mean "cluster.nodes"?)`,
		"[cluster]\nnodes = ['" + strings.Repeat("u", 256) + "=a:1']\n": `the uuid of a node has at most 255 bytes, this one has 256`,
	} {
		_, err := config.Load(write(t, file), root, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\nwant %s", file, err, want)
		}
	}
}

// TestServicesAreExplained: services stand behind the settings, with the place where
// they were named.
func TestServicesAreExplained(t *testing.T) {
	c := load(t, write(t, `[services."my.cache"]
args = { max-size = 5 }
type = "cache"
[services.echo]
type = "echo"
[services.logging]
type = "logging::v2"
args = { default_metafilter = [["severity", 1], ["x", 2.5]] }
`), root, nil)
	settings := c.Settings()
	var have []string
	for _, s := range settings[len(settings)-3:] {
		_, place, _ := strings.Cut(s.Origin.String(), "server.toml:")
		have = append(have, s.Key+" = "+s.Value+" "+place)
	}
	want := []string{
		`services."my.cache" = { type = "cache", args = { max-size = 5 } } 1:2`,
		`services.echo = { type = "echo" } 4:2`,
		`services.logging = { type = "logging::v2", args = { default_metafilter = [["severity", 1], ["x", 2.5]] } } 6:2`,
	}
	if !slices.Equal(have, want) {
		t.Errorf("have\n%s\nwant\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
	if _, err := c.Setting("services.eco"); err == nil || !strings.Contains(err.Error(), `did you mean "services.echo"`) {
		t.Errorf("%v", err)
	}
}
