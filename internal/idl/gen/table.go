package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// table is the parsed table.txt. Its grammar is described there.
type table struct {
	control    []message
	states     []state
	protocols  []protocol
	categories []category
}

type state struct {
	goName, prefix string
	control        bool
	messages       []message
}

type protocol struct {
	name, version  string
	goName, prefix string
	doc            string
	messages       []message
}

type message struct {
	id    uint64
	name  string
	args  []arg
	reply clause
	next  clause
	doc   string
}

type arg struct {
	name, typ string
	optional  bool
}

// clause is a reply or a next: a word (value, stream, mute, again, or the name of a state) with arguments.
type clause struct {
	word string
	args []arg
}

type category struct {
	id           int
	goName, name string
	doc          string
	codes        []code
}

type code struct {
	value  int
	goName string
	text   string
}

// parser goes through the lines; add and doc take what belongs to the current block.
type parser struct {
	t   table
	add func(line string) error
	doc *string
}

func parseTable(source string) (table, error) {
	var p parser
	for i, line := range strings.Split(source, "\n") {
		if err := p.line(line); err != nil {
			return table{}, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return p.t, nil
}

func (p *parser) line(line string) error {
	text := strings.TrimSpace(line)
	switch {
	case text == "", strings.HasPrefix(text, "#"):
		return nil
	case line[0] != ' ':
		return p.block(strings.Fields(text), text)
	case strings.HasPrefix(text, "|"):
		if p.doc == nil {
			return fmt.Errorf("nothing to document")
		}
		*p.doc = strings.TrimSpace(*p.doc + " " + strings.TrimSpace(text[1:]))
		return nil
	case p.add == nil:
		return fmt.Errorf("outside of a block")
	}
	return p.add(text)
}

func (p *parser) block(words []string, text string) error {
	switch {
	case words[0] == "control" && len(words) == 1:
		p.messages(&p.t.control)
		p.doc = nil
	case words[0] == "state" && len(words) >= 3:
		p.t.states = append(p.t.states, state{goName: words[1], prefix: words[2], control: strings.HasSuffix(text, " +control")})
		p.messages(&p.t.states[len(p.t.states)-1].messages)
		p.doc = nil
	case words[0] == "protocol" && len(words) == 5:
		p.t.protocols = append(p.t.protocols, protocol{name: words[1], version: words[2], goName: words[3], prefix: words[4]})
		last := &p.t.protocols[len(p.t.protocols)-1]
		p.messages(&last.messages)
		p.doc = &last.doc
	case words[0] == "category" && len(words) >= 4:
		return p.category(words)
	default:
		return fmt.Errorf("unknown block %q", text)
	}
	return nil
}

func (p *parser) messages(list *[]message) {
	p.add = func(line string) error {
		m, err := parseMessage(line)
		if err != nil {
			return err
		}
		if n := len(*list); n > 0 && (*list)[n-1].id >= m.id {
			return fmt.Errorf("id %d is out of order", m.id)
		}
		*list = append(*list, m)
		p.doc = &(*list)[len(*list)-1].doc
		return nil
	}
}

func (p *parser) category(words []string) error {
	id, err := strconv.Atoi(words[1])
	if err != nil {
		return err
	}
	p.t.categories = append(p.t.categories, category{id: id, goName: words[2], name: strings.Join(words[3:], " ")})
	last := &p.t.categories[len(p.t.categories)-1]
	p.doc = &last.doc
	p.add = func(line string) error {
		words := strings.Fields(line)
		if len(words) < 3 {
			return fmt.Errorf("want: CODE GO text")
		}
		value, err := strconv.Atoi(words[0])
		last.codes = append(last.codes, code{value, words[1], strings.Join(words[2:], " ")})
		return err
	}
	return nil
}

var messageLine = regexp.MustCompile(`^(\d+) (\w+)(\(.*)$`)

func parseMessage(line string) (m message, err error) {
	parts := messageLine.FindStringSubmatch(line)
	if parts == nil {
		return m, fmt.Errorf("no message: %q", line)
	}
	if m.id, err = strconv.ParseUint(parts[1], 10, 64); err != nil {
		return m, err
	}
	m.name = parts[2]
	rest := parts[3]
	if m.args, rest, err = cutArgs(rest); err != nil {
		return m, err
	}
	if after, ok := strings.CutPrefix(rest, "-> "); ok {
		if m.reply, rest, err = cutClause(after); err != nil {
			return m, err
		}
	}
	if after, ok := strings.CutPrefix(rest, "then "); ok {
		if m.next, rest, err = cutClause(after); err != nil {
			return m, err
		}
	}
	if rest != "" {
		return m, fmt.Errorf("left over: %q", rest)
	}
	return m, nil
}

func cutClause(s string) (c clause, rest string, err error) {
	end := strings.IndexAny(s, " (")
	if end < 0 {
		return clause{word: s}, "", nil
	}
	c.word, rest = s[:end], s[end:]
	if rest[0] == '(' {
		c.args, rest, err = cutArgs(rest)
	}
	return c, strings.TrimSpace(rest), err
}

// cutArgs takes a parenthesised list of arguments off s.
func cutArgs(s string) (args []arg, rest string, err error) {
	depth, from := 0, 1
	for i := range len(s) {
		switch s[i] {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth--
		}
		if depth > 1 || depth == 1 && s[i] != ',' {
			continue
		}
		if text := strings.TrimSpace(s[from:i]); text != "" {
			name, typ, ok := strings.Cut(text, " ")
			if !ok {
				return nil, "", fmt.Errorf("argument without a type: %q", text)
			}
			typ, optional := strings.CutSuffix(typ, "?")
			args = append(args, arg{name, typ, optional})
		}
		if depth == 0 {
			return args, strings.TrimSpace(s[i+1:]), nil
		}
		from = i + 1
	}
	return nil, "", fmt.Errorf("unbalanced brackets in %q", s)
}
