package metrics

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
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
//	things   {"const": [thing]}  {"name": []}  {"type": []}  {"tag": [x]}
//
// eq compares as equal says. contains looks for the second text in the first. ge is true of
// any two things, as in the original, which never came to comparing them. Name and type are
// tags, too; one that a metric lacks is the empty text. A Query does not change and may be
// shared.
type Query struct{ selects predicate }

type (
	predicate func(m *Metric) (bool, error)
	extractor func(m *Metric) (any, error)
)

// errKind is what is wrong with a thing of another kind than is wanted. In the original it
// was a failure that nobody expected, and so it is told.
var errKind = rpc.Errorf(idl.CategoryDispatch, idl.DispatchUncaught, "bad query: a thing in it is of another kind than its operator wants")

// Selects reports whether a metric is wanted. A nil Query wants all. It fails if the query
// takes something for a text that is none.
func (q *Query) Selects(m *Metric) (bool, error) {
	if q == nil {
		return true, nil
	}
	return q.selects(m)
}

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
			return "", nil, fmt.Errorf("arguments of %q are %T, want a list: %w", op, v, errKind)
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
		return parseRelation(op, args, depth-1, func(a, b any) (bool, error) { return equal(a, b), nil })
	case "contains":
		return parseRelation(op, args, depth-1, contains)
	case "ge":
		return func(*Metric) (bool, error) { return true, nil }, arity(op, args, 2)
	}
	return nil, fmt.Errorf("unknown filter %q", op)
}

// contains looks for the second text in the first.
func contains(a, b any) (bool, error) {
	text, ok := a.(string)
	part, ok2 := b.(string)
	if !ok || !ok2 {
		return false, errKind
	}
	return strings.Contains(text, part), nil
}

// equal compares as the original did: things of one kind, lists and maps by what is in
// them. Of whole numbers it looks at their signs, and whether the first is zero, which
// equals none.
func equal(a, b any) bool {
	switch a := a.(type) {
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equal)
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, equal)
	}
	m, ok := sign(a)
	n, ok2 := sign(b)
	if ok && ok2 {
		return m != 0 && (m < 0) == (n < 0)
	}
	if _, list := b.([]any); list {
		return false
	}
	if _, dict := b.(map[string]any); dict {
		return false
	}
	return a == b
}

// sign is that of a whole number.
func sign(v any) (sign int, ok bool) {
	switch v := v.(type) {
	case int64:
		return cmp.Compare(v, 0), true
	case uint64:
		return cmp.Compare(v, 0), true
	}
	return 0, false
}

func parseLogic(op string, args []any, depth int) (predicate, error) {
	all := make([]predicate, len(args))
	for i, arg := range args {
		var err error
		if all[i], err = parseFilter(arg, depth); err != nil {
			return nil, err
		}
	}
	decisive := op == "or" // one that is so decides
	return func(m *Metric) (bool, error) {
		for _, p := range all {
			if is, err := p(m); err != nil || is == decisive {
				return decisive, err
			}
		}
		return !decisive, nil
	}, nil
}

func parseRelation(op string, args []any, depth int, holds func(a, b any) (bool, error)) (predicate, error) {
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
	return func(m *Metric) (bool, error) {
		x, err := a(m)
		if err != nil {
			return false, err
		}
		y, err := b(m)
		if err != nil {
			return false, err
		}
		return holds(x, y)
	}, nil
}

func parseExtractor(ast any, depth int) (extractor, error) {
	op, args, err := node(ast, depth)
	if err != nil {
		return nil, err
	}
	switch op {
	case "name":
		return func(m *Metric) (any, error) { return m.Name, nil }, arity(op, args, 0)
	case "type":
		return func(m *Metric) (any, error) { return string(m.Kind), nil }, arity(op, args, 0)
	case "const":
		if err := arity(op, args, 1); err != nil {
			return nil, err
		}
		return func(*Metric) (any, error) { return args[0], nil }, nil
	case "tag":
		if err := arity(op, args, 1); err != nil {
			return nil, err
		}
		name, err := parseExtractor(args[0], depth-1)
		if err != nil {
			return nil, err
		}
		return func(m *Metric) (any, error) {
			x, err := name(m)
			if err != nil {
				return nil, err
			}
			text, ok := x.(string)
			if !ok {
				return nil, errKind
			}
			return m.tag(text), nil
		}, nil
	}
	return nil, fmt.Errorf("unknown operator %q, want a thing", op)
}

// tag gives the value of a tag, the empty text if there is none.
func (m *Metric) tag(name string) string {
	switch name {
	case "name":
		return m.Name
	case "type":
		return string(m.Kind)
	}
	return m.Tags[name]
}
