//go:build race

package cocaine_test

const raceEnabled = true
