package v011

import "slices"

// medianLoad is the median of the requests that the workers of a report have, 0 if
// there are none.
func medianLoad(workers any) int64 {
	all, _ := workers.(map[string]any)
	var loads []int64
	for _, w := range all {
		one, _ := w.(map[string]any)
		switch n := one["load:total"].(type) {
		case int:
			loads = append(loads, int64(n))
		case int64:
			loads = append(loads, n)
		}
	}
	if len(loads) == 0 {
		return 0
	}
	slices.Sort(loads)
	return loads[len(loads)/2]
}
