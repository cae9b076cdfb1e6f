package cocaine_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/idl"
)

var errItem = errors.New("item")

// items is the sequence of these, of which the errors are errors.
func items(list ...any) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for _, item := range list {
			v, _ := item.(int)
			err, _ := item.(error)
			if !yield(v, err) {
				return
			}
		}
	}
}

// written is a sequence written down. Errors are marked by !.
func written[T any](seq iter.Seq2[T, error]) []string {
	var list []string
	for v, err := range seq {
		if err != nil {
			list = append(list, "!"+err.Error())
		} else {
			list = append(list, fmt.Sprint(v))
		}
	}
	return list
}

func wantItems[T any](t *testing.T, seq iter.Seq2[T, error], want ...string) {
	t.Helper()
	if got := written(seq); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func double(v int) (int, error) { return 2 * v, nil }

func TestMapErrorPerItem(t *testing.T) {
	odd := func(v int) (string, error) {
		if v%2 == 0 {
			return "even", errItem
		}
		return strconv.Itoa(v), nil
	}
	wantItems(t, cocaine.Map(items(1, 2, 3), odd), "1", "!item", "3")
	wantItems(t, cocaine.Map(items(1, errItem, 3), double), "2", "!item", "6")
}

func TestMapResultRecovers(t *testing.T) {
	recovered := cocaine.MapResult(items(1, errItem, 3), func(v int, err error) (int, error) {
		if err == errItem {
			return -1, nil
		}
		return v, err
	})
	wantItems(t, recovered, "1", "-1", "3")
	swapped := cocaine.MapResult(items(1, errItem), func(v int, err error) (string, error) {
		if err != nil {
			return "saved", nil
		}
		return "", errors.New("spoilt")
	})
	wantItems(t, swapped, "!spoilt", "saved")
}

func TestMapEndsOnce(t *testing.T) {
	calls := 0
	count := func(v int, err error) (int, error) { calls++; return v, err }
	seq := cocaine.MapResult(cocaine.MapResult(items(1, errItem), count), count)
	wantItems(t, seq, "1", "!item")
	if calls != 4 {
		t.Errorf("two steps were called %d times for two items: the end is no item", calls)
	}
	wantItems(t, cocaine.MapResult(items(), count))
}

// A step may wait, on a service or whatever, and the order is kept.
func TestMapOrderKept(t *testing.T) {
	waits := func(v int) (int, error) {
		return cocaine.Go(t.Context(), after(time.Duration(4-v)*time.Millisecond, v, nil)).Wait(patient(t))
	}
	wantItems(t, cocaine.Map(items(1, 2, 3), waits), "1", "2", "3")
}

func TestMapCompose(t *testing.T) {
	seq := cocaine.Map(items(1, 2, 3, 4, 5), double)
	seq = cocaine.Filter(seq, func(v int) bool { return v != 6 })
	text := cocaine.Map(seq, func(v int) (string, error) { return "<" + strconv.Itoa(v) + ">", nil })
	parallel := cocaine.MapParallel(t.Context(), 2, text, func(_ context.Context, s string) (int, error) { return len(s), nil })
	wantItems(t, text, "<2>", "<4>", "<8>", "<10>")
	wantItems(t, parallel, "3", "3", "3", "4")
}

func TestMapErrorSkips(t *testing.T) {
	never := func(int) (int, error) { t.Error("a step got an error"); return 0, nil }
	last := cocaine.MapResult(cocaine.Map(cocaine.Map(items(errItem), never), never), func(_ int, err error) (string, error) {
		return "saw " + err.Error(), nil
	})
	wantItems(t, last, "saw item")
	wantItems(t, cocaine.Filter(items(errItem), func(int) bool { t.Error("a filter got an error"); return false }), "!item")
}

// An error of the service ends its stream: it is the last item.
func TestMapErrorThenEnd(t *testing.T) {
	var got []int
	var last error
	for v, err := range cocaine.Map(cocaine.Chunks[int](patient(t), counter(t), "notify_every", 3.0), double) {
		if last = err; err == nil {
			got = append(got, v)
		}
	}
	if !slices.Equal(got, []int{0, 2, 4}) || !errors.Is(last, &cocaine.Error{Category: idl.CategoryUser, Code: 1}) {
		t.Errorf("got %v and %v", got, last)
	}
}

func TestMapChunks(t *testing.T) {
	wantItems(t, cocaine.Map(cocaine.Chunks[int](patient(t), counter(t), "notify_every", 4.0), double), "0", "2", "4", "6")
}

func TestCollect(t *testing.T) {
	for _, c := range []struct {
		seq  iter.Seq2[int, error]
		want []int
		err  error
	}{
		{cocaine.Values(1, 2, 3), []int{1, 2, 3}, nil},
		{cocaine.Values[int](), nil, nil},
		{items(1, 2, errItem, 4), []int{1, 2}, errItem},
	} {
		for range 2 { // sequences of known values may be ranged over again
			if got, err := cocaine.Collect(c.seq); !slices.Equal(got, c.want) || err != c.err {
				t.Errorf("got %v, %v, want %v, %v", got, err, c.want, c.err)
			}
		}
	}
}

// naturals is a sequence without an end that tells when it is left.
func naturals(left *int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		defer func() { *left++ }()
		for i := 0; yield(i, nil); i++ {
		}
	}
}

func TestBreakLeavesTheSource(t *testing.T) {
	for name, over := range map[string]func(iter.Seq2[int, error]) iter.Seq2[int, error]{
		"Map": func(s iter.Seq2[int, error]) iter.Seq2[int, error] { return cocaine.Map(s, double) },
		"Filter": func(s iter.Seq2[int, error]) iter.Seq2[int, error] {
			return cocaine.Filter(s, func(int) bool { return true })
		},
		"MapParallel": func(s iter.Seq2[int, error]) iter.Seq2[int, error] {
			return cocaine.MapParallel(t.Context(), 3, s, func(_ context.Context, v int) (int, error) { return v, nil })
		},
	} {
		left := 0
		for v, err := range over(over(naturals(&left))) {
			if v == 8 || err != nil {
				break
			}
		}
		if left != 1 {
			t.Errorf("%s: the source was left %d times", name, left)
		}
	}
	left := 0
	_, err := cocaine.Collect(cocaine.Map(naturals(&left), func(v int) (int, error) { return 0, errItem }))
	if err != errItem || left != 1 {
		t.Errorf("Collect: %v, the source was left %d times", err, left)
	}
}
