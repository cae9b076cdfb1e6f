package source

import (
	"errors"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// goPackage is what a directory looks like to a Go programmer.
type goPackage struct {
	found      bool   // it holds a main package
	moduleRoot string // of the module around it, empty if there is none
	modulePath string
}

// name returns what the go tool would call the program.
func (p goPackage) name(dir string) string {
	if p.moduleRoot != dir || p.modulePath == "" {
		return filepath.Base(dir)
	}
	last := path.Base(p.modulePath)
	if regexp.MustCompile(`^v[0-9]+$`).MatchString(last) { // the major version is no name
		last = path.Base(path.Dir(p.modulePath))
	}
	return last
}

// inspectGo looks for a Go program in a directory. It reads package clauses
// only: source that does not compile is found too, so that the compiler can say
// what is wrong with it.
func inspectGo(dir string) (goPackage, error) {
	var p goPackage
	entries, err := os.ReadDir(dir)
	if err != nil {
		return p, err
	}
	for _, entry := range entries {
		if !entry.IsDir() && isMainFile(dir, entry.Name()) {
			p.found = true
			break
		}
	}
	p.moduleRoot, p.modulePath, err = findModule(dir)
	return p, err
}

// isMainFile tells whether a file is part of a main package on this system.
func isMainFile(dir, name string) bool {
	if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
		return false
	}
	if match, err := build.Default.MatchFile(dir, name); err != nil || !match {
		return false
	}
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.PackageClauseOnly)
	return err == nil && f.Name.Name == "main"
}

// findModule returns the root and the path of the module that a directory
// belongs to.
func findModule(dir string) (root, name string, err error) {
	for ; ; dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil {
			return dir, modulePath(text), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", "", err
		}
		if dir == filepath.Dir(dir) {
			return "", "", nil
		}
	}
}

// modulePath returns the path that a go.mod declares, or nothing.
func modulePath(text []byte) string {
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "//")
		if fields := strings.Fields(line); len(fields) == 2 && fields[0] == "module" {
			return strings.Trim(fields[1], "\"`")
		}
	}
	return ""
}

// maxSearch bounds how many directories are searched to give a hint.
const maxSearch = 200

// goPrograms returns directories of main packages below root, relative to it.
func goPrograms(root string) []string {
	var found []string
	searched := 0
	_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fs.SkipDir
		case entry.IsDir():
			if searched++; searched > maxSearch {
				return fs.SkipAll
			}
			name := entry.Name()
			if path != root && (ignored(name, true) || name == "vendor" || name == "testdata" || strings.HasPrefix(name, "_")) {
				return fs.SkipDir
			}
		case isMainFile(filepath.Dir(path), entry.Name()):
			rel, _ := filepath.Rel(root, filepath.Dir(path)) // path is below root
			found = append(found, rel)
			return fs.SkipDir
		}
		return nil
	})
	return found
}

// goCommand returns the command that compiles the package of the directory that
// it runs in, with the flags that a developer's own builds have: what the compiler
// has cached for those serves here too, so that the first build takes a second and
// not half a minute. The revision of a version control system is left out, so that
// equal source in one place gives an equal release.
func goCommand(out, output string) []string {
	return []string{"go", "build", "-buildvcs=false", "-o", filepath.Join(out, output), "."}
}

// isGoSource tells whether a file is of no use once the program is compiled.
func isGoSource(name string) bool {
	switch name {
	case "go.mod", "go.sum", "go.work", "go.work.sum":
		return true
	}
	return strings.HasSuffix(name, ".go")
}
