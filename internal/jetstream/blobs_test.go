package jetstream_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cocaine/cocaine-go/internal/jetstream"
)

func openBlobs(t *testing.T) *jetstream.Blobs {
	t.Helper()
	b, err := open(t, t.TempDir()).Blobs(t.Context(), "large")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func randomBytes(n int) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{}).Read(p)
	return p
}

func TestBlobs(t *testing.T) {
	const chunk = 512 << 10
	b := openBlobs(t)
	for i, size := range []int{0, 1, chunk - 1, chunk, chunk + 1, 6*chunk + 7} {
		name := string(rune('a' + i))
		value := randomBytes(size)
		n, err := b.Put(t.Context(), name, iotest.HalfReader(bytes.NewReader(value)))
		if err != nil || n != int64(size) {
			t.Fatalf("Put of %d bytes: %d, %v", size, n, err)
		}
		r, n, err := b.Get(t.Context(), name)
		if err != nil || n != int64(size) {
			t.Fatalf("Get of %d bytes: %d, %v", size, n, err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, value) {
			t.Errorf("%d bytes come back as %d others, %v", size, len(got), err)
		}
	}
	list, err := b.List(t.Context())
	if err != nil || len(list) != 6 {
		t.Errorf("List: %v, %v", list, err)
	}
	for _, info := range list {
		if !info.Complete {
			t.Errorf("blob %s is incomplete", info.Name)
		}
		if err := b.Delete(t.Context(), info.Name); err != nil {
			t.Error(err)
		}
		if _, _, err := b.Get(t.Context(), info.Name); !errors.Is(err, jetstream.ErrNotFound) {
			t.Errorf("Get of a deleted blob: %v", err)
		}
	}
	if list, err := b.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("after deleting all List: %v, %v", list, err)
	}
	if err := b.Delete(t.Context(), "a"); err != nil {
		t.Errorf("Delete of a deleted blob: %v", err)
	}
}

func TestFailedPutLeavesNothing(t *testing.T) {
	b := openBlobs(t)
	broken := errors.New("broken")
	source := io.MultiReader(bytes.NewReader(randomBytes(2<<20)), iotest.ErrReader(broken))
	if _, err := b.Put(t.Context(), "a", source); !errors.Is(err, broken) {
		t.Errorf("Put from a broken source: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	source = io.MultiReader(bytes.NewReader(randomBytes(2<<20)), readerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil }))
	if _, err := b.Put(ctx, "b", source); !errors.Is(err, context.Canceled) {
		t.Errorf("Put with an ended context: %v", err)
	}
	for _, name := range []string{"a", "b"} {
		if _, _, err := b.Get(t.Context(), name); !errors.Is(err, jetstream.ErrNotFound) {
			t.Errorf("Get of a blob that was not finished: %v", err)
		}
	}
}

func TestBlobDeletedWhileItIsRead(t *testing.T) {
	b := openBlobs(t)
	if _, err := b.Put(t.Context(), "a", bytes.NewReader(randomBytes(3<<20))); err != nil {
		t.Fatal(err)
	}
	r, _, err := b.Get(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, r, 1000); err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, jetstream.ErrNotFound) {
		t.Errorf("read of a deleted blob: %v", err)
	}
}

func TestBlobNames(t *testing.T) {
	b := openBlobs(t)
	if _, err := b.Put(t.Context(), "a", strings.NewReader("1")); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "a.b", "*", ">", "a b"} {
		if _, err := b.Put(t.Context(), bad, strings.NewReader("1")); err == nil {
			t.Errorf("Put(%q) succeeds", bad)
		}
		if err := b.Delete(t.Context(), bad); err == nil {
			t.Errorf("Delete(%q) succeeds", bad)
		}
		if _, _, err := b.Get(t.Context(), bad); err == nil {
			t.Errorf("Get(%q) succeeds", bad)
		}
	}
	if _, _, err := b.Get(t.Context(), "a"); err != nil {
		t.Errorf("Get after bad names: %v", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
