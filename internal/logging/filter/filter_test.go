package filter_test

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/internal/logging/filter"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type list = []any

func record(severity int, verbose bool, attrs map[string]any) *filter.Record {
	return &filter.Record{Severity: severity, Verbose: verbose, Attr: func(name string) (any, bool) {
		v, ok := attrs[name]
		return v, ok
	}}
}

func TestAccept(t *testing.T) {
	r := record(2, false, map[string]any{"text": "b", "int": int64(-5), "uint": uint64(math.MaxUint64), "float": 2.5, "nan": math.NaN(), "yes": true})
	for _, c := range []struct {
		ast  list
		want bool
	}{
		{list{"empty"}, true},
		{list{"traced"}, false},
		{list{"severity", int64(2)}, true}, {list{"severity", int64(3)}, false}, {list{"severity", int64(0)}, true},
		{list{"e", "int"}, true}, {list{"e", "none"}, false}, {list{"!e", "int"}, false}, {list{"!e", "none"}, true},
		{list{"==", "text", "b"}, true}, {list{"==", "text", "a"}, false}, {list{"!=", "text", "a"}, true}, {list{"!=", "text", "b"}, false},
		{list{">", "text", "a"}, true}, {list{"<", "text", "a"}, false}, {list{">=", "text", "b"}, true}, {list{"<=", "text", "b"}, true},
		{list{"==", "int", int64(-5)}, true}, {list{"<", "int", int64(-4)}, true}, {list{"<", "int", uint64(math.MaxUint64)}, true}, {list{">", "int", -5.5}, true},
		{list{"==", "uint", uint64(math.MaxUint64)}, true}, {list{">", "uint", int64(5)}, true}, {list{"==", "uint", float64(math.MaxUint64)}, false},
		{list{"==", "float", 2.5}, true}, {list{">", "float", int64(2)}, true}, {list{"<=", "float", int64(2)}, false},
		{list{"==", "yes", true}, true}, {list{">", "yes", false}, true}, {list{"!=", "yes", true}, false},
		// No attribute, or one that cannot be compared.
		{list{"==", "none", "a"}, false}, {list{"!=", "none", "a"}, true}, {list{"<", "none", "a"}, false}, {list{">=", "none", "a"}, false},
		{list{"==", "text", int64(1)}, false}, {list{"!=", "text", int64(1)}, true}, {list{">", "text", int64(1)}, false}, {list{"<=", "text", 1.5}, false},
		{list{"==", "int", "x"}, false}, {list{"!=", "int", "x"}, true}, {list{"==", "yes", int64(1)}, false}, {list{"==", "nan", math.NaN()}, false}, {list{"!=", "nan", 1.5}, true},
		// Combined.
		{list{"||", list{"traced"}, list{"empty"}}, true}, {list{"||", list{"traced"}, list{"traced"}}, false},
		{list{"&&", list{"traced"}, list{"empty"}}, false}, {list{"&&", list{"empty"}, list{"empty"}}, true},
		{list{"xor", list{"traced"}, list{"empty"}}, true}, {list{"xor", list{"empty"}, list{"empty"}}, false},
		{list{"&&", list{"severity", int64(1)}, list{"||", list{"==", "text", "x"}, list{">", "float", int64(2)}}}, true},
	} {
		f, err := filter.Parse(c.ast)
		if err != nil {
			t.Errorf("%v: %v", c.ast, err)
			continue
		}
		if got := f.Accept(r); got != c.want {
			t.Errorf("%v: %v, want %v", c.ast, got, c.want)
		}
	}
	f, err := filter.Parse(list{"traced"})
	if err != nil || !f.Accept(record(0, true, nil)) {
		t.Errorf("a traced record is not accepted (%v)", err)
	}
}

func nested(depth int) any {
	var ast any = list{"empty"}
	for range depth - 1 {
		ast = list{"&&", ast, list{"empty"}}
	}
	return ast
}

func TestRefuses(t *testing.T) {
	for _, c := range []struct {
		ast  any
		want string
	}{
		{nil, "want a list"}, {"empty", "want a list"}, {list{}, "want a list"}, {map[string]any{"empty": nil}, "want a list"},
		{list{int64(5)}, "operator of type int64"}, {list{"nothing"}, `unknown operator "nothing"`}, {list{"=="}, `operator "==" has 0 arguments, want 2`},
		{list{"empty", "x"}, `operator "empty" has 1 arguments, want 0`}, {list{"traced", nil}, "want 0"}, {list{"severity"}, "want 1"},
		{list{"severity", "2"}, "severity 2"}, {list{"severity", int64(-1)}, "severity -1"}, {list{"severity", 1.5}, "severity 1.5"},
		{list{"e"}, "want 1"}, {list{"e", int64(1)}, "name of an attribute"}, {list{"!e", nil}, "name of an attribute"},
		{list{"==", "a"}, "want 2"}, {list{"==", int64(1), "a"}, "name of an attribute"}, {list{"==", "a", nil}, "compared with <nil>"},
		{list{"==", "a", list{}}, "compared with []interface"}, {list{"||", list{"empty"}}, "want 2"}, {list{"||", list{"empty"}, "empty"}, "want a list"},
		{list{"&&", "empty", list{"empty"}}, "want a list"}, {list{"xor", list{"empty"}, list{}}, "want a list"},
		{nested(17), "nested deeper than 16"}, {list{"==", "a", strings.Repeat("x", 4096)}, "at most 4096"},
	} {
		if f, err := filter.Parse(c.ast); f != nil || !errors.Is(err, filter.ErrBad) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.ast, err, c.want)
		}
	}
	if _, err := filter.Parse(nested(16)); err != nil {
		t.Errorf("the deepest filter: %v", err)
	}
	if _, err := filter.Decode(bytes.Repeat([]byte{0x90}, 5000)); !errors.Is(err, filter.ErrBad) {
		t.Errorf("a large value: %v", err)
	}
}

// FuzzDecode: what decodes is written and decoded to the same, and judges any record.
func FuzzDecode(f *testing.F) {
	for _, ast := range []any{list{"empty"}, list{"severity", 3}, list{"==", "a", 2.5}, nested(3), list{"xor", list{"e", "a"}, list{"<", "b", true}}} {
		b, err := msgpack.AppendValue(nil, ast)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		one, err := filter.Decode(b)
		if err != nil {
			if !errors.Is(err, filter.ErrBad) {
				t.Error(err)
			}
			return
		}
		again, err := filter.Decode(one.Append(nil))
		if err != nil || !bytes.Equal(one.Append(nil), again.Append(nil)) {
			t.Fatalf("% x is written as % x: %v", b, one.Append(nil), err)
		}
		for _, r := range []*filter.Record{record(0, true, nil), record(3, false, map[string]any{"a": "x", "b": 2.5})} {
			if one.Accept(r) != again.Accept(r) {
				t.Errorf("% x judges differently once written", b)
			}
		}
	})
}
