package clientgen

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/idl"
)

// A file is what is going to be written.
type file struct {
	pkg, typ string
	service  string
	version  int
	doc      string // of the protocol
	app      bool   // the service is an app, whose client has a cocaine.App
	methods  []method
	helpers  []helper
}

// The shapes of methods.
type shape int

const (
	exec    shape = iota // no result
	one                  // one
	many                 // a stream of them
	stream               // the channel itself
	event                // of an app
	enqueue              // any event of an app, as a conversation
)

// A method of the client.
type method struct {
	name, wire string
	doc, note  string
	shape      shape
	result     string // type of it in Go
	params     []param
	variadic   variadic
}

type param struct{ name, goType string }

// variadic is the last parameter, that of what may be left out.
type variadic struct {
	name, goType string // empty for none
	each         bool   // they are arguments; otherwise together they are one
	doc          string
}

// plan decides on names and types.
func plan(r *cocaine.Resolution, o Options) (*file, error) {
	methods := slices.Clone(r.Methods)
	if len(methods) == 0 {
		return nil, ErrNoMethods
	}
	slices.SortFunc(methods, func(a, b cocaine.Method) int { return cmp.Compare(a.ID, b.ID) })
	f := &file{pkg: o.Package, typ: o.Type, service: r.Name, version: r.Version}
	p := protocolOf(r.Name, methods)
	if p != nil {
		f.doc = p.Doc
	}
	f.app = isApp(methods, p)
	t := &typer{prefix: o.Type}
	taken := names{"With": true} // a method of every client
	for _, m := range methods {
		if f.app && m.Name == "enqueue" {
			f.methods = append(f.methods, method{name: taken.take(m.Name, "Method", m.ID), wire: m.Name, shape: enqueue})
			continue
		}
		f.methods = append(f.methods, planMethod(m, message(p, m), taken, t)...)
	}
	f.helpers = t.helpers
	if len(o.Events) > 0 && !f.app {
		return nil, ErrNoApp
	}
	for i, e := range o.Events {
		f.methods = append(f.methods, method{name: taken.take(e, "Event", uint64(i)), wire: e, shape: event})
	}
	return f, nil
}

// isApp reports whether a service of a protocol, nil if it is not known, has events.
// The enqueue of the node service is another one.
func isApp(methods []cocaine.Method, p *idl.Protocol) bool {
	return slices.ContainsFunc(methods, func(m cocaine.Method) bool {
		return m.Name == "enqueue" && slices.Contains(m.Accepts, "write") && slices.Contains(m.Replies, "write") &&
			(p == idl.App || message(p, m) == nil)
	})
}

// planMethod gives the one or two methods of the client for one of the service. Of
// a method that nothing more is known of, known is nil.
func planMethod(m cocaine.Method, known *idl.Message, taken names, t *typer) []method {
	out := method{name: taken.take(m.Name, "Method", m.ID), wire: m.Name, shape: shapeOf(m)}
	switch {
	case known == nil:
		out.variadic = variadic{name: "args", goType: "any", each: true}
		out.result = "cocaine.Raw"
	default:
		out.doc = known.Doc
		out.arguments(known.Args, t)
		out.answers(known.Reply.Values, t)
	}
	if (out.shape == one || out.shape == exec) && holds(m) {
		open := out
		open.name, open.shape = taken.take(out.name+"_stream", "Method", m.ID), stream
		out.note = fmt.Sprintf("What it holds it gives up at once; %s keeps it.", open.name)
		return []method{out, open}
	}
	return []method{out}
}

// holds reports whether a method that has answered may stand for something as long
// as its channel is open. A caller who may only close the channel frees it.
func holds(m cocaine.Method) bool {
	accepts := own(m.Accepts)
	return len(accepts) > 0 && !slices.Equal(accepts, []string{"close"})
}

// shapeOf reads a method's shape off the first messages of either side.
func shapeOf(m cocaine.Method) shape {
	accepts, replies := own(m.Accepts), own(m.Replies)
	switch {
	case slices.Contains(accepts, "write"):
		return stream
	case slices.Contains(replies, "value"):
		return one
	case slices.Contains(replies, "write"):
		return many
	case len(replies) == 0 && len(accepts) == 0:
		return exec
	}
	return stream
}

// arguments types those that must be there, and what may be left out.
func (m *method) arguments(args []idl.Arg, t *typer) {
	var optional []idl.Arg
	for _, a := range args {
		if a.Optional {
			optional = append(optional, a)
			continue
		}
		m.params = append(m.params, param{parameter(a.Name), t.of(a.Type)})
	}
	switch len(optional) {
	case 0:
		return
	case 1:
		a := optional[0]
		m.variadic = variadic{name: parameter(a.Name), goType: t.of(a.Type), each: true}
		if strings.HasPrefix(a.Type, "[") {
			m.variadic.goType, m.variadic.each = strings.TrimPrefix(m.variadic.goType, "[]"), false
			return
		}
		m.variadic.doc = fmt.Sprintf("The %s may be left out.", words(a.Name)[0])
		return
	}
	var list []string
	for _, a := range optional {
		list = append(list, fmt.Sprintf("%s (%s)", a.Name, t.of(a.Type)))
	}
	m.variadic = variadic{name: "optional", goType: "any", each: true,
		doc: "What may be left out, in this order: " + strings.Join(list, ", ") + "."}
}

func (m *method) answers(values []idl.Arg, t *typer) {
	switch {
	case m.shape == one && len(values) == 0:
		m.shape = exec
	case m.shape == many && len(values) == 0:
		m.result = "cocaine.Raw"
	case m.shape == one || m.shape == many:
		m.result = t.answer(m.name, values)
	}
}
