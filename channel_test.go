package cocaine_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go"
)

func TestChan(t *testing.T) {
	var got []cocaine.Result[int]
	for r := range cocaine.Chan(t.Context(), items(1, errItem, 3)) {
		got = append(got, r)
	}
	if len(got) != 3 || got[0].Value != 1 || got[1].Err != errItem || got[2].Value != 3 {
		t.Errorf("got %v", got)
	}
	back := cocaine.FromChan(t.Context(), cocaine.Chan(t.Context(), items(1, errItem, 3)))
	wantItems(t, cocaine.Map(back, cocaine.Result[int].Get), "1", "!item", "3")
	panics := func(func(int, error) bool) { panic("source") }
	wantItems(t, cocaine.Map(cocaine.FromChan(t.Context(), cocaine.Chan(t.Context(), panics)), cocaine.Result[int].Get), "!panic: source")
}

func TestChanContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	left := 0
	c := cocaine.Chan(ctx, naturals(&left))
	if r := await(t, c, "an item"); r.Value != 0 || r.Err != nil {
		t.Errorf("got %v", r)
	}
	cancel()
	for range c { // up to one more may be on its way
	}
	if left != 1 {
		t.Errorf("the source was left %d times", left)
	}
}

func TestFromChan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := make(chan string, 3)
		c <- "a"
		c <- "b"
		for v, err := range cocaine.FromChan(t.Context(), c) {
			if v != "a" || err != nil {
				t.Errorf("got %q, %v", v, err)
			}
			break
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantItems(t, cocaine.FromChan(ctx, c), "b", "!context deadline exceeded")
		c <- "c"
		close(c)
		wantItems(t, cocaine.FromChan(t.Context(), c), "c")
		ended, stop := context.WithCancelCause(t.Context())
		stop(io.ErrNoProgress)
		wantItems(t, cocaine.FromChan(ended, c), "!"+io.ErrNoProgress.Error())
	})
}
