package codec

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"sync"

	ugorji "github.com/ugorji/go/codec"
)

// The encoder writes a function as nil and empties a channel. Neither can be what a
// caller meant: a function was not called, a channel not read. So such types are
// refused before they get there. What an interface holds inside a struct is not looked
// at.

// refusals keeps for each type what is wrong with it: a string, empty for nothing.
var refusals sync.Map

// encodable refuses a value of a type that has no form in msgpack.
func encodable(v any) error {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if err := encodable(e); err != nil {
				return err
			}
		}
		return nil
	case map[string]any:
		for _, e := range v {
			if err := encodable(e); err != nil {
				return err
			}
		}
		return nil
	case nil:
		return nil
	}
	t := reflect.TypeOf(v)
	known, ok := refusals.Load(t)
	if !ok {
		known, _ = refusals.LoadOrStore(t, refusal(t, map[reflect.Type]bool{}))
	}
	if why := known.(string); why != "" {
		return fmt.Errorf("cannot encode %v: %s", t, why)
	}
	return nil
}

// marshalers are the interfaces of types that write themselves.
var marshalers = []reflect.Type{
	reflect.TypeFor[ugorji.Selfer](), reflect.TypeFor[encoding.BinaryMarshaler](), reflect.TypeFor[encoding.TextMarshaler](),
}

// refusal says what is wrong with a type, "" if nothing is.
func refusal(t reflect.Type, seen map[reflect.Type]bool) string {
	if seen[t] {
		return ""
	}
	seen[t] = true
	for _, m := range marshalers {
		if t.Implements(m) || reflect.PointerTo(t).Implements(m) {
			return ""
		}
	}
	switch t.Kind() {
	case reflect.Func:
		return "it is a function"
	case reflect.Chan:
		return "it is a channel"
	case reflect.UnsafePointer:
		return "it is a pointer to no type"
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return refusal(t.Elem(), seen)
	case reflect.Map:
		if why := refusal(t.Key(), seen); why != "" {
			return why
		}
		return refusal(t.Elem(), seen)
	case reflect.Struct:
		return fieldRefusal(t, seen)
	}
	return ""
}

func fieldRefusal(t reflect.Type, seen map[reflect.Type]bool) string {
	for f := range t.Fields() {
		if !f.IsExported() && !f.Anonymous || left(f.Tag) {
			continue
		}
		if why := refusal(f.Type, seen); why != "" {
			return fmt.Sprintf("field %s: %s", f.Name, why)
		}
	}
	return ""
}

// left reports whether the tag of a field says that it is left out.
func left(tag reflect.StructTag) bool {
	name, ok := tag.Lookup("codec")
	if !ok {
		name = tag.Get("json")
	}
	name, _, _ = strings.Cut(name, ",")
	return name == "-"
}
