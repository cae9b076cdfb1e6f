package storage

import (
	"reflect"
	"testing"
)

func TestRecord(t *testing.T) {
	for text, want := range map[string]record{
		"1 .":                    {},
		"1 app":                  {tags: []string{"app"}},
		"1 active.group":         {tags: []string{"active", "group"}},
		"1 a=2Eb.=D0=B3":         {tags: []string{"a.b", "г"}},
		"1 . 6a-XYZ 20971520":    {blob: "6a-XYZ", size: 20971520},
		"1 app 6a-XYZ 268435456": {tags: []string{"app"}, blob: "6a-XYZ", size: MaxValue},
	} {
		got, err := parseRecord(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q is parsed as %+v, %v", text, got, err)
		}
		if back, err := want.encode(); err != nil || back != text {
			t.Errorf("%+v is encoded as %q, %v", want, back, err)
		}
	}
	for _, bad := range []string{
		"", "1", "1 ", "2 .", "1 =", "1 b.a", "1 a.a", "1 a..b", "1 =2", "1 . x", "1 . x ", "1 .  5", "1 . x -1", "1 . x 05", "1 . x 268435457", "1 . x 5 6",
	} {
		if r, err := parseRecord(bad); err == nil {
			t.Errorf("%q is parsed as %+v", bad, r)
		}
	}
}

func FuzzRecord(f *testing.F) {
	for _, s := range []string{"1 .", "1 app", "1 a=2Eb.c x 12", "1 . x 0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := parseRecord(s)
		if err != nil {
			return
		}
		if back, err := r.encode(); err != nil || back != s {
			t.Errorf("%q is parsed as %+v, which is encoded as %q, %v", s, r, back, err)
		}
	})
}
