package tool

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// parseLiteral reads Python literals with commas between them, with or without
// parentheses around all of them: strings, numbers, True, False, None, lists, tuples
// and dictionaries with strings as keys.
func parseLiteral(text string) ([]any, error) {
	p := literalParser{rest: text}
	p.skip()
	if p.rest == "" {
		return nil, nil
	}
	v, err := p.items("")
	if err != nil {
		return nil, err
	}
	// One parenthesis around everything is the tuple of arguments itself.
	if inner, ok := v[0].(tuple); ok && len(v) == 1 {
		return untuple([]any(inner)), nil
	}
	return untuple(v), nil
}

// A tuple is told from a list until all is read.
type tuple []any

func untuple(list []any) []any {
	for i, v := range list {
		switch v := v.(type) {
		case tuple:
			list[i] = untuple(v)
		case []any:
			untuple(v)
		}
	}
	return list
}

// maxLiteralDepth bounds how deeply literals nest.
const maxLiteralDepth = 32

type literalParser struct {
	rest  string
	depth int
}

func (p *literalParser) skip() { p.rest = strings.TrimLeft(p.rest, " \t\n") }

func (p *literalParser) take(word string) bool {
	p.skip()
	rest, ok := strings.CutPrefix(p.rest, word)
	if ok {
		p.rest = rest
	}
	return ok
}

// items reads values up to a closing bracket, or up to the end if it is empty.
func (p *literalParser) items(closing string) ([]any, error) {
	if p.depth++; p.depth > maxLiteralDepth {
		return nil, fmt.Errorf("they nest more than %d deep", maxLiteralDepth)
	}
	defer func() { p.depth-- }()
	values := []any{}
	for {
		if p.closed(closing) {
			return values, nil
		}
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		values = append(values, v)
		if p.take(",") {
			continue
		}
		if p.closed(closing) {
			return values, nil
		}
		return nil, p.unexpected()
	}
}

func (p *literalParser) closed(closing string) bool {
	if p.skip(); closing == "" {
		return p.rest == ""
	}
	return p.take(closing)
}

func (p *literalParser) unexpected() error {
	if p.rest == "" {
		return errors.New("they end too early")
	}
	r, _ := utf8.DecodeRuneInString(p.rest)
	return fmt.Errorf("unexpected %q", r)
}

func (p *literalParser) value() (any, error) {
	switch {
	case p.take("("):
		values, err := p.items(")")
		return tuple(values), err
	case p.take("["):
		return p.items("]")
	case p.take("{"):
		return p.dictionary()
	case p.take("True"):
		return true, nil
	case p.take("False"):
		return false, nil
	case p.take("None"):
		return nil, nil
	}
	for _, prefix := range []string{"u'", `u"`, "b'", `b"`} {
		if strings.HasPrefix(p.rest, prefix) {
			p.rest = p.rest[1:]
			break
		}
	}
	if p.rest != "" && (p.rest[0] == '\'' || p.rest[0] == '"') {
		return p.quoted()
	}
	return p.number()
}

func (p *literalParser) dictionary() (any, error) {
	m := make(map[string]any)
	for !p.take("}") {
		if len(m) > 0 && !p.take(",") {
			return nil, p.unexpected()
		}
		if len(m) > 0 && p.take("}") {
			break
		}
		if p.depth++; p.depth > maxLiteralDepth {
			return nil, fmt.Errorf("they nest more than %d deep", maxLiteralDepth)
		}
		key, err := p.value()
		if err != nil {
			return nil, err
		}
		name, ok := key.(string)
		if !ok {
			return nil, fmt.Errorf("%v cannot be a key: want a string", key)
		}
		if !p.take(":") {
			return nil, p.unexpected()
		}
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		if t, ok := v.(tuple); ok {
			v = untuple(t)
		}
		m[name] = v
		p.depth--
	}
	return m, nil
}

// quoted reads a string. Escapes are those of Go, which cover the common ones of
// Python.
func (p *literalParser) quoted() (any, error) {
	quote := p.rest[0]
	rest := p.rest[1:]
	var b strings.Builder
	for {
		if rest == "" {
			return nil, errors.New("a string is not closed")
		}
		if rest[0] == quote {
			p.rest = rest[1:]
			return b.String(), nil
		}
		r, multibyte, tail, err := strconv.UnquoteChar(rest, quote)
		if err != nil {
			return nil, errors.New("a string has a bad escape")
		}
		if multibyte || r < utf8.RuneSelf {
			b.WriteRune(r)
		} else {
			b.WriteByte(byte(r))
		}
		rest = tail
	}
}

func (p *literalParser) number() (any, error) {
	n := strings.IndexFunc(p.rest, func(r rune) bool { return !strings.ContainsRune("+-0123456789.eExXabcdefABCDEF", r) })
	if n < 0 {
		n = len(p.rest)
	}
	word := p.rest[:n]
	if word == "" {
		return nil, p.unexpected()
	}
	p.rest = p.rest[n:]
	if i, err := strconv.ParseInt(word, 0, 64); err == nil {
		return i, nil
	}
	f, err := strconv.ParseFloat(word, 64)
	if err != nil {
		return nil, fmt.Errorf("%q is no value", word)
	}
	return f, nil
}
