package document

import "strings"

// Suggest returns the word among known that word was probably meant to be, or
// nothing when none is near. Near means that at most a third of its letters are
// wrong, or that one of the two begins with the other.
func Suggest(word string, known []string) string {
	limit := max(1, len(word)/3)
	best, bestDistance := "", limit+1
	for _, candidate := range known {
		d := distance(word, candidate)
		if d > limit && len(word) > 2 && (strings.HasPrefix(candidate, word) || strings.HasPrefix(word, candidate)) {
			d = limit
		}
		if d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours that turn a into b.
func distance(a, b string) int {
	const far = 64
	if len(a) > far || len(b) > far {
		return far // names are short; text of any length reaches this place
	}
	before := make([]int, len(b)+1)
	previous := make([]int, len(b)+1)
	current := make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := range len(a) {
		current[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			current[j+1] = min(previous[j+1]+1, current[j]+1, previous[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				current[j+1] = min(current[j+1], before[j-1]+1)
			}
		}
		before, previous, current = previous, current, before
	}
	return previous[len(b)]
}
