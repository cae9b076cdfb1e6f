package clientgen

import (
	"slices"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/idl"
)

// protocols are those of services, in the order in which they are looked at.
func protocols() []*idl.Protocol {
	return []*idl.Protocol{
		idl.Locator, idl.Storage, idl.Logging, idl.LoggingV2, idl.Unicorn, idl.Metrics, idl.NodeService, idl.App,
		idl.Isolate, idl.Vicodyn, idl.Uniresis, idl.Unicat, idl.Cache, idl.Chrono, idl.URLFetch, idl.Graphite,
		idl.Echo, idl.Elasticsearch, idl.Admin,
	}
}

// surely is how many methods of the same names and shapes make a service one of a
// protocol of another name.
const surely = 2

// protocolOf finds the protocol of a service, nil if it is not known: the one of
// the service's name, or one with all its methods and no others.
func protocolOf(name string, methods []cocaine.Method) *idl.Protocol {
	for _, p := range protocols() {
		if p.Name == name {
			return p
		}
	}
	if len(methods) < surely {
		return nil
	}
	for _, p := range protocols() {
		own := slices.DeleteFunc(slices.Clone(p.Messages), func(m idl.Message) bool { return idl.IsControl(m.ID) })
		same := func(m cocaine.Method) bool { return message(p, m) != nil }
		if len(own) == len(methods) && !slices.ContainsFunc(methods, func(m cocaine.Method) bool { return !same(m) }) {
			return p
		}
	}
	return nil
}

// message finds what a protocol says of a method, nil if it has none of its id,
// name and shape.
func message(p *idl.Protocol, m cocaine.Method) *idl.Message {
	if p == nil {
		return nil
	}
	known := p.Message(m.ID)
	if known == nil || known.Name != m.Name ||
		!slices.Equal(nodeNames(known.Next), own(m.Accepts)) || !slices.Equal(nodeNames(known.Reply.Node), own(m.Replies)) {
		return nil
	}
	return known
}

func nodeNames(n *idl.Node) []string {
	var list []string
	if n != nil {
		for i := range n.Messages {
			list = append(list, n.Messages[i].Name)
		}
	}
	return list
}

// own leaves out the control messages, which some states list as well.
func own(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return slices.Contains([]string{"goaway", "ping", "settings", "revoke"}, name)
	})
}
