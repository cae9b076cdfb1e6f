package auth_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cocaine/cocaine-go/internal/auth"
	"github.com/cocaine/cocaine-go/internal/hpack"
)

func authorization(value string) []hpack.Header {
	return []hpack.Header{{Name: "trace_bit", Value: "1"}, {Name: hpack.Authorization, Value: value}}
}

func TestPromiscuous(t *testing.T) {
	for _, c := range []struct {
		header string
		uids   []uint64
	}{
		{"1", []uint64{1}},
		{"0", []uint64{0}},
		{"1,2,3", []uint64{1, 2, 3}},
		{"18446744073709551615", []uint64{1<<64 - 1}},
		{"007,7", []uint64{7, 7}},
		{"18446744073709551616", nil},
		{"", nil},
		{",", nil},
		{"1,", nil},
		{",1", nil},
		{"1, 2", nil},
		{" 1", nil},
		{"-1", nil},
		{"+1", nil},
		{"0x1", nil},
		{"1_000", nil},
		{"1;2", nil},
		{"ann", nil},
		{"1,ann", nil},
		{"TVM 3:serv:xyz", nil},
		{"1" + strings.Repeat(",1", 1<<10), nil},
	} {
		who, err := auth.Promiscuous{}.Identify(authorization(c.header))
		if err != nil || len(who.CIDs) != 0 || !slices.Equal(who.UIDs, c.uids) || who.Anonymous() != (len(c.uids) == 0) {
			t.Errorf("%.40q: have %v, %v, want %v", c.header, who, err, c.uids)
		}
	}
	if who, err := (auth.Promiscuous{}).Identify(nil); err != nil || !who.Anonymous() {
		t.Errorf("no header: %v, %v", who, err)
	}
}

// Whoever is not anonymous has written ids and commas, and nothing else.
func FuzzPromiscuous(f *testing.F) {
	for _, s := range []string{"1", "1,2", "", ",", "18446744073709551616", "TVM x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		who, err := auth.Promiscuous{}.Identify(authorization(header))
		if err != nil {
			t.Fatal(err)
		}
		if who.Anonymous() {
			return
		}
		for i, part := range strings.Split(header, ",") {
			if n, err := strconv.ParseUint(part, 10, 64); err != nil || n != who.UIDs[i] {
				t.Fatalf("%q: %v", header, who)
			}
		}
	})
}
