package msgpack

import (
	"fmt"
	"math"
	"slices"
)

// AppendValue appends a value known only at run time: nil, booleans, every integer and float type, string, []byte,
// []any, []string, map[string]any and map[string]string, nested at most MaxDepth deep. Maps are written in the order
// of their keys, so that equal values have equal encodings. On error b is returned as it was.
func AppendValue(b []byte, v any) ([]byte, error) {
	out, err := appendValue(b, v, MaxDepth)
	if err != nil {
		return b, err
	}
	return out, nil
}

func appendValue(b []byte, v any, depth int) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return AppendNil(b), nil
	case bool:
		return AppendBool(b, v), nil
	case string:
		return AppendString(b, v), nil
	case []byte:
		return AppendBytes(b, v), nil
	case float32:
		return AppendFloat(b, float64(v)), nil
	case float64:
		return AppendFloat(b, v), nil
	case int:
		return AppendInt(b, int64(v)), nil
	case int8:
		return AppendInt(b, int64(v)), nil
	case int16:
		return AppendInt(b, int64(v)), nil
	case int32:
		return AppendInt(b, int64(v)), nil
	case int64:
		return AppendInt(b, v), nil
	case uint:
		return AppendUint(b, uint64(v)), nil
	case uint8:
		return AppendUint(b, uint64(v)), nil
	case uint16:
		return AppendUint(b, uint64(v)), nil
	case uint32:
		return AppendUint(b, uint64(v)), nil
	case uint64:
		return AppendUint(b, v), nil
	}
	if depth <= 0 {
		return b, fmt.Errorf("cannot encode %T: %w", v, ErrTooDeep)
	}
	return appendContainer(b, v, depth-1)
}

func appendContainer(b []byte, v any, depth int) ([]byte, error) {
	switch v := v.(type) {
	case []any:
		return appendList(AppendArray(b, len(v)), v, depth)
	case []string:
		b = AppendArray(b, len(v))
		for _, s := range v {
			b = AppendString(b, s)
		}
		return b, nil
	case map[string]any:
		return appendDict(AppendMap(b, len(v)), v, depth)
	case map[string]string:
		b = AppendMap(b, len(v))
		for _, k := range sortedKeys(v) {
			b = AppendString(AppendString(b, k), v[k])
		}
		return b, nil
	}
	return b, fmt.Errorf("cannot encode %T: %w", v, ErrType)
}

func appendList(b []byte, list []any, depth int) (_ []byte, err error) {
	for _, item := range list {
		if b, err = appendValue(b, item, depth); err != nil {
			return b, err
		}
	}
	return b, nil
}

func appendDict(b []byte, dict map[string]any, depth int) (_ []byte, err error) {
	for _, k := range sortedKeys(dict) {
		if b, err = appendValue(AppendString(b, k), dict[k], depth); err != nil {
			return b, err
		}
	}
	return b, nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Value consumes one value of any type and returns it as nil, bool, int64, uint64 (only numbers above the largest
// int64), float64, string, []any or map[string]any. Map keys must be raw; of equal keys the last wins.
func (r *Reader) Value() any { return r.value(MaxDepth) }

func (r *Reader) value(depth int) any {
	switch r.Kind() {
	case KindNil:
		r.Nil()
		return nil
	case KindBool:
		return orNil(r, r.Bool())
	case KindInt:
		return orNil(r, r.Int())
	case KindUint:
		v := r.Uint()
		if v > math.MaxInt64 {
			return v
		}
		return orNil(r, int64(v))
	case KindFloat:
		return orNil(r, r.Float())
	case KindRaw:
		return orNil(r, r.String())
	case KindArray, KindMap:
		return r.valueContainer(depth)
	}
	r.peek() // end of input or malformed: sets the error
	return nil
}

func (r *Reader) valueContainer(depth int) any {
	if depth <= 0 {
		r.fail(ErrTooDeep, "")
		return nil
	}
	if r.Kind() == KindMap {
		return r.valueDict(depth - 1)
	}
	n := r.Array()
	list := make([]any, 0, min(n, preallocated))
	for i := 0; i < n && r.err == nil; i++ {
		list = append(list, r.value(depth-1))
	}
	return orNil(r, list)
}

func (r *Reader) valueDict(depth int) any {
	n := r.Map()
	dict := make(map[string]any, min(n, preallocated))
	for i := 0; i < n && r.err == nil; i++ {
		k := r.String()
		dict[k] = r.value(depth)
	}
	return orNil(r, dict)
}

// orNil keeps half-read values from callers: a failed Reader yields nil.
func orNil[T any](r *Reader, v T) any {
	if r.err != nil {
		return nil
	}
	return v
}

// preallocated bounds what is allocated on the word of a count alone: 64 MiB of claimed elements would otherwise
// become a gigabyte of interface values before the first of them is read.
const preallocated = 1024
