// Command gen makes everything that is derived from internal/idl/table.txt: the Go tables of package idl and the
// tables in docs/PROTOCOL.md. Run it with go generate ./internal/idl.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
)

// Where the files are, seen from internal/idl, where go generate runs the command.
const (
	tableFile = "table.txt"
	goFile    = "tables.go"
	docFile   = "../../docs/PROTOCOL.md"
)

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	outputs, err := generate(dir)
	if err != nil {
		return err
	}
	for name, content := range outputs {
		if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, content) {
			continue
		}
		if err := os.WriteFile(name, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// generate returns the files to write, by path, with dir being internal/idl.
func generate(dir string) (map[string][]byte, error) {
	source, err := os.ReadFile(filepath.Join(dir, tableFile))
	if err != nil {
		return nil, err
	}
	t, err := parseTable(string(source))
	if err != nil {
		return nil, fmt.Errorf("cannot parse %s: %w", tableFile, err)
	}
	code, err := goCode(t)
	if err != nil {
		return nil, fmt.Errorf("cannot format %s: %w", goFile, err)
	}
	page := filepath.Join(dir, docFile)
	text, err := os.ReadFile(page)
	if err != nil {
		return nil, err
	}
	doc, err := fillMarkers(text, markdown(t))
	if err != nil {
		return nil, fmt.Errorf("cannot fill %s: %w", docFile, err)
	}
	return map[string][]byte{filepath.Join(dir, goFile): code, page: doc}, nil
}
