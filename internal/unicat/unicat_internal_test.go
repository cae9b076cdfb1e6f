package unicat

import (
	"encoding/hex"
	"reflect"
	"testing"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/internal/auth"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func read(args []byte) (arguments, error) {
	r := msgpack.NewReader(args)
	r.Array()
	return readArguments(&r)
}

// The first vector is what the original tool sends, whose service is an empty string.
func TestArguments(t *testing.T) {
	for name, want := range map[string]arguments{
		"94" + "9193a773746f72616765a0a163" + "90" + "9107" + "03": {
			things: []thing{{"storage", "", "c"}}, whom: auth.Identity{UIDs: []uint64{7}}, access: 3},
		"94" + "9293a773746f72616765c0a16393a7756e69636f726ea4636f7265a161" + "9105" + "90" + "01": {
			things: []thing{{"storage", "", "c"}, {"unicorn", "core", "a"}}, whom: auth.Identity{CIDs: []uint32{5}}, access: 1},
	} {
		b, err := hex.DecodeString(name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := read(b); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// What can be read is within the bounds of lists, and every cut of it is refused.
func FuzzArguments(f *testing.F) {
	for _, s := range []string{"949193a773746f72616765a0a163909107" + "03", "94ddffffffff", "9490dd00001001", "94909081cf0000000100000000"} {
		b, err := hex.DecodeString(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := read(b)
		if err != nil {
			return
		}
		if len(a.things) > maxList || len(a.whom.CIDs) > maxList || len(a.whom.UIDs) > maxList {
			t.Fatalf("%x: %d things", b, len(a.things))
		}
		rest, err := msgpack.Skip(b, msgpack.MaxDepth)
		if err == nil && len(rest) == 0 {
			if _, err := read(b[:len(b)-1]); err == nil {
				r := msgpack.NewReader(b)
				if r.Array() == 4 {
					t.Fatalf("%x can be read without its end", b)
				}
			}
		}
	})
}
