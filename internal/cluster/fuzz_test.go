package cluster

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"slices"
	"testing"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// Datagrams as the original makes them.
var datagramVectors = []struct {
	hex, uuid string
	endpoints []netip.AddrPort
}{
	{"92da002465626566633164332d636665642d343237382d383564322d3864393837646466313330389192a93132372e302e302e31cd2758",
		"ebefc1d3-cfed-4278-85d2-8d987ddf1308", []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:10072")}},
	{"92da002465626566633164332d636665642d343237382d383564322d3864393837646466313330389292a93132372e302e302e31cd275892a7666538303a3a3150",
		"ebefc1d3-cfed-4278-85d2-8d987ddf1308", []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:10072"), netip.MustParseAddrPort("[fe80::1]:80")}},
}

func TestDatagramVectors(t *testing.T) {
	for _, v := range datagramVectors {
		want, err := hex.DecodeString(v.hex)
		if err != nil {
			t.Fatal(err)
		}
		if have := encodeDatagram(v.uuid, v.endpoints); !bytes.Equal(have, want) {
			t.Errorf("encoded as %x, want %x", have, want)
		}
		uuid, endpoints, err := decodeDatagram(want)
		if err != nil || uuid != v.uuid || !slices.Equal(endpoints, v.endpoints) {
			t.Errorf("decoded as %q, %v, %v", uuid, endpoints, err)
		}
	}
}

func TestBadDatagrams(t *testing.T) {
	for name, text := range map[string]string{
		"empty":            "",
		"a map":            "80",
		"of v0.11":         "93a1" + "78" + "a161" + "cd2745", // uuid, host name, port
		"one value":        "91a178",
		"no uuid":          "92a090",
		"a number":         "920590",
		"a host name":      "92a1789192a168" + "01",
		"a port too high":  "92a1789192a7312e322e332e34ce00010000",
		"three of two":     "92a1789193a7312e322e332e340102",
		"endpoints a text": "92a178a178",
		"cut off":          "92a1789192a7312e32",
	} {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if uuid, eps, err := decodeDatagram(b); err == nil {
			t.Errorf("%s: decoded as %q, %v", name, uuid, eps)
		}
	}
}

func FuzzDatagram(f *testing.F) {
	for _, v := range datagramVectors {
		b, _ := hex.DecodeString(v.hex)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		uuid, endpoints, err := decodeDatagram(b)
		if err != nil {
			return
		}
		again, eps, err := decodeDatagram(encodeDatagram(uuid, endpoints))
		if err != nil || again != uuid || !slices.Equal(eps, endpoints) {
			t.Errorf("%q, %v is then %q, %v, %v", uuid, endpoints, again, eps, err)
		}
	})
}

func FuzzAnnouncement(f *testing.F) {
	b := msgpack.AppendMap(msgpack.AppendString(msgpack.AppendArray(nil, 2), "u"), 2)
	b = idl.AppendEndpoints(msgpack.AppendArray(msgpack.AppendString(b, "x"), 3), datagramVectors[1].endpoints)
	b = idl.App.AppendGraph(msgpack.AppendUint(b, 1))
	b = idl.AppendEndpoints(msgpack.AppendArray(msgpack.AppendString(b, "gone"), 3), nil)
	f.Add(msgpack.AppendMap(msgpack.AppendUint(b, 0), 0), "\x81\xb1x-cocaine-cluster\xa4blue")
	f.Add([]byte{0x92, 0xa1, 'u', 0x80}, "\x80")
	f.Fuzz(func(t *testing.T, args []byte, extra string) {
		if name, err := clusterOf([]hpack.Header{{Name: extraHeader, Value: extra}}); err != nil && name != "" {
			t.Errorf("cluster %q, %v", name, err)
		}
		a, err := decodeAnnouncement(args)
		if err != nil {
			return
		}
		var d directory
		if err := d.update(a.node, a.services); err != nil {
			t.Fatal(err) // a message cannot hold so much
		}
		last := map[string][]byte{} // what is said last holds
		for _, s := range a.services {
			last[s.name] = s.info
		}
		for name, info := range last {
			if have := d.choose([]byte(name)); !bytes.Equal(have, info) {
				t.Errorf("of %q is known %x, want %x", name, have, info)
			}
			if info == nil {
				continue
			}
			again := msgpack.AppendString(msgpack.AppendArray(nil, 2), a.node)
			again = append(msgpack.AppendString(msgpack.AppendMap(again, 1), name), info...)
			if b, err := decodeAnnouncement(again); err != nil || !bytes.Equal(b.services[0].info, info) {
				t.Errorf("what is said of %q is not said again: %v, %v", name, b, err)
			}
		}
		d.drop(a.node)
		if len(d.services) > 0 || len(d.nodes) > 0 {
			t.Errorf("left: %v, %v", d.services, d.nodes)
		}
	})
}

// TestInventoryLimit: what is known of one node has a limit, and what was replaced does
// not count.
func TestInventoryLimit(t *testing.T) {
	var d directory
	big := make([]byte, maxGraph)
	for range 2000 { // far beyond the limit, were it to count
		if err := d.update("n", []announced{{"x", big}, {"y", big}, {"y", nil}}); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	for i := 0; err == nil && i < maxServices; i++ {
		err = d.update("n", []announced{{string(rune('a' + i)), big}})
	}
	if err == nil {
		t.Error("no limit of bytes")
	}
	err = nil
	for i := 0; err == nil && i <= maxServices; i++ {
		err = d.update("m", []announced{{string(rune(0x4e00 + i)), []byte{1}}})
	}
	if err == nil {
		t.Error("no limit of services")
	}
	if have := d.choose([]byte("x")); !bytes.Equal(have, big) {
		t.Error("the other services are lost")
	}
}

func BenchmarkChoose(b *testing.B) {
	var d directory
	for _, node := range []string{"a", "b", "c"} {
		if err := d.update(node, []announced{{"x", []byte{1}}}); err != nil {
			b.Fatal(err)
		}
	}
	name := []byte("x")
	b.ReportAllocs()
	for b.Loop() {
		d.choose(name)
	}
}
