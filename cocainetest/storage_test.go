package cocainetest_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/cocainetest"
)

func TestStorage(t *testing.T) {
	rt := cocainetest.NewRuntime(t)
	rt.Service("storage", cocainetest.Storage())
	ctx, storage := t.Context(), rt.Client().Storage()
	for key, tags := range map[string][]string{"b": {"x", "y"}, "a": {"x"}, "c": nil} {
		if err := storage.Write(ctx, "col", key, []byte("value of "+key), tags...); err != nil {
			t.Fatal(err)
		}
	}
	if v, err := storage.Read(ctx, "col", "a"); err != nil || string(v) != "value of a" {
		t.Errorf("read: %q, %v", v, err)
	}
	for _, c := range []struct {
		tags, want []string
	}{{[]string{"x"}, []string{"a", "b"}}, {[]string{"x", "y"}, []string{"b"}}, {nil, nil}, {[]string{"z"}, nil}} {
		if keys, err := storage.Find(ctx, "col", c.tags...); err != nil || !slices.Equal(keys, c.want) {
			t.Errorf("find %v: %v, %v", c.tags, keys, err)
		}
	}
	for range 2 {
		if err := storage.Remove(ctx, "col", "a"); err != nil {
			t.Errorf("remove: %v", err)
		}
	}
	if _, err := storage.Read(ctx, "col", "a"); !errors.Is(err, cocaine.ErrNotFound) {
		t.Errorf("read of what was removed: %v", err)
	}
}
