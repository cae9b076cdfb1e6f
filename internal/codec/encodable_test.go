package codec

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

type hidden struct {
	Done   chan int `codec:"-"`
	Call   func()   `json:"-"`
	notify chan int
	Next   *hidden `codec:"next,omitempty"`
	At     time.Time
}

type embedded struct{ hidden }

// What is no value is not written as one.
func TestNoFormInMsgpack(t *testing.T) {
	full := make(chan int, 1)
	full <- 5
	for name, v := range map[string]any{
		"function":             func() {},
		"nil function":         (func())(nil),
		"pointer to function":  new(func()),
		"channel":              full,
		"list of channels":     []chan int{full},
		"function in a list":   []any{1, func() {}},
		"function in a map":    map[string]any{"a": []any{func() {}}},
		"map of functions":     map[string]func(){},
		"function in a struct": struct{ F func() }{},
		"channel further down": struct{ L []struct{ C chan int } }{},
		"complex number":       complex(1, 2),
	} {
		dst := []byte("kept")
		if b, err := AppendArgs(dst, 1, v); err == nil || !strings.Contains(err.Error(), "argument 2: cannot encode") || !bytes.Equal(b, dst) {
			t.Errorf("%s: %x, %v", name, b, err)
		}
		if _, _, err := Msgpack.EncodeChunk(nil, v); err == nil {
			t.Errorf("%s: taken as a chunk", name)
		}
	}
	if len(full) != 1 {
		t.Error("the channel was read")
	}
	for name, v := range map[string]any{
		"left out":  hidden{Done: full, Call: func() {}, notify: full},
		"recursive": &hidden{Next: &hidden{}},
		"embedded":  embedded{},
		"time":      time.Now(),
	} {
		if _, err := AppendArgs(nil, v); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Types that were seen before cost nothing.
func TestEncodableAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates: make test runs this without it, too")
	}
	v := &record{Name: "n"}
	if err := encodable(v); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { _ = encodable(v) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
