package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// ParseJSON parses a JSON document whose top level is an object. It is stricter
// than encoding/json where leniency hides mistakes: a key given twice, invalid
// UTF-8 and anything after the object are errors. All are *[Error].
func ParseJSON(file string, text []byte) (*Document, error) {
	text = bytes.TrimPrefix(text, []byte("\uFEFF"))
	d := newDocument(file, text)
	if err := d.checkSize(); err != nil {
		return nil, err
	}
	if i := invalidUTF8(text); i >= 0 {
		return nil, d.errorAt(i, "", "invalid UTF-8")
	}
	if err := d.checkJSON(); err != nil {
		return nil, err
	}
	w := jsonWalker{doc: d, dec: json.NewDecoder(bytes.NewReader(text))}
	w.dec.UseNumber()
	v, err := w.value(nil, 0)
	if err != nil {
		return nil, err
	}
	root, ok := v.(map[string]any)
	if !ok {
		return nil, d.errorAt(d.skip(0, jsonSpace), "", "must be an object, have "+Describe(v))
	}
	d.root = root
	return d, nil
}

// checkJSON finds syntax errors. It reads ahead of the walker because only a
// whole-document parse says where exactly the text breaks.
func (d *Document) checkJSON() error {
	var whole json.RawMessage
	err := json.Unmarshal(d.text, &whole)
	if err == nil {
		return nil
	}
	at := len(bytes.TrimRight(d.text, jsonSpace))
	if broken, ok := errors.AsType[*json.SyntaxError](err); ok && int(broken.Offset) <= at {
		at = max(0, int(broken.Offset)-1) // it counts the bytes read, the wrong one included
	}
	return d.errorAt(at, "", err.Error())
}

const (
	jsonSpace       = " \t\r\n"
	jsonPunctuation = jsonSpace + ",:"
)

// jsonWalker reads a valid text value by value and notes where each begins.
type jsonWalker struct {
	doc *Document
	dec *json.Decoder
}

// next returns where the next token begins.
func (w *jsonWalker) next() int {
	return w.doc.skip(int(w.dec.InputOffset()), jsonPunctuation)
}

func (w *jsonWalker) value(path []string, depth int) (any, error) {
	start := w.next()
	if len(path) > 0 {
		w.doc.values[flat(path)] = start
	}
	token, err := w.dec.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Delim:
		if depth >= maxDepth {
			return nil, w.doc.errorAt(start, Dotted(path...), fmt.Sprintf("must nest at most %d deep", maxDepth))
		}
		if token == '{' {
			return w.object(path, depth+1)
		}
		return w.list(path, depth+1)
	case json.Number:
		v, err := number(token)
		if err != nil {
			return nil, w.doc.errorAt(start, Dotted(path...), err.Error())
		}
		return v, nil
	}
	return token, nil
}

func (w *jsonWalker) object(path []string, depth int) (any, error) {
	m := make(map[string]any)
	for w.dec.More() {
		at := w.next()
		token, err := w.dec.Token()
		if err != nil {
			return nil, err
		}
		key := token.(string) // the decoder lets nothing else stand here
		member := join(path, key)
		if _, twice := m[key]; twice {
			return nil, w.doc.errorAt(at, Dotted(member...), "given twice")
		}
		w.doc.keys[flat(member)] = at
		if m[key], err = w.value(member, depth); err != nil {
			return nil, err
		}
	}
	_, err := w.dec.Token()
	return m, err
}

func (w *jsonWalker) list(path []string, depth int) (any, error) {
	list := []any{}
	for w.dec.More() {
		v, err := w.value(join(path, element(len(list))), depth)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := w.dec.Token()
	return list, err
}

// number keeps whole numbers whole.
func number(n json.Number) (any, error) {
	s := n.String()
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return i, nil
	}
	if u, err := strconv.ParseUint(s, 10, 64); err == nil {
		return u, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil, errors.New("number out of range")
	}
	return f, nil
}

// invalidUTF8 returns the offset of the first byte that is not UTF-8, or -1.
func invalidUTF8(text []byte) int {
	if utf8.Valid(text) {
		return -1
	}
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}
