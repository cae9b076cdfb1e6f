package hpack_test

import (
	"slices"
	"testing"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// FuzzDecode: any bytes decode or fail without harm to the table's bounds, and what decoded is written and read again,
// as literals and through the tables.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		"", "90", "9150", "9193c2a161a162", "9493c3a161a16293c3a163a1645354", "9293c3a161a16293c253a163", "9193c253a162",
		"9193c2c40161d90162", "93505152", "91cd270f", "9192c2a161", "dc0002023e", "9293c3a0a053",
	} {
		f.Add(unhex(f, s), unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var table hpack.Table
		var e hpack.Encoder
		var peer hpack.Table
		for _, src := range [][]byte{first, second} {
			hs, err := table.Decode(nil, src)
			checkBounds(t, &table)
			if err != nil {
				return
			}
			var literal hpack.Table
			if again, err := literal.Decode(nil, hpack.AppendLiterals(nil, hs)); err != nil || !slices.Equal(hs, again) || literal.Len() != 0 {
				t.Fatalf("%q as literals became %q, %v", hs, again, err)
			}
			if again, err := peer.Decode(nil, e.Append(nil, hs)); err != nil || !slices.Equal(hs, again) {
				t.Fatalf("%q through the tables became %q, %v", hs, again, err)
			}
		}
	})
}

// checkBounds adds up the entries as a peer can see them.
func checkBounds(t *testing.T, table *hpack.Table) {
	size := 0
	for i := range table.Len() {
		hs, err := table.Decode(nil, msgpack.AppendUint([]byte{0x91}, uint64(83+i)))
		if err != nil {
			t.Fatalf("entry %d of %d: %v", i, table.Len(), err)
		}
		size += len(hs[0].Name) + len(hs[0].Value) + 32
	}
	if size > 4096 {
		t.Fatalf("%d bytes in the table", size)
	}
	if _, err := table.Decode(nil, msgpack.AppendUint([]byte{0x91}, uint64(83+table.Len()))); err == nil {
		t.Fatalf("an entry after the last of %d", table.Len())
	}
}
