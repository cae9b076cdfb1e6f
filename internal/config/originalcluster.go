package config

import (
	"fmt"
	"strings"

	"github.com/cocaine/cocaine-go/internal/document"
)

// originalCluster maps what the original says of its cluster to ours.
func originalCluster(version int) map[string]string {
	if version == 2 {
		return map[string]string{"network.group": "cluster.group", "network.gateway.type": "cluster.gateway"}
	}
	const cluster = "services.locator.args.cluster."
	return map[string]string{
		"services.locator.args.gateway.type":                  "cluster.gateway",
		cluster + "type":                                      "cluster.type",
		"services.locator.args.restrict":                      "cluster.restrict",
		"services.locator.args.extra_param.x-cocaine-cluster": "cluster.name",
		cluster + "args.group":                                "cluster.group",
		cluster + "args.port":                                 "cluster.port",
		cluster + "args.interval":                             "cluster.interval",
		cluster + "args.interface":                            "cluster.interface",
		cluster + "args.loopback":                             "cluster.loopback",
		cluster + "args.hops":                                 "cluster.hops",
		cluster + "args.nodes":                                "cluster.nodes",
	}
}

// cluster takes what the original has another notion of: the types of its clusters and
// gateways, of which some are not here. It reports false for any other key.
func (o *original) cluster(t *document.Table, key, dotted string) bool {
	switch dotted {
	case "network.group": // there is a cluster because it has a group
		o.take(t, key, o.settings[dotted], t.Values()[key])
		o.take(t, key, "cluster.type", "multicast")
		o.note(t, key, dotted, "taken over for nodes of this kind; those of v0.11 tell each other in another way, and are not linked")
	case "network.gateway.type", "services.locator.args.gateway.type":
		o.gateway(t, key, dotted)
	case "services.locator.args.cluster.type":
		if name, ok := t.Values()[key].(string); ok && name != "multicast" && !strings.HasPrefix(name, "predefine") {
			o.note(t, key, dotted, fmt.Sprintf("nodes do not find each other by %s; docs/CONFIG.md, Clusters, has the ways there are", name))
			return true
		}
		o.take(t, key, "cluster.type", t.Values()[key])
	default:
		return false
	}
	return true
}

// gateway takes the type of a gateway over. All that is not adhoc is something like it.
func (o *original) gateway(t *document.Table, key, dotted string) {
	v := t.Values()[key]
	if name, ok := v.(string); ok && name != "adhoc" {
		o.note(t, key, dotted, fmt.Sprintf("there is no gateway of type %s; adhoc takes its place", name))
		v = "adhoc"
	}
	o.take(t, key, "cluster.gateway", v)
}

// finishCluster sets what the original means by leaving something out: without a
// gateway a node only tells what it has.
func (o *original) finishCluster() {
	_, clustered := o.config.origins["cluster.type"]
	if _, ok := o.config.origins["cluster.gateway"]; clustered && !ok {
		o.config.Cluster.Gateway = "none"
		o.config.origins["cluster.gateway"] = o.config.origins["cluster.type"]
	}
}
