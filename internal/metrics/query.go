package metrics

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cocaine/cocaine-go/internal/msgpack"
)

const (
	// MaxDepth is how deep queries may be nested.
	MaxDepth = 12
	// MaxBytes is the size of the largest query as msgpack.
	MaxBytes = 16 << 10
)

// ErrQuery is wrapped by the failures of ParseQuery and DecodeQuery.
var ErrQuery = errors.New("bad query")

// Query selects metrics. It is a tree of maps of one key, the operator, and the list of
// its arguments:
//
//	filters  {"eq": [x, x]}  {"contains": [x, x]}  {"ge": [x, x]}  {"and": [f, ...]}  {"or": [f, ...]}
//	texts    {"const": [text]}  {"name": []}  {"type": []}  {"tag": [x]}
//
// contains looks for the second text in the first. ge is true of any two things, as in
// the original, which never came to comparing them. A tag that a metric lacks is the empty
// text. A Query does not change and may be shared.
type Query struct{ selects predicate }

type (
	predicate func(m *Metric) bool
	extractor func(m *Metric) string
)

// Selects reports whether a metric is wanted. A nil Query wants all.
func (q *Query) Selects(m *Metric) bool { return q == nil || q.selects(m) }

// DecodeQuery reads a query from one msgpack value; nil wants all metrics.
func DecodeQuery(b []byte) (*Query, error) {
	if len(b) > MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrQuery, len(b), MaxBytes)
	}
	r := msgpack.NewReader(b)
	ast := r.Value()
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrQuery, err)
	}
	return ParseQuery(ast)
}

// ParseQuery makes a query of what msgpack.Reader.Value gives.
func ParseQuery(ast any) (*Query, error) {
	if ast == nil {
		return nil, nil
	}
	p, err := parseFilter(ast, MaxDepth)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrQuery, err)
	}
	return &Query{p}, nil
}

// node takes an operator and its arguments.
func node(ast any, depth int) (op string, args []any, err error) {
	if depth == 0 {
		return "", nil, fmt.Errorf("nested deeper than %d", MaxDepth)
	}
	m, ok := ast.(map[string]any)
	if !ok || len(m) != 1 {
		return "", nil, fmt.Errorf("%T, want a map of one operator", ast)
	}
	for op, v := range m {
		if args, ok = v.([]any); !ok {
			return "", nil, fmt.Errorf("arguments of %q are %T, want a list", op, v)
		}
		return op, args, nil
	}
	return "", nil, nil
}

func arity(op string, args []any, want int) error {
	if len(args) != want {
		return fmt.Errorf("operator %q has %d arguments, want %d", op, len(args), want)
	}
	return nil
}

func parseFilter(ast any, depth int) (predicate, error) {
	op, args, err := node(ast, depth)
	if err != nil {
		return nil, err
	}
	switch op {
	case "and", "or":
		return parseLogic(op, args, depth-1)
	case "eq":
		return parseRelation(op, args, depth-1, func(a, b string) bool { return a == b })
	case "contains":
		return parseRelation(op, args, depth-1, strings.Contains)
	case "ge":
		return func(*Metric) bool { return true }, arity(op, args, 2)
	}
	return nil, fmt.Errorf("unknown filter %q", op)
}

func parseLogic(op string, args []any, depth int) (predicate, error) {
	if len(args) == 0 {
		return nil, fmt.Errorf("operator %q has no arguments", op)
	}
	all := make([]predicate, len(args))
	for i, arg := range args {
		var err error
		if all[i], err = parseFilter(arg, depth); err != nil {
			return nil, err
		}
	}
	decisive := op == "or" // one that is so decides
	return func(m *Metric) bool {
		for _, p := range all {
			if p(m) == decisive {
				return decisive
			}
		}
		return !decisive
	}, nil
}

func parseRelation(op string, args []any, depth int, holds func(a, b string) bool) (predicate, error) {
	if err := arity(op, args, 2); err != nil {
		return nil, err
	}
	a, err := parseExtractor(args[0], depth)
	if err != nil {
		return nil, err
	}
	b, err := parseExtractor(args[1], depth)
	if err != nil {
		return nil, err
	}
	return func(m *Metric) bool { return holds(a(m), b(m)) }, nil
}

func parseExtractor(ast any, depth int) (extractor, error) {
	op, args, err := node(ast, depth)
	if err != nil {
		return nil, err
	}
	switch op {
	case "name":
		return func(m *Metric) string { return m.Name }, arity(op, args, 0)
	case "type":
		return func(m *Metric) string { return string(m.Kind) }, arity(op, args, 0)
	case "const":
		return parseConst(args)
	case "tag":
		if err := arity(op, args, 1); err != nil {
			return nil, err
		}
		name, err := parseExtractor(args[0], depth-1)
		if err != nil {
			return nil, err
		}
		return func(m *Metric) string { return m.Tags[name(m)] }, nil
	}
	return nil, fmt.Errorf("unknown operator %q, want a text", op)
}

func parseConst(args []any) (extractor, error) {
	if err := arity("const", args, 1); err != nil {
		return nil, err
	}
	switch v := args[0].(type) {
	case string:
		return func(*Metric) string { return v }, nil
	case bool, int64, uint64, float64:
		text := fmt.Sprint(v)
		return func(*Metric) string { return text }, nil
	}
	return nil, fmt.Errorf("constant of type %T, want text", args[0])
}
