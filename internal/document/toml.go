package document

import (
	"bytes"
	"errors"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// ParseTOML parses a TOML document. The name of the file appears in errors. A
// syntax error is returned as an *[Error].
//
// The text is read twice: the decoder checks it and gives the values, the
// parser below it gives the positions, which the decoder keeps to itself.
func ParseTOML(file string, text []byte) (*Document, error) {
	d := newDocument(file, text)
	if err := d.checkSize(); err != nil {
		return nil, err
	}
	if err := toml.Unmarshal(text, &d.root); err != nil {
		return nil, d.tomlError(err)
	}
	if d.root == nil {
		d.root = make(map[string]any)
	}
	d.locateTOML()
	return d, nil
}

func (d *Document) tomlError(err error) *Error {
	reason := strings.TrimPrefix(err.Error(), "toml: ")
	broken, ok := errors.AsType[*toml.DecodeError](err)
	if !ok {
		return d.errorAt(nowhere, "", reason)
	}
	line, column := broken.Position() // the column counts bytes
	start := 0
	for range line - 1 {
		start += bytes.IndexByte(d.text[start:], '\n') + 1
	}
	return d.errorAt(start+column-1, Dotted(broken.Key()...), reason)
}

// locateTOML notes where keys and values stand. The document is known to be
// valid; should the parser disagree, positions are missing and nothing else.
func (d *Document) locateTOML() {
	var p unstable.Parser
	p.Reset(d.text)
	var table []string
	arrays := make(map[string]int) // how many [[tables]] of a name were seen
	for p.NextExpression() {
		node := p.Expression()
		switch node.Kind {
		case unstable.Table, unstable.ArrayTable:
			var at int
			table, at = d.header(node.Key(), arrays)
			if node.Kind == unstable.ArrayTable {
				name := flat(table)
				table = join(table, element(arrays[name]))
				arrays[name]++
			}
			d.noteTables(table, at)
		case unstable.KeyValue:
			d.locatePair(table, node)
		}
	}
}

// header returns the path that a table header opens and where it stands. A part
// that names an array of tables means its latest element.
func (d *Document) header(key unstable.Iterator, arrays map[string]int) ([]string, int) {
	var path []string
	at := nowhere
	for key.Next() {
		if n := arrays[flat(path)]; n > 0 {
			path = join(path, element(n-1))
		}
		part := key.Node()
		if len(path) == 0 {
			at = int(part.Raw.Offset)
		}
		path = join(path, string(part.Data))
	}
	return path, at
}

func (d *Document) locatePair(table []string, pair *unstable.Node) {
	path := table
	at, end := nowhere, 0
	for key := pair.Key(); key.Next(); {
		part := key.Node()
		path = join(path, string(part.Data))
		at = int(part.Raw.Offset)
		end = int(part.Raw.Offset + part.Raw.Length)
		d.note(path, at, at)
	}
	d.note(path, at, d.skip(end, " \t="))
	d.locateChildren(path, pair.Value())
}

func (d *Document) locateChildren(path []string, value *unstable.Node) {
	switch value.Kind {
	case unstable.InlineTable:
		for child := value.Children(); child.Next(); {
			if child.Node().Kind == unstable.KeyValue {
				d.locatePair(path, child.Node())
			}
		}
	case unstable.Array:
		n := 0
		for child := value.Children(); child.Next(); n++ {
			item := join(path, element(n))
			if raw := child.Node().Raw; raw.Length > 0 {
				d.note(item, int(raw.Offset), int(raw.Offset))
			}
			d.locateChildren(item, child.Node())
		}
	}
}

// note remembers where a key and its value stand.
func (d *Document) note(path []string, key, value int) {
	name := flat(path)
	if _, again := d.keys[name]; !again {
		d.keys[name] = key
	}
	d.values[name] = value
}

// noteTables remembers where a header opens a table and, unless they were
// opened before, the tables around it.
func (d *Document) noteTables(path []string, at int) {
	for n := range path {
		if _, known := d.values[flat(path[:n+1])]; !known {
			d.note(path[:n+1], at, at)
		}
	}
}

// skip returns the first offset from start on that holds none of the blanks.
func (d *Document) skip(start int, blanks string) int {
	for start < len(d.text) && strings.IndexByte(blanks, d.text[start]) >= 0 {
		start++
	}
	return start
}
