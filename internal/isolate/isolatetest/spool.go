package isolatetest

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cocaine/cocaine-go/internal/archive"
	"github.com/cocaine/cocaine-go/internal/isolate"
)

// testSpool deploys two releases of a script, runs both, and sees that the first
// one's worker does not notice the second.
func testSpool(t *testing.T, iso isolate.SpoolingIsolate) {
	first := release(t, "first")
	dir, err := iso.Spool(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	out := runScript(t, iso, dir)
	if !slices.Equal(out, []string{"release first"}) {
		t.Errorf("printed %q", out)
	}
	second, err := iso.Spool(t.Context(), release(t, "second"))
	if err != nil {
		t.Fatal(err)
	}
	if out := runScript(t, iso, second); !slices.Equal(out, []string{"release second"}) {
		t.Errorf("printed %q", out)
	}
	if out := runScript(t, iso, dir); !slices.Equal(out, []string{"release first"}) {
		t.Errorf("the first release now prints %q", out)
	}
	first.Open = func(context.Context) (io.ReadCloser, error) {
		t.Error("a release that is there was opened again")
		return nil, os.ErrInvalid
	}
	if again, err := iso.Spool(t.Context(), first); err != nil || again != dir {
		t.Errorf("spooled again to %s, %v", again, err)
	}
}

// release is an archive with a script that reads a file next to it.
func release(t *testing.T, name string) isolate.Spec {
	t.Helper()
	src := t.TempDir()
	for file, body := range map[string]string{"run.sh": "#!/bin/sh\necho release $(cat name)\n", "name": name} {
		if err := os.WriteFile(filepath.Join(src, file), []byte(body), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var buf bytes.Buffer
	summary, err := archive.Pack(t.Context(), &buf, src, archive.PackOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return isolate.Spec{App: "hello", Digest: summary.Digest, Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(&buf), nil
	}}
}

func runScript(t *testing.T, iso isolate.Isolate, dir string) []string {
	t.Helper()
	printed := NewPrinted(t)
	p := Start(t, iso, isolate.Spawn{App: "hello", Worker: "w", Dir: dir, Path: "run.sh", Output: printed.Output})
	if exit := Wait(t, p); exit.Code != 0 {
		t.Fatalf("%v, stderr %q", exit, printed.Stderr())
	}
	return printed.Stdout()
}
