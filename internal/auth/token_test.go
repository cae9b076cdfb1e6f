package auth_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cocaine/cocaine-go/internal/auth"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/tokens"
)

func digest(secret string) string {
	d := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(d[:])
}

func known(t testing.TB, text string) *auth.Tokens {
	t.Helper()
	list, err := tokens.ParseList(text)
	if err != nil {
		t.Fatal(err)
	}
	a := auth.NewTokens(map[string]uint64{"hello": 1001})
	a.Set(list)
	a.SetKey([]byte("key"))
	return a
}

var unauthorized = &rpc.Error{Category: idl.CategorySecurity, Code: idl.SecurityUnauthorized}

func TestTokens(t *testing.T) {
	a := known(t, "# people\nann 7 "+digest("s3cret")+"\n\n  bob 8 "+strings.ToUpper(digest("other"))+"\n")
	worker, err := a.Worker("hello")
	if err != nil {
		t.Fatal(err)
	}
	nobody, err := a.Worker("bye")
	if err != nil {
		t.Fatal(err)
	}
	stranger := auth.NewTokens(nil)
	stranger.SetKey([]byte("another key"))
	foreign, err := stranger.Worker("hello")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		header string
		uids   []uint64
		ok     bool
	}{
		{"s3cret", []uint64{7}, true},
		{"token s3cret", []uint64{7}, true},
		{"Bearer s3cret", []uint64{7}, true},
		{" bearer  s3cret ", []uint64{7}, true},
		{"other", []uint64{8}, true},
		{worker, []uint64{1001}, true},
		{"token " + worker, []uint64{1001}, true},
		{nobody, nil, true},
		{"", nil, false},
		{" ", nil, false},
		{"token", nil, false},
		{"s3cre", nil, false},
		{"s3cret ann", nil, false},
		{"7", nil, false},
		{"ann", nil, false},
		{digest("s3cret"), nil, false},
		{"TVM s3cret", nil, false},
		{foreign, nil, false},
		{strings.Replace(worker, "hello", "bye", 1), nil, false},
		{strings.Replace(nobody, "bye", "hello", 1), nil, false},
		{worker[:len(worker)-2], nil, false},
		{"worker:hello:", nil, false},
		{"worker:hello", nil, false},
		{"worker:", nil, false},
	} {
		who, err := a.Identify(authorization(c.header))
		if (err == nil) != c.ok || err != nil && !errors.Is(err, unauthorized) || !slices.Equal(who.UIDs, c.uids) || len(who.CIDs) > 0 {
			t.Errorf("%q: %v, %v", c.header, who, err)
		}
		if err != nil && c.header != "" && c.header != " " && strings.Contains(err.Error(), strings.TrimSpace(c.header)) && c.header != "token" {
			t.Errorf("%q is repeated: %v", c.header, err)
		}
	}
	if _, err := a.Identify(nil); !errors.Is(err, unauthorized) {
		t.Errorf("no header: %v", err)
	}
	if _, err := auth.NewTokens(nil).Worker("hello"); err == nil {
		t.Error("a token without a key")
	}
	if _, err := auth.NewTokens(nil).Identify(authorization(worker)); !errors.Is(err, unauthorized) {
		t.Errorf("a worker's token without a key: %v", err)
	}
}

// A list is replaced at once: what is in neither is refused all the time, and what is
// in both never.
func TestTokensAreReplaced(t *testing.T) {
	one, err := tokens.ParseList("ann 7 " + digest("a") + "\nbob 8 " + digest("b"))
	if err != nil {
		t.Fatal(err)
	}
	a := auth.NewTokens(nil)
	a.Set(one)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 1000 {
			a.Set(one[:1])
			a.Set(one)
		}
	})
	for range 1000 {
		if who, err := a.Identify(authorization("a")); err != nil || who.UIDs[0] != 7 {
			t.Fatal(who, err)
		}
		if _, err := a.Identify(authorization("c")); err == nil {
			t.Fatal("a token that nobody has")
		}
	}
	wg.Wait()
	a.Set(one[1:])
	if _, err := a.Identify(authorization("a")); err == nil {
		t.Error("a token that was taken away")
	}
}

// Whatever the header holds, who is let in has a token that is known.
func FuzzTokens(f *testing.F) {
	for _, s := range []string{"s3cret", "Bearer s3cret", "token worker:hello:00", "worker:hello:", "worker:a:b:c"} {
		f.Add(s)
	}
	a := known(f, "ann 7 "+digest("s3cret"))
	worker, err := a.Worker("hello")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if _, err := a.Identify(authorization(header)); err == nil && !strings.Contains(header, "s3cret") && !strings.Contains(strings.ToLower(header), worker) {
			t.Fatalf("%q is let in", header)
		}
	})
}

func BenchmarkTokens(b *testing.B) {
	a := known(b, "ann 7 "+digest("s3cret"))
	headers := authorization("Bearer s3cret")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Identify(headers); err != nil {
			b.Fatal(err)
		}
	}
}
