package cocaine

import (
	"testing"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

func FuzzParseAnnouncement(f *testing.F) {
	b := msgpack.AppendString(msgpack.AppendArray(nil, 2), "node")
	b = msgpack.AppendString(msgpack.AppendMap(b, 1), "storage")
	f.Add(append(b, resolution(idl.Storage, []any{"127.0.0.1", 1})...))
	f.Add([]byte{0x92, 0xa1, 'n', 0x80})
	f.Add([]byte{0x92, 0xa1, 'n', 0xdf, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := parseAnnouncement(b)
		if err != nil {
			return
		}
		for name, r := range a.Services {
			if r == nil || r.Name != name {
				t.Fatalf("%q is %+v", name, r)
			}
		}
	})
}
