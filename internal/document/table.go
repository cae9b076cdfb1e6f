package document

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Table is one map of a document.
type Table struct {
	doc    *Document
	path   []string
	values map[string]any
}

// Values returns the table as it was read. The caller must not change it.
func (t *Table) Values() map[string]any { return t.values }

// Has tells whether the table has the key, whatever its value.
func (t *Table) Has(key string) bool {
	_, ok := t.values[key]
	return ok
}

// Problem records that the value under key, or the table itself when key is
// empty, is not acceptable.
func (t *Table) Problem(key, format string, args ...any) {
	path := t.path
	if key != "" {
		path = join(path, key)
	}
	t.doc.problems = append(t.doc.problems, t.doc.errorAt(t.doc.find(path), Dotted(path...), fmt.Sprintf(format, args...)))
}

// Table returns the table under key. It is nil when there is none, and when
// something else stands there, which is recorded as a problem.
func (t *Table) Table(key string) *Table {
	v, ok := t.values[key]
	if !ok {
		return nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		t.Problem(key, "must be a table, have %s", Describe(v))
		return nil
	}
	return &Table{doc: t.doc, path: join(t.path, key), values: m}
}

// Only records a problem for every key that is not among known, with the
// nearest known key as a suggestion.
func (t *Table) Only(known ...string) {
	for _, key := range slices.Sorted(maps.Keys(t.values)) {
		if slices.Contains(known, key) {
			continue
		}
		reason := "unknown key"
		if near := Suggest(key, known); near != "" {
			reason += fmt.Sprintf(" (did you mean %q?)", Dotted(join(t.path, near)...))
		}
		path := join(t.path, key)
		offset, ok := t.doc.keys[flat(path)]
		if !ok {
			offset = t.doc.find(path)
		}
		t.doc.problems = append(t.doc.problems, t.doc.errorAt(offset, Dotted(path...), reason))
	}
}

// Without returns the table as if it did not have the keys.
func (t *Table) Without(keys ...string) *Table {
	values := maps.Clone(t.values)
	for _, key := range keys {
		delete(values, key)
	}
	return &Table{doc: t.doc, path: t.path, values: values}
}

// Position returns where the value under key stands, or zero when that is not
// known.
func (t *Table) Position(key string) Position {
	offset, ok := t.doc.values[flat(join(t.path, key))]
	if !ok {
		return Position{}
	}
	return t.doc.position(offset)
}

// Read stores the value under key, converted by as, in dst and tells whether it
// did. A missing key leaves dst alone; a value that cannot be converted does
// too and is recorded as a problem.
func Read[T any](t *Table, key string, as func(any) (T, error), dst *T) bool {
	v, ok := t.values[key]
	if !ok {
		return false
	}
	got, err := as(v)
	if err != nil {
		t.Problem(key, "%v", err)
		return false
	}
	*dst = got
	return true
}

// find returns the offset of a value, or of the nearest table around it: a
// missing key is best shown at the table that lacks it.
func (d *Document) find(path []string) int {
	for n := len(path); n > 0; n-- {
		if offset, ok := d.values[flat(path[:n])]; ok {
			return offset
		}
	}
	return nowhere
}

// join returns path with key appended, never sharing path's memory.
func join(path []string, key string) []string {
	return append(slices.Clone(path), key)
}

// flat turns a path into a map key. NUL stands in no key that a person can see.
func flat(path []string) string {
	return strings.Join(path, "\x00")
}

// Dotted writes a path the way TOML does: parts that are not bare words are
// quoted. Elements of lists are written "[0]".
func Dotted(path ...string) string {
	var b strings.Builder
	for i, part := range path {
		switch {
		case isElement(part):
			b.WriteString(part)
			continue
		case !isBare(part):
			part = Quote(part)
		}
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(part)
	}
	return b.String()
}

// element is the path part that stands for an element of a list.
func element(n int) string {
	return "[" + strconv.Itoa(n) + "]"
}

func isElement(part string) bool {
	inner, found := strings.CutPrefix(part, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	return found && closed && inner != "" && strings.Trim(inner, "0123456789") == ""
}

func isBare(key string) bool {
	for _, c := range []byte(key) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return key != ""
}
