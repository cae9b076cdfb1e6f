package auth

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The bytes are those of the original: [{cid: flags}, {uid: flags}], with integers for
// keys in the storage, and with text in unicorn.
func TestRecordEncoding(t *testing.T) {
	for _, c := range []struct {
		name  string
		style keyStyle
		rec   Record
		hex   string
	}{
		{"nobody", intKeys, Record{}, "928080"},
		{"storage", intKeys, Record{CIDs: map[uint32]Access{5: Read}, UIDs: map[uint64]Access{1 << 40: ReadWrite, 7: Write}},
			"92" + "810501" + "82" + "0702" + "cf0000010000000000" + "03"},
		{"unicorn", textKeys, Record{CIDs: map[uint32]Access{5: Read}, UIDs: map[uint64]Access{1001: ReadWrite}},
			"92" + "81a13501" + "81a43130303103"},
		{"nothing permitted", intKeys, Record{UIDs: map[uint64]Access{7: 0}}, "92" + "80" + "810700"},
	} {
		want := unhex(t, c.hex)
		if got := c.rec.append(nil, c.style); !bytes.Equal(got, want) {
			t.Errorf("%s: written as %x, want %s", c.name, got, c.hex)
		}
		if got, err := parseRecord(want, c.style); err != nil || !reflect.DeepEqual(got, c.rec) {
			t.Errorf("%s: read as %+v, %v", c.name, got, err)
		}
	}
}

// Programs with a newer msgpack write strings as str8; unknown bits mean nothing.
func TestRecordsOfOthers(t *testing.T) {
	got, err := parseRecord(unhex(t, "92"+"80"+"81d9013103"), textKeys)
	if err != nil || got.UIDs[1] != ReadWrite {
		t.Errorf("str8: %+v, %v", got, err)
	}
	got, err = parseRecord(unhex(t, "92"+"80"+"8101cccd"), intKeys)
	if err != nil || got.UIDs[1] != Read {
		t.Errorf("unknown bits: %+v, %v", got, err)
	}
}

func TestMalformedRecords(t *testing.T) {
	for name, c := range map[string]struct {
		style keyStyle
		hex   string
	}{
		"nothing":            {intKeys, ""},
		"nil":                {intKeys, "c0"},
		"a map":              {intKeys, "80"},
		"one map":            {intKeys, "9180"},
		"three maps":         {intKeys, "93808080"},
		"cut off":            {intKeys, "928081"},
		"followed":           {intKeys, "928080c0"},
		"text for an int":    {intKeys, "9280" + "81a13103"},
		"int for text":       {textKeys, "9280" + "810103"},
		"no number":          {textKeys, "9280" + "81a16103"},
		"signed number":      {textKeys, "9280" + "81a22b3103"},
		"negative":           {intKeys, "9280" + "81ff03"},
		"negative access":    {intKeys, "9280" + "8101ff"},
		"text for access":    {intKeys, "9280" + "8101a133"},
		"client beyond 2^32": {intKeys, "92" + "81cf000000010000000001" + "80"},
		"claims too many":    {intKeys, "9280" + "dfffffffff"},
	} {
		if rec, err := parseRecord(unhex(t, c.hex), c.style); !errors.Is(err, errMalformed) {
			t.Errorf("%s: %+v, %v", name, rec, err)
		}
	}
}

// What was read is written as it was read by the next.
func FuzzRecord(f *testing.F) {
	for _, s := range []string{"928080", "92810501820702cf000001000000000003", "9281a1350181a43130303103", "9280dfffffffff"} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, style := range []keyStyle{intKeys, textKeys} {
			rec, err := parseRecord(b, style)
			if err != nil {
				if !errors.Is(err, errMalformed) {
					t.Fatal(err)
				}
				continue
			}
			again, err := parseRecord(rec.append(nil, style), style)
			if err != nil || !reflect.DeepEqual(again, rec) {
				t.Fatalf("%x: %+v, then %+v, %v", b, rec, again, err)
			}
		}
	})
}

func FuzzMethods(f *testing.F) {
	f.Add(unhex(f, "81a973746172745f61707080"), "start_app")
	f.Add(unhex(f, "c0"), "")
	f.Fuzz(func(t *testing.T, b []byte, method string) {
		found, err := hasMethod(b, method)
		if err != nil && !errors.Is(err, errMalformed) || found && err != nil && len(b) == 0 {
			t.Fatal(found, err)
		}
		if found && !bytes.Contains(b, []byte(method)) {
			t.Fatalf("%x has no %q", b, method)
		}
	})
}

// Every id that is presented has to be permitted, of clients or of users.
func TestPermits(t *testing.T) {
	rec := Record{CIDs: map[uint32]Access{1: ReadWrite, 2: Read}, UIDs: map[uint64]Access{10: ReadWrite, 11: Read, 12: 0}}
	for _, c := range []struct {
		who         Identity
		read, write bool
	}{
		{Identity{}, false, false},
		{Identity{UIDs: []uint64{10}}, true, true},
		{Identity{UIDs: []uint64{11}}, true, false},
		{Identity{UIDs: []uint64{12}}, false, false},
		{Identity{UIDs: []uint64{99}}, false, false},
		{Identity{UIDs: []uint64{0}}, false, false},
		{Identity{UIDs: []uint64{10, 11}}, true, false},
		{Identity{UIDs: []uint64{10, 99}}, false, false},
		{Identity{CIDs: []uint32{1}}, true, true},
		{Identity{CIDs: []uint32{1, 2}}, true, false},
		{Identity{CIDs: []uint32{10}}, false, false},
		{Identity{CIDs: []uint32{1}, UIDs: []uint64{99}}, true, true},
		{Identity{CIDs: []uint32{99}, UIDs: []uint64{10}}, true, true},
		{Identity{CIDs: []uint32{2}, UIDs: []uint64{11}}, true, false},
	} {
		if r, w := rec.Permits(c.who, Read), rec.Permits(c.who, Write); r != c.read || w != c.write {
			t.Errorf("%v: read %v, write %v", c.who, r, w)
		}
	}
}

func TestGrantAndRevoke(t *testing.T) {
	var rec Record
	rec.Grant(Identity{CIDs: []uint32{1}, UIDs: []uint64{2}}, 0)
	if !rec.Empty() {
		t.Errorf("to grant nothing made %+v", rec)
	}
	rec.Grant(Identity{CIDs: []uint32{1}, UIDs: []uint64{2}}, Read)
	rec.Grant(Identity{UIDs: []uint64{2, 3}}, Write)
	rec.Revoke(Identity{CIDs: []uint32{1, 9}, UIDs: []uint64{3, 9}}, ReadWrite)
	want := Record{CIDs: map[uint32]Access{1: 0}, UIDs: map[uint64]Access{2: ReadWrite, 3: 0}}
	if !reflect.DeepEqual(rec, want) {
		t.Errorf("have %+v, want %+v", rec, want)
	}
}
