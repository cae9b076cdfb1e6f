package clientgen

import (
	"fmt"
	"strings"

	"github.com/cocaine/cocaine-go/internal/idl"
)

// A helper is a type that a client needs beside its own: a list of fixed length,
// whose elements have names.
type helper struct {
	name, doc string
	fields    []field
	list      bool // it is sent, as a list; read it is by position anyway
}

type field struct{ name, goType string }

// typer turns types of package idl into those of Go (docs/PROTOCOL.md, Services).
// It collects the helpers that they need.
type typer struct {
	prefix  string // of the helpers' names
	helpers []helper
	result  bool // the type is that of a result
}

// of gives the type in Go. A type that it does not know is any.
func (t *typer) of(typ string) string {
	if base, ok := strings.CutSuffix(typ, "|nil"); ok {
		return pointer(t.of(base))
	}
	switch typ {
	case "bool":
		return "bool"
	case "int":
		return "int64"
	case "uint":
		return "uint64"
	case "float":
		return "float64"
	case "raw":
		return "[]byte"
	case "str":
		return "string"
	case "graph":
		return "cocaine.Raw"
	case "endpoint":
		return t.need("Endpoint", "is a numeric address and a port.", field{"Address", "string"}, field{"Port", "uint16"})
	case "attr":
		return t.need("Attr", "is a name and a value: text, a number or a bool.", field{"Name", "string"}, field{"Value", t.any()})
	case "versioned":
		return t.need("Versioned", "is a value at a version.", field{"Value", t.any()}, field{"Version", "int64"})
	case "error":
		return t.need("Code", "is the category and the code of an error.", field{"Category", "int64"}, field{"Code", "int64"})
	}
	return t.composite(typ)
}

func (t *typer) composite(typ string) string {
	inner := typ[min(1, len(typ)):max(len(typ)-1, 0)]
	switch {
	case strings.HasPrefix(typ, "[") && inner == "any":
		return "[]" + t.any()
	case strings.HasPrefix(typ, "["):
		return "[]" + t.of(inner)
	case strings.HasPrefix(typ, "{"):
		key, value, _ := strings.Cut(inner, ": ")
		return fmt.Sprintf("map[%s]%s", t.of(key), t.of(value))
	case strings.HasPrefix(typ, "("):
		return "[]" + t.any()
	}
	return t.any()
}

// any is a value of any type. What was read is left to be decoded.
func (t *typer) any() string {
	if t.result {
		return "cocaine.Raw"
	}
	return "any"
}

func pointer(goType string) string {
	switch {
	case goType == "any", goType == "cocaine.Raw", strings.HasPrefix(goType, "["), strings.HasPrefix(goType, "map["):
		return goType // has a nil of its own
	}
	return "*" + goType
}

// need gives the name of a helper.
func (t *typer) need(name, doc string, fields ...field) string {
	h := helper{name: t.prefix + name, doc: doc, fields: fields, list: !t.result}
	for i := range t.helpers {
		if t.helpers[i].name == h.name {
			t.helpers[i].list = t.helpers[i].list || h.list
			return h.name
		}
	}
	t.helpers = append(t.helpers, h)
	return h.name
}

// answer gives the type of what a method answers with: a struct if there are
// several values.
func (t *typer) answer(method string, values []idl.Arg) string {
	t.result = true
	defer func() { t.result = false }()
	if len(values) == 1 {
		return t.of(values[0].Type)
	}
	fields := make([]field, len(values))
	for i, v := range values {
		fields[i] = field{camel(v.Name), t.of(v.Type)}
	}
	return t.need(method+"Answer", "is what "+method+" answers with.", fields...)
}
