package tokens_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/internal/tokens"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func digest(secret string) string {
	d := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(d[:])
}

func TestMalformed(t *testing.T) {
	good := "ann 7 " + digest("a")
	for _, c := range []struct{ text, want string }{
		{"ann", "line 1: must be a name, a user id and"},
		{good + "\nbob 8", "line 2: must be"},
		{"ann x " + digest("a"), "the second word is no user id"},
		{"ann -1 " + digest("a"), "the second word is no user id"},
		{"ann 7 s3cret", "the third word is no SHA-256"},
		{"ann 7 " + digest("a")[:60], "the third word is no SHA-256"},
		{"ann 7 " + digest("a") + " more", "it has 4 words"},
		{good + "\nann 8 " + digest("b"), `the name "ann" is there twice`},
		{good + "\nbob 8 " + digest("a"), `"ann" and "bob" have the same token`},
		{strings.Repeat("n", 129) + " 7 " + digest("a"), "longer than 128 bytes"},
	} {
		_, err := tokens.ParseList(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("a secret is repeated: %v", err)
		}
	}
}

func FuzzParseList(f *testing.F) {
	f.Add("ann 7 " + digest("a") + "\n# x\n\nbob 8 " + digest("b"))
	f.Fuzz(func(t *testing.T, text string) {
		list, err := tokens.ParseList(text)
		if err != nil {
			return
		}
		var again strings.Builder
		for _, token := range list {
			fmt.Fprintf(&again, "%s %d %x\n", token.Name, token.UID, token.Digest)
		}
		if same, err := tokens.ParseList(again.String()); err != nil || !slices.Equal(same, list) {
			t.Fatalf("%q: %v, then %v, %v", text, list, same, err)
		}
	})
}
