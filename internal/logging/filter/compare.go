package filter

import (
	"cmp"
	"math"
	"math/big"
)

// compare gives the order of two values of the same kind: two texts, two bools (false
// before true) or two numbers. A NaN has no order.
func compare(a, b any) (order int, ok bool) {
	switch a := a.(type) {
	case string:
		if b, ok := b.(string); ok {
			return cmp.Compare(a, b), true
		}
	case bool:
		if b, ok := b.(bool); ok {
			return cmp.Compare(number(a), number(b)), true
		}
	case int64:
		if b, ok := b.(int64); ok {
			return cmp.Compare(a, b), true
		}
		return compareNumbers(a, b)
	case uint64, float64:
		return compareNumbers(a, b)
	}
	return 0, false
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// compareNumbers compares without losing digits, whatever the types are.
func compareNumbers(a, b any) (order int, ok bool) {
	x, ok := exact(a)
	if !ok {
		return 0, false
	}
	y, ok := exact(b)
	if !ok {
		return 0, false
	}
	return x.Cmp(y), true
}

func exact(v any) (*big.Float, bool) {
	switch v := v.(type) {
	case int64:
		return new(big.Float).SetInt64(v), true
	case uint64:
		return new(big.Float).SetUint64(v), true
	case float64:
		if math.IsNaN(v) {
			return nil, false
		}
		return big.NewFloat(v), true
	}
	return nil, false
}
