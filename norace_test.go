//go:build !race

package cocaine_test

const raceEnabled = false
