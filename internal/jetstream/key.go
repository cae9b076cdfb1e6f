package jetstream

import (
	"fmt"
	"strings"
)

// EncodeKey turns any text into one token of a KV key: letters, digits, '-' and
// '_' stay as they are, so that usual names remain readable, and every other
// byte becomes "=XX" in upper-case hex. Tokens are joined with dots; since a
// token holds no dot, a key splits back without doubt, and the characters that
// mean something to the engine ('.', '*', '>', space) cannot be smuggled in.
//
// The empty text has no token: EncodeKey returns "=", which decodes to it.
func EncodeKey(s string) string {
	if s == "" {
		return "="
	}
	escaped := 0
	for i := range len(s) {
		if !plain(s[i]) {
			escaped++
		}
	}
	if escaped == 0 {
		return s
	}
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(s) + 2*escaped)
	for i := range len(s) {
		if c := s[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('=')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

// DecodeKey is the inverse of EncodeKey. A token that EncodeKey cannot have made
// is an error, so that every text has exactly one token.
func DecodeKey(token string) (string, error) {
	if token == "=" {
		return "", nil
	}
	var b strings.Builder
	b.Grow(len(token))
	for i := 0; i < len(token); i++ {
		c := token[i]
		if plain(c) {
			b.WriteByte(c)
			continue
		}
		if c != '=' || i+2 >= len(token) {
			return "", fmt.Errorf("cannot decode key %q: bad byte at %d", token, i)
		}
		hi, lo := unhex(token[i+1]), unhex(token[i+2])
		if hi < 0 || lo < 0 || plain(byte(hi<<4|lo)) {
			return "", fmt.Errorf("cannot decode key %q: bad escape at %d", token, i)
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	if b.Len() == 0 {
		return "", fmt.Errorf("cannot decode key %q: it is empty", token)
	}
	return b.String(), nil
}

func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
