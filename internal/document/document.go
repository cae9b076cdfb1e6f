// Package document reads the files people write by hand (TOML and JSON) into
// plain values and remembers where in the text each value stands, so that every
// complaint about a value, its syntax or its meaning, can point at it:
//
//	cocaine.toml:7:7: pool.max: must be at least 1, have 0
//		7 | max = 0
//
// A reader parses a file into a [Document], takes its root [Table], and fetches
// one key after another with [Read] and a converter such as [Int] or
// [Duration]. What does not fit is collected in the document instead of
// stopping the reader: [Document.Err] reports all of it at once. A map that came
// from somewhere else (msgpack, say) is read the same way through [FromMap],
// only without positions.
//
// Values are nil, bool, int64, uint64 (above the int64 range), float64, string,
// []any, map[string]any and, from TOML alone, dates and times.
//
// A Document belongs to one goroutine.
package document

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxSize is the largest file accepted. Nobody writes a megabyte of
// configuration by hand; a file of that size is the wrong file.
const MaxSize = 1 << 20

// maxDepth bounds how deeply JSON values nest. It is the depth of a Cocaine
// frame (PROTOCOL.md, limits): a deeper manifest could not travel anyway.
const maxDepth = 32

// Position is a place in a file. Lines and columns count from one; columns
// count characters, not bytes. The zero Position is "unknown".
type Position struct {
	Line, Column int
}

// Document is a parsed file and the problems found in it so far.
type Document struct {
	file     string
	text     []byte
	root     map[string]any
	values   map[string]int // offsets of values, and of headers that open tables, by flat path
	keys     map[string]int // offsets of keys, by flat path
	problems []error
}

// FromMap wraps values that have no text behind them.
func FromMap(root map[string]any) *Document {
	return &Document{root: root}
}

func newDocument(file string, text []byte) *Document {
	return &Document{
		file:   file,
		text:   text,
		values: make(map[string]int),
		keys:   make(map[string]int),
	}
}

// File returns the name the document was parsed under, empty for [FromMap].
func (d *Document) File() string { return d.file }

// Root returns the top-level table.
func (d *Document) Root() *Table {
	return &Table{doc: d, values: d.root}
}

// Err returns every problem recorded so far, joined, in the order of recording;
// nil when there is none. Each of them is an *[Error].
func (d *Document) Err() error {
	return errors.Join(d.problems...)
}

// Error is one problem of a document.
type Error struct {
	File     string // empty when the values came from no file
	Position        // zero when unknown
	Source   string // the offending line, without its end
	Key      string // dotted path of the value, empty for a syntax error
	Reason   string
}

// Error returns the position, the key, the reason and, on a second line, the
// offending line of the file.
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
		}
		b.WriteString(": ")
	}
	if e.Key != "" {
		b.WriteString(e.Key + ": ")
	}
	b.WriteString(e.Reason)
	if strings.TrimSpace(e.Source) != "" {
		fmt.Fprintf(&b, "\n\t%d | %s", e.Line, e.Source)
	}
	return b.String()
}

// nowhere is the offset of what stands at no known place of the text.
const nowhere = -1

// errorAt builds an Error for the place at a byte offset.
func (d *Document) errorAt(offset int, key, reason string) *Error {
	at := d.position(offset)
	return &Error{File: d.file, Position: at, Source: d.line(at.Line), Key: key, Reason: reason}
}

// maxSource bounds how much of an offending line an error repeats.
const maxSource = 160

// line returns line n of the text without its end, or nothing.
func (d *Document) line(n int) string {
	if n < 1 {
		return ""
	}
	rest := d.text
	for ; n > 1; n-- {
		_, after, found := bytes.Cut(rest, []byte("\n"))
		if !found {
			return ""
		}
		rest = after
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) > maxSource {
		return string(bytes.ToValidUTF8(line[:maxSource], nil)) + "..."
	}
	return strings.ToValidUTF8(string(line), "\uFFFD")
}

// position converts a byte offset into a Position. It reads the text up to
// there, which is why offsets are kept and positions are not.
func (d *Document) position(offset int) Position {
	if offset == nowhere {
		return Position{}
	}
	before := d.text[:min(offset, len(d.text))]
	start := bytes.LastIndexByte(before, '\n') + 1
	return Position{
		Line:   bytes.Count(before, []byte("\n")) + 1,
		Column: utf8.RuneCount(before[start:]) + 1,
	}
}

// checkSize refuses files that nobody wrote by hand.
func (d *Document) checkSize() error {
	if len(d.text) > MaxSize {
		return &Error{File: d.file, Reason: fmt.Sprintf("must be at most %s, have %s", FormatSize(MaxSize), FormatSize(int64(len(d.text))))}
	}
	return nil
}
