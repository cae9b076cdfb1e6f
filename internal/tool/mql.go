package tool

import (
	"fmt"
	"strconv"
	"strings"
)

// compileMQL turns a query into the tree that the metrics service takes:
//
//	name() == x && type() != gauge
//	{"and": [{"eq": [{"name": []}, {"const": ["x"]}]},
//	         {"ne": [{"type": []}, {"const": ["gauge"]}]}]}
//
// The grammar is the original's; && and || bind alike, from left to right:
//
//	expr   = term {("&&" | "||") term}
//	term   = factor {("==" | "!=" | ">=" | "<=" | ">" | "<") factor}
//	factor = name "(" [expr {"," expr}] ")" | literal | "(" expr ")"
func compileMQL(query string) (any, error) {
	p := mqlParser{rest: query}
	tree, err := p.expr(maxQueryDepth)
	if err != nil {
		return nil, err
	}
	if p.skip(); p.rest != "" {
		return nil, fmt.Errorf("unexpected %q", p.rest)
	}
	return tree, nil
}

// maxQueryDepth bounds how deeply a query nests.
const maxQueryDepth = 32

type mqlParser struct{ rest string }

func (p *mqlParser) skip() { p.rest = strings.TrimLeft(p.rest, " \t\n") }

// take consumes the first of the words that stands next.
func (p *mqlParser) take(words ...string) string {
	p.skip()
	for _, w := range words {
		if rest, ok := strings.CutPrefix(p.rest, w); ok {
			p.rest = rest
			return w
		}
	}
	return ""
}

func (p *mqlParser) expr(depth int) (any, error) {
	return p.chain(depth, p.term, "&&", "||")
}

func (p *mqlParser) term(depth int) (any, error) {
	return p.chain(depth, p.factor, "==", "!=", ">=", "<=", ">", "<")
}

// chain reads operands with operators between them.
func (p *mqlParser) chain(depth int, operand func(int) (any, error), operators ...string) (any, error) {
	left, err := operand(depth)
	for err == nil {
		op := p.take(operators...)
		if op == "" {
			return left, nil
		}
		var right any
		if right, err = operand(depth); err == nil {
			left = map[string]any{operatorName(op): []any{left, right}}
		}
	}
	return nil, err
}

func operatorName(op string) string {
	return map[string]string{"&&": "and", "||": "or", "==": "eq", "!=": "ne", ">=": "ge", "<=": "le", ">": "gt", "<": "lt"}[op]
}

func (p *mqlParser) factor(depth int) (any, error) {
	if depth == 0 {
		return nil, fmt.Errorf("it nests more than %d deep", maxQueryDepth)
	}
	if p.take("(") != "" {
		return p.parentheses(depth - 1)
	}
	word := p.word()
	switch {
	case word == "" && p.rest == "":
		return nil, fmt.Errorf("it ends too early")
	case word == "":
		return nil, fmt.Errorf("unexpected %q", p.rest)
	case p.take("(") == "":
		if n, err := strconv.ParseFloat(word, 64); err == nil {
			return map[string]any{"const": []any{n}}, nil
		}
		return map[string]any{"const": []any{word}}, nil
	}
	return p.function(word, depth-1)
}

func (p *mqlParser) parentheses(depth int) (any, error) {
	tree, err := p.expr(depth)
	if err == nil && p.take(")") == "" {
		err = fmt.Errorf("a parenthesis is not closed")
	}
	return tree, err
}

func (p *mqlParser) function(name string, depth int) (any, error) {
	switch name {
	case "name", "type", "tag", "contains":
	default:
		return nil, fmt.Errorf("there is no function %q", name)
	}
	args := []any{}
	for p.take(")") == "" {
		if len(args) > 0 && p.take(",") == "" {
			return nil, fmt.Errorf("the arguments of %s are not closed", name)
		}
		arg, err := p.expr(depth)
		if err != nil {
			return nil, err
		}
		args = append(args, arg)
	}
	return map[string]any{name: args}, nil
}

// word reads a literal or the name of a function.
func (p *mqlParser) word() string {
	p.skip()
	n := strings.IndexFunc(p.rest, func(r rune) bool { return strings.ContainsRune(" \t\n(),&|=!<>", r) })
	if n < 0 {
		n = len(p.rest)
	}
	word := p.rest[:n]
	p.rest = p.rest[n:]
	return word
}
