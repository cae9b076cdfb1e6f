package httpwire_test

import (
	"bytes"
	"encoding/hex"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/internal/httpwire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The bytes are those that the original proxies and workers exchange.
func TestGoldenRequest(t *testing.T) {
	const golden = "95 a3474554 a52f3f783d31 a3312e31 91 92a4486f7374a178 a0"
	want := httpwire.Request{Method: "GET", URI: "/?x=1", Version: "1.1", Fields: []httpwire.Field{{"Host", "x"}}, Body: []byte{}}
	got, err := httpwire.ParseRequest(unhex(t, golden))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, %v", got, err)
	}
	if b := httpwire.AppendRequest(nil, &want); !bytes.Equal(b, unhex(t, golden)) {
		t.Errorf("wrote %x", b)
	}
}

func TestGoldenHead(t *testing.T) {
	const golden = "92 ccc8 91 92 ac436f6e74656e742d54797065 aa746578742f706c61696e"
	want := httpwire.Head{Status: 200, Fields: []httpwire.Field{{"Content-Type", "text/plain"}}}
	got, err := httpwire.ParseHead(unhex(t, golden))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, %v", got, err)
	}
	if b := httpwire.AppendHead(nil, &want); !bytes.Equal(b, unhex(t, golden)) {
		t.Errorf("wrote %x", b)
	}
}

// Both dialects of msgpack, what older and newer versions send, and what sloppy
// workers do.
func TestReadVariants(t *testing.T) {
	q, err := httpwire.ParseRequest(unhex(t, "96 d903474554 a12f a8485454502f312e31 dc0002 92a161a131 92a161c40132 c40178 c0"))
	want := httpwire.Request{Method: "GET", URI: "/", Version: "HTTP/1.1", Fields: []httpwire.Field{{"a", "1"}, {"a", "2"}}, Body: []byte("x")}
	if err != nil || !reflect.DeepEqual(q, want) {
		t.Errorf("%+v, %v", q, err)
	}
	h, err := httpwire.ParseHead(unhex(t, "93 cd0194 92 92a16105 92a162ff 90"))
	if err != nil || !reflect.DeepEqual(h, httpwire.Head{Status: 404, Fields: []httpwire.Field{{"a", "5"}, {"b", "-1"}}}) {
		t.Errorf("%+v, %v", h, err)
	}
}

func TestMalformed(t *testing.T) {
	requests := []string{
		"", "c0", "a0", "80", "90", "94a0a0a090", "95a0a0a090", "95a0a0a09090", "9501a0a090a0", "95a0a0a080a0", "95a0a0a0c0a0",
		"95a0a0a091a0a0", "95a0a0a09191a0a0", "95a0a0a09193a0a0a0a0", "95a0a0a09192a0c0a0", "95a0a0a09192a0cb3ff8000000000000a0",
		"95a0a0a090a000", "95a0a0a0ddffffffffa0", "ddffffffff", "95a0a0a090c0", "96a0a0a090a0",
	}
	for _, s := range requests {
		q, err := httpwire.ParseRequest(unhex(t, s))
		if err == nil || !strings.HasPrefix(err.Error(), "cannot read HTTP request: ") {
			t.Errorf("%q: %+v, %v", s, q, err)
		}
	}
	for _, s := range []string{"", "90", "91ccc8", "92ccc8", "92a390", "926390", "92cd03e890", "92ff90", "92cfffffffffffffffff90", "92ccc880", "92ccc89000", "93ccc890"} {
		h, err := httpwire.ParseHead(unhex(t, s))
		if err == nil || !strings.HasPrefix(err.Error(), "cannot read head of HTTP response: ") {
			t.Errorf("%q: %+v, %v", s, h, err)
		}
	}
}

func TestEmptyEnds(t *testing.T) {
	for version, want := range map[string]bool{"1.0": false, "1.1": true} {
		h := httpwire.Head{Status: 200, Fields: []httpwire.Field{{"X-Cocaine-HTTP-Proto-Version", version}}}
		if got, err := h.EmptyEnds(); got != want || err != nil {
			t.Errorf("%s: %t, %v", version, got, err)
		}
	}
	if got, err := new(httpwire.Head).EmptyEnds(); got || err != nil {
		t.Errorf("without a version: %t, %v", got, err)
	}
	h := httpwire.Head{Fields: []httpwire.Field{{httpwire.ProtoVersion, "2.0"}}}
	if got, err := h.EmptyEnds(); err == nil {
		t.Errorf("version 2.0: %t", got)
	}
}

func TestAppendHeader(t *testing.T) {
	h := http.Header{"Set-Cookie": {"b=2", "a=1"}, "Age": {"5"}}
	got := httpwire.AppendHeader([]httpwire.Field{{"x", "y"}}, h)
	want := []httpwire.Field{{"x", "y"}, {"Age", "5"}, {"Set-Cookie", "b=2"}, {"Set-Cookie", "a=1"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

// What can be read can be written, and reads the same again.
func FuzzParseRequest(f *testing.F) {
	for _, s := range []string{
		"95a3474554a52f3f783d31a3312e319192a4486f7374a178a0", "96d903474554a12fa8485454502f312e31dc000292a161a13192a161c40132c40178c0",
		"95a0a0a09192a005a0", "95a0a0a0ddffffffffa0",
	} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := httpwire.ParseRequest(b)
		if err != nil {
			return
		}
		again, err := httpwire.ParseRequest(httpwire.AppendRequest(nil, &q))
		if err != nil || !reflect.DeepEqual(again, q) {
			t.Fatalf("%+v became %+v, %v", q, again, err)
		}
	})
}

// FuzzParseHead is the same for heads.
func FuzzParseHead(f *testing.F) {
	for _, s := range []string{"92ccc89192ac436f6e74656e742d54797065aa746578742f706c61696e", "93cd01949292a1610592a162ff90", "92640090"} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := httpwire.ParseHead(b)
		if err != nil {
			return
		}
		_, _ = h.EmptyEnds() // does not panic
		again, err := httpwire.ParseHead(httpwire.AppendHead(nil, &h))
		if err != nil || !reflect.DeepEqual(again, h) {
			t.Fatalf("%+v became %+v, %v", h, again, err)
		}
	})
}
