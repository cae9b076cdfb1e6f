package arch

import (
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cocaine/cocaine-go"
)

// aliases are the public names of internal types. go doc shows of such a one no more
// than its comment, which therefore repeats what the type looks like.
var aliases = map[string]reflect.Type{
	"Error":  reflect.TypeFor[*cocaine.Error](),
	"Header": reflect.TypeFor[*cocaine.Header](),
	"Raw":    reflect.TypeFor[*cocaine.Raw](),
	"Trace":  reflect.TypeFor[*cocaine.Trace](),
}

// machinery are the methods of those types that are there for other packages of this
// module, or for the libraries it uses.
var machinery = []string{"Trace.Append", "Raw.CodecEncodeSelf", "Raw.CodecDecodeSelf"}

// TestAliasesShowWhatTheyAre compares the comments with the types.
func TestAliasesShowWhatTheyAre(t *testing.T) {
	fset := token.NewFileSet()
	for _, p := range documentation(t, fset, ".").Types {
		spec := p.Decl.Specs[0].(*ast.TypeSpec)
		if !spec.Assign.IsValid() {
			continue
		}
		typ := aliases[p.Name]
		if typ == nil {
			t.Errorf("the alias %s is not in the table", p.Name)
			continue
		}
		told, is := toldShape(t, p.Name, p.Doc), shape(p.Name, typ)
		for _, name := range machinery {
			delete(is, name)
		}
		for _, name := range slices.Sorted(maps.Keys(told)) {
			if told[name] != is[name] {
				t.Errorf("%s is told to be %q and is %q", name, told[name], is[name])
			}
		}
		for _, name := range slices.Sorted(maps.Keys(is)) {
			if _, ok := told[name]; !ok {
				t.Errorf("the comment of %s does not show %s", p.Name, name)
			}
		}
	}
}

// toldShape reads the declarations that a comment shows: fields with their types, and
// methods.
func toldShape(t *testing.T, name, text string) map[string]string {
	t.Helper()
	source := "package p\n"
	for _, block := range new(comment.Parser).Parse(text).Content {
		if code, ok := block.(*comment.Code); ok {
			source += code.Text
		}
	}
	f, err := parser.ParseFile(token.NewFileSet(), "", source, 0)
	if err != nil {
		t.Fatalf("the comment of %s shows what is no Go: %v", name, err)
	}
	told := map[string]string{}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			told[name+"."+d.Name.Name] = "method"
		case *ast.GenDecl:
			spec := d.Specs[0].(*ast.TypeSpec)
			s, ok := spec.Type.(*ast.StructType)
			if !ok {
				told[name] = types.ExprString(spec.Type)
				continue
			}
			for _, field := range s.Fields.List {
				for _, n := range field.Names {
					told[name+"."+n.Name] = types.ExprString(field.Type)
				}
			}
		}
	}
	return told
}

// shape is the fields and methods that a type has, given as a pointer to it.
func shape(name string, pointer reflect.Type) map[string]string {
	is := map[string]string{}
	for m := range pointer.Methods() {
		is[name+"."+m.Name] = "method"
	}
	typ := pointer.Elem()
	if typ.Kind() != reflect.Struct {
		is[name] = strings.ReplaceAll(typ.Kind().String()+" of "+typ.Elem().String(), "slice of uint8", "[]byte")
		return is
	}
	for f := range typ.Fields() {
		if f.IsExported() {
			is[name+"."+f.Name] = f.Type.String()
		}
	}
	return is
}
