package arch

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// public are the packages that others import, by the name that documents use for
// them.
var public = map[string]string{"cocaine": ".", "worker": "worker", "cocainetest": "cocainetest"}

// goFiles parses the files of one package's directory that match want.
func goFiles(t *testing.T, fset *token.FileSet, dir string, want func(name string) bool) []*ast.File {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("../..", dir, "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no Go files in %s: %v", dir, err)
	}
	var files []*ast.File
	for _, name := range names {
		if !want(filepath.Base(name)) {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

func isTest(name string) bool { return strings.HasSuffix(name, "_test.go") }

// documentation reads a public package as go doc does, with its examples.
func documentation(t *testing.T, fset *token.FileSet, dir string) *doc.Package {
	t.Helper()
	p, err := doc.NewFromFiles(fset, goFiles(t, fset, dir, func(string) bool { return true }), module+"/"+dir)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// symbols are the exported names of a package and whether each is documented:
// Name, Type.Method, Type.Field. A constant, variable or field is documented by
// its own comment or by that of the group it stands in.
func symbols(fset *token.FileSet, p *doc.Package) map[string]bool {
	all := map[string]bool{}
	values := func(vs []*doc.Value) {
		for _, v := range vs {
			for _, s := range v.Decl.Specs {
				s := s.(*ast.ValueSpec)
				for _, n := range s.Names {
					if n.IsExported() {
						all[n.Name] = v.Doc != "" || s.Doc.Text() != "" || s.Comment.Text() != ""
					}
				}
			}
		}
	}
	funcs := func(prefix string, fs []*doc.Func) {
		for _, f := range fs {
			all[prefix+f.Name] = f.Doc != ""
		}
	}
	values(p.Consts)
	values(p.Vars)
	funcs("", p.Funcs)
	for _, t := range p.Types {
		all[t.Name] = t.Doc != ""
		values(t.Consts)
		values(t.Vars)
		funcs("", t.Funcs)
		funcs(t.Name+".", t.Methods)
		for _, s := range t.Decl.Specs {
			members(fset, all, t.Name, s.(*ast.TypeSpec).Type)
		}
	}
	return all
}

// members adds the fields of a struct and the methods of an interface. Each has a
// comment of its own, shares the line with one that has, or follows one that has
// without an empty line between them.
func members(fset *token.FileSet, all map[string]bool, owner string, t ast.Expr) {
	var list *ast.FieldList
	switch t := t.(type) {
	case *ast.StructType:
		list = t.Fields
	case *ast.InterfaceType:
		list = t.Methods
	default:
		return
	}
	documented, line := false, 0
	for _, f := range list.List {
		own := f.Doc.Text() != "" || f.Comment.Text() != ""
		adjacent := fset.Position(f.Pos()).Line == line+1
		documented = own || documented && adjacent
		line = fset.Position(f.End()).Line
		for _, n := range f.Names {
			if n.IsExported() {
				all[owner+"."+n.Name] = documented
			}
		}
	}
}

// TestNoInit: to import the framework does nothing. No package of it has an init,
// or calls a function of its own to make a variable.
func TestNoInit(t *testing.T) {
	for name, dir := range public {
		fset := token.NewFileSet()
		local := map[string]bool{}
		files := goFiles(t, fset, dir, func(name string) bool { return !isTest(name) })
		for _, f := range files {
			for _, d := range f.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
					local[f.Name.Name] = true
				}
			}
		}
		if local["init"] {
			t.Errorf("package %s has a function init", name)
		}
		for _, f := range files {
			for _, d := range f.Decls {
				if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
					for _, call := range calls(g) {
						if id, ok := call.Fun.(*ast.Ident); ok && local[id.Name] {
							t.Errorf("package %s calls %s when it is imported", name, id.Name)
						}
					}
				}
			}
		}
	}
}

// calls are those that are made when the declaration is, not by its functions.
func calls(g *ast.GenDecl) []*ast.CallExpr {
	var all []*ast.CallExpr
	ast.Inspect(g, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.CallExpr:
			all = append(all, n)
		}
		return true
	})
	return all
}

// TestEveryNameIsDocumented covers constants, variables, functions, types,
// methods and fields.
func TestEveryNameIsDocumented(t *testing.T) {
	for name, dir := range public {
		fset := token.NewFileSet()
		p := documentation(t, fset, dir)
		if p.Doc == "" {
			t.Errorf("package %s has no comment", name)
		}
		for symbol, documented := range symbols(fset, p) {
			if !documented {
				t.Errorf("%s.%s has no comment", name, symbol)
			}
		}
	}
}
