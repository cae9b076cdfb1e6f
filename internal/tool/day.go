package tool

import (
	"strconv"
	"strings"
	"time"
)

// dayTag is the tag of the crashlogs of a day, which is one of UTC.
func dayTag(day time.Time) string { return "cocaine-" + day.Format(time.DateOnly) }

// parseDay reads a day: "today" or "yesterday", or the beginning of either, D, D-M
// or D-M-Y. What is missing is taken from now.
func parseDay(s string, now time.Time) (time.Time, error) {
	now = now.UTC()
	today := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC)
	switch {
	case s == "":
	case strings.HasPrefix("today", s):
		return today, nil
	case strings.HasPrefix("yesterday", s):
		return today.AddDate(0, 0, -1), nil
	}
	parts := strings.Split(s, "-")
	date := []int{today.Day(), int(today.Month()), today.Year()}
	bad := len(parts) > len(date)
	for i, part := range parts {
		if bad {
			break
		}
		n, err := strconv.Atoi(part)
		bad = err != nil
		date[i] = n
	}
	day := time.Date(date[2], time.Month(date[1]), date[0], 0, 0, 0, 0, time.UTC)
	// 31-2 would become a day in March.
	if bad || day.Day() != date[0] || int(day.Month()) != date[1] || day.Year() != date[2] {
		return time.Time{}, invalidf("cannot read the day %q: want today, yesterday, D, D-M or D-M-Y", s)
	}
	return day, nil
}
