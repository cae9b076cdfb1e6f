// Package tokens reads lists of the tokens by which callers prove who they are. A list
// holds digests, from which nobody gets a token back, provided that it was drawn at
// random and is long: 32 bytes are plenty.
package tokens

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A Token is what is known of a secret that a caller proves to be somebody with.
type Token struct {
	Name   string // for people
	UID    uint64
	Digest [sha256.Size]byte // SHA-256 of the secret
}

// ErrMalformed means that a line is not the description of a token.
var ErrMalformed = errors.New("must be a name, a user id and the SHA-256 of the token in hex, such as \"ann 1001 9f86d0...\"")

// maxName is the length of the longest name of a token.
const maxName = 128

// Parse reads "NAME UID SHA256". The error wraps ErrMalformed, and repeats nothing
// of the line: it may hold a secret by mistake.
func Parse(line string) (Token, error) {
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return Token{}, fmt.Errorf("%w: it has %d words", ErrMalformed, len(fields))
	}
	t := Token{Name: fields[0]}
	if len(t.Name) > maxName {
		return Token{}, fmt.Errorf("%w: the name is longer than %d bytes", ErrMalformed, maxName)
	}
	var err error
	if t.UID, err = strconv.ParseUint(fields[1], 10, 64); err != nil {
		return Token{}, fmt.Errorf("%w: the second word is no user id", ErrMalformed)
	}
	digest, err := hex.DecodeString(fields[2])
	if err != nil || len(digest) != sha256.Size {
		return Token{}, fmt.Errorf("%w: the third word is no SHA-256", ErrMalformed)
	}
	copy(t.Digest[:], digest)
	return t, nil
}

// ParseList reads lines of tokens. Empty ones, and those that begin with #, say
// nothing. Names and tokens may be there once.
func ParseList(text string) ([]Token, error) {
	var list []Token
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		t, err := Parse(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		list = append(list, t)
	}
	return list, Check(list)
}

// Check reports names and tokens that are there twice.
func Check(list []Token) error {
	names, digests := make(map[string]bool), make(map[[sha256.Size]byte]string)
	for _, t := range list {
		if names[t.Name] {
			return fmt.Errorf("the name %q is there twice", t.Name)
		}
		if other, ok := digests[t.Digest]; ok {
			return fmt.Errorf("%q and %q have the same token", other, t.Name)
		}
		names[t.Name], digests[t.Digest] = true, t.Name
	}
	return nil
}
