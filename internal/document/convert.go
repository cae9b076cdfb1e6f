package document

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Converters turn a decoded value into what a field wants. Their errors are the
// reason alone ("must be at least 1, have 0"); [Read] adds the key and the place.

// Describe names a value in an error: short values as they would be written,
// others by their kind.
func Describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		if len(v) > 64 {
			return "a string"
		}
		return strconv.Quote(v)
	case bool, int, int64, uint64:
		return fmt.Sprint(v)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case []any, []string:
		return "a list"
	case map[string]any:
		return "a table"
	case []byte:
		return "bytes"
	default:
		return fmt.Sprintf("a %T", v)
	}
}

// Quote writes s as a string that TOML and JSON read alike.
func Quote(s string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always encodes
	return strings.ReplaceAll(strings.TrimSuffix(b.String(), "\n"), "\x7f", `\u007f`)
}

// String accepts text.
func String(v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("must be a string, have %s", Describe(v))
	}
	return s, nil
}

// NonEmpty accepts text that is not empty.
func NonEmpty(v any) (string, error) {
	s, err := String(v)
	if err == nil && s == "" {
		err = errors.New("must not be empty")
	}
	return s, err
}

// OneOf accepts one of the words.
func OneOf(words ...string) func(any) (string, error) {
	return func(v any) (string, error) {
		s, err := String(v)
		if err != nil {
			return "", err
		}
		for _, word := range words {
			if s == word {
				return s, nil
			}
		}
		err = fmt.Errorf("must be one of %s, have %q", strings.Join(words, ", "), s)
		if near := Suggest(s, words); near != "" {
			err = fmt.Errorf("%w (did you mean %q?)", err, near)
		}
		return "", err
	}
}

// Bool accepts true and false.
func Bool(v any) (bool, error) {
	b, ok := v.(bool)
	if !ok {
		return false, fmt.Errorf("must be true or false, have %s", Describe(v))
	}
	return b, nil
}

// Int accepts a whole number between least and most. Floats without a fraction
// count: some encoders know no integers.
func Int(least, most int) func(any) (int, error) {
	return func(v any) (int, error) {
		f, err := Float(v)
		if err != nil || f != math.Trunc(f) {
			return 0, fmt.Errorf("must be a whole number, have %s", Describe(v))
		}
		if f < float64(least) {
			return 0, fmt.Errorf("must be at least %d, have %s", least, Describe(v))
		}
		if f > float64(most) {
			return 0, fmt.Errorf("must be at most %d, have %s", most, Describe(v))
		}
		return int(f), nil
	}
}

// Float accepts a finite number.
func Float(v any) (float64, error) {
	switch v := v.(type) {
	case int:
		return float64(v), nil
	case int64:
		return float64(v), nil
	case uint64:
		return float64(v), nil
	case float64:
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			return v, nil
		}
	}
	return 0, fmt.Errorf("must be a number, have %s", Describe(v))
}

// MaxDuration is the longest time that may be configured, a century. It keeps
// sums of a few of them far from overflow.
const MaxDuration = 100 * 365 * 24 * time.Hour

// Seconds accepts a number of seconds not below least. As in the original, the
// result counts in whole milliseconds.
func Seconds(least time.Duration) func(any) (time.Duration, error) {
	return func(v any) (time.Duration, error) {
		f, err := Float(v)
		if err != nil {
			return 0, fmt.Errorf("must be a number of seconds, have %s", Describe(v))
		}
		if f > MaxDuration.Seconds() {
			return 0, fmt.Errorf("must be at most %.0f seconds, have %s", MaxDuration.Seconds(), Describe(v))
		}
		d := time.Duration(math.Round(max(f, -1)*1000)) * time.Millisecond
		if d < least || f < 0 {
			return 0, fmt.Errorf("must be at least %s seconds, have %s", strconv.FormatFloat(least.Seconds(), 'g', -1, 64), Describe(v))
		}
		return d, nil
	}
}

