//go:build !race

package unicorn_test

const raceEnabled = false
