// Package filter holds the filters of the service `logging::v2`: which records of a
// log are kept (docs/PROTOCOL.md, logging::v2).
//
// A filter is a small tree that clients send as lists, the operator first:
//
//	["empty"]                                accepts everything
//	["traced"]                               what is logged on behalf of a verbose trace
//	["severity", 2]                          from a severity on
//	["e", "user"], ["!e", "user"]            records with, or without, an attribute
//	["==", "user", "ann"]                    an attribute compared with a bool, a number
//	                                         or a text, also by != > < >= <=
//	["||", f, g], ["&&", f, g], ["xor", f, g]
//
// Only != accepts a record that lacks the attribute, or whose attribute cannot be
// compared with the value.
//
// Filters do not change once they are parsed, and may be used by any number of
// goroutines.
package filter

import (
	"errors"
	"fmt"

	"github.com/cocaine/cocaine-go/internal/msgpack"
)

const (
	// MaxDepth is how deep filters may be nested.
	MaxDepth = 16
	// MaxBytes is the size of the largest filter as msgpack.
	MaxBytes = 4 << 10
)

// ErrBad is wrapped by the failures of Parse and Decode.
var ErrBad = errors.New("bad filter")

// Record is what a filter looks at.
type Record struct {
	Severity int
	Verbose  bool // on behalf of a verbose trace
	// Attr finds an attribute: a string, bool, int64, uint64 or float64.
	Attr func(name string) (any, bool)
}

// Filter is one filter.
type Filter struct {
	accept  test
	encoded []byte
}

// test is a part of a filter.
type test func(r *Record) bool

// Accept reports whether a record is to be kept.
func (f *Filter) Accept(r *Record) bool { return f.accept(r) }

// Append appends the filter as msgpack.
func (f *Filter) Append(b []byte) []byte { return append(b, f.encoded...) }

// Decode reads a filter from one msgpack value.
func Decode(b []byte) (*Filter, error) {
	if len(b) > MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrBad, len(b), MaxBytes)
	}
	r := msgpack.NewReader(b)
	ast := r.Value()
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBad, err)
	}
	return Parse(ast)
}

// Parse makes a filter of what msgpack.Reader.Value gives.
func Parse(ast any) (*Filter, error) {
	accept, err := parse(ast, MaxDepth)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBad, err)
	}
	f := &Filter{accept: accept}
	if f.encoded, err = msgpack.AppendValue(nil, ast); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBad, err)
	}
	if len(f.encoded) > MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrBad, len(f.encoded), MaxBytes)
	}
	return f, nil
}

// arguments is how many follow an operator.
func arguments(op string) (n int, ok bool) {
	switch op {
	case "empty", "traced":
		return 0, true
	case "severity", "e", "!e":
		return 1, true
	case "==", "!=", ">", "<", ">=", "<=", "||", "&&", "xor":
		return 2, true
	}
	return 0, false
}

func parse(ast any, depth int) (test, error) {
	list, ok := ast.([]any)
	if !ok || len(list) == 0 {
		return nil, fmt.Errorf("%T, want a list that begins with an operator", ast)
	}
	op, ok := list[0].(string)
	if !ok {
		return nil, fmt.Errorf("operator of type %T, want text", list[0])
	}
	n, ok := arguments(op)
	switch {
	case !ok:
		return nil, fmt.Errorf("unknown operator %q", op)
	case len(list) != n+1:
		return nil, fmt.Errorf("operator %q has %d arguments, want %d", op, len(list)-1, n)
	case depth == 0:
		return nil, fmt.Errorf("nested deeper than %d", MaxDepth)
	}
	args := list[1:]
	switch op {
	case "empty":
		return func(*Record) bool { return true }, nil
	case "traced":
		return func(r *Record) bool { return r.Verbose }, nil
	case "severity":
		return parseSeverity(args[0])
	case "||", "&&", "xor":
		return parseLogic(op, args, depth-1)
	}
	return parseAttribute(op, args)
}

func parseSeverity(arg any) (test, error) {
	least, ok := arg.(int64)
	if !ok || least < 0 {
		return nil, fmt.Errorf("severity %v, want a number from 0 on", arg)
	}
	return func(r *Record) bool { return int64(r.Severity) >= least }, nil
}

func parseLogic(op string, args []any, depth int) (test, error) {
	a, err := parse(args[0], depth)
	if err != nil {
		return nil, err
	}
	b, err := parse(args[1], depth)
	if err != nil {
		return nil, err
	}
	switch op {
	case "||":
		return func(r *Record) bool { return a(r) || b(r) }, nil
	case "&&":
		return func(r *Record) bool { return a(r) && b(r) }, nil
	}
	return func(r *Record) bool { return a(r) != b(r) }, nil
}

func parseAttribute(op string, args []any) (test, error) {
	name, ok := args[0].(string)
	if !ok {
		return nil, fmt.Errorf("name of an attribute of type %T, want text", args[0])
	}
	switch op {
	case "e", "!e":
		want := op == "e"
		return func(r *Record) bool { _, ok := r.Attr(name); return ok == want }, nil
	}
	value := args[1]
	switch value.(type) {
	case bool, int64, uint64, float64, string:
	default:
		return nil, fmt.Errorf("attribute %q is compared with %T, want text, a number or a bool", name, value)
	}
	holds := relation(op)
	return func(r *Record) bool {
		have, ok := r.Attr(name)
		if !ok {
			return op == "!="
		}
		order, ok := compare(have, value)
		if !ok {
			return op == "!="
		}
		return holds(order)
	}, nil
}

// relation tells whether an order, negative, zero or positive, is one that op wants.
func relation(op string) func(order int) bool {
	switch op {
	case "==":
		return func(order int) bool { return order == 0 }
	case "!=":
		return func(order int) bool { return order != 0 }
	case ">":
		return func(order int) bool { return order > 0 }
	case "<":
		return func(order int) bool { return order < 0 }
	case ">=":
		return func(order int) bool { return order >= 0 }
	}
	return func(order int) bool { return order <= 0 }
}