// Duration accepts a time not below least, as text ("1m30s", "7d") or as a
// number of seconds.
func Duration(least time.Duration) func(any) (time.Duration, error) {
	return func(v any) (time.Duration, error) {
		s, ok := v.(string)
		if !ok {
			if _, err := Float(v); err != nil {
				return 0, fmt.Errorf(`must be a duration such as "30s", have %s`, Describe(v))
			}
			return Seconds(least)(v)
		}
		d, err := parseDuration(s)
		if err != nil {
			return 0, fmt.Errorf(`must be a duration such as "30s", have %q`, s)
		}
		if d < least {
			return 0, fmt.Errorf("must be at least %s, have %q", FormatDuration(least), s)
		}
		if d > MaxDuration {
			return 0, fmt.Errorf("must be at most %s, have %q", FormatDuration(MaxDuration), s)
		}
		return d, nil
	}
}

// parseDuration knows days besides the units of time.ParseDuration.
func parseDuration(s string) (time.Duration, error) {
	days, isDays := strings.CutSuffix(s, "d")
	if !isDays {
		return time.ParseDuration(s)
	}
	n, err := strconv.ParseUint(days, 10, 32)
	if err != nil {
		return 0, err
	}
	if n > uint64(MaxDuration/(24*time.Hour)) {
		return MaxDuration + 1, nil
	}
	return time.Duration(n) * 24 * time.Hour, nil
}

// FormatDuration writes d as shortly as [Duration] reads it.
func FormatDuration(d time.Duration) string {
	if day := 24 * time.Hour; d >= day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

const sizeUnits = "KMGT"

// Size accepts a number of bytes not below least, as a number or as text with a
// unit: "512K", "256M", "2G", "1T", each optionally followed by B or iB, all of
// them powers of 1024.
func Size(least int64) func(any) (int64, error) {
	return func(v any) (int64, error) {
		n, err := parseSize(v)
		if err != nil {
			return 0, fmt.Errorf(`must be a number of bytes such as "256M", have %s`, Describe(v))
		}
		if n < least {
			return 0, fmt.Errorf("must be at least %s, have %s", FormatSize(least), Describe(v))
		}
		return n, nil
	}
}

func parseSize(v any) (int64, error) {
	s, ok := v.(string)
	if !ok {
		f, err := Float(v)
		if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<62 {
			return 0, strconv.ErrSyntax
		}
		return int64(f), nil
	}
	digits := strings.TrimRight(s, "KMGTiB")
	shift, ok := sizeShift(s[len(digits):])
	f, err := strconv.ParseFloat(digits, 64)
	if !ok || err != nil || !(math.Abs(f) < float64(int64(1)<<(62-shift))) {
		return 0, strconv.ErrSyntax
	}
	return int64(math.Round(f * float64(int64(1)<<shift))), nil
}

// sizeShift returns the power of two that a unit stands for.
func sizeShift(unit string) (shift int, ok bool) {
	if unit == "" || unit == "B" {
		return 0, true
	}
	i := strings.IndexByte(sizeUnits, unit[0])
	rest := unit[1:]
	return 10 * (i + 1), i >= 0 && (rest == "" || rest == "B" || rest == "iB")
}

// FormatSize writes n with the largest unit that divides it.
func FormatSize(n int64) string {
	for i := len(sizeUnits); i > 0; i-- {
		if unit := int64(1) << (10 * i); n >= unit && n%unit == 0 {
			return strconv.FormatInt(n/unit, 10) + string(sizeUnits[i-1])
		}
	}
	return strconv.FormatInt(n, 10)
}

// Strings accepts a list of text.
func Strings(v any) ([]string, error) {
	if list, ok := v.([]string); ok {
		return list, nil
	}
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("must be a list of strings, have %s", Describe(v))
	}
	out := make([]string, len(list))
	for i, item := range list {
		s, err := String(item)
		if err != nil {
			return nil, fmt.Errorf("element %d %w", i+1, err)
		}
		out[i] = s
	}
	return out, nil
}
