package isolate_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cocaine/cocaine-go/internal/archive"
	"github.com/cocaine/cocaine-go/internal/isolate"
)

// code is an archive with one file, and its digest.
func code(t testing.TB, body string) ([]byte, string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "worker"), []byte(body), 0o755); err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	summary, err := archive.Pack(t.Context(), &buf, dir, archive.PackOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes(), summary.Digest
}

func newSpooler(t testing.TB, dir string, o isolate.SpoolerOptions) *isolate.Spooler {
	t.Helper()
	o.Dir = dir
	s := isolate.NewSpooler(o)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// spool spools and insists on success.
func spool(t testing.TB, s *isolate.Spooler, app, body string) (dir, digest string) {
	t.Helper()
	data, digest := code(t, body)
	dir, err := s.Spool(t.Context(), app, digest, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "worker")); string(got) != body || err != nil {
		t.Fatalf("worker holds %q, %v", got, err)
	}
	return dir, digest
}

// names lists a directory.
func names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestSpoolLayout(t *testing.T) {
	root := t.TempDir()
	s := newSpooler(t, root, isolate.SpoolerOptions{})
	dir, digest := spool(t, s, "hello", "v1")
	if want := filepath.Join(root, "hello", digest[:32]); dir != want {
		t.Errorf("dir %s, want %s", dir, want)
	}
	if got := names(t, filepath.Join(root, "hello")); !slices.Equal(got, []string{digest[:32], "current"}) && !slices.Equal(got, []string{"current", digest[:32]}) {
		t.Errorf("app's directory holds %v", got)
	}
	if target, _ := os.Readlink(filepath.Join(root, "hello", "current")); target != digest[:32] {
		t.Errorf("current leads to %s", target)
	}
	second, _ := spool(t, s, "hello", "v2")
	if target, _ := os.Readlink(filepath.Join(root, "hello", "current")); target != filepath.Base(second) {
		t.Errorf("current leads to %s after v2", target)
	}
	if _, err := os.Stat(filepath.Join(dir, "worker")); err != nil {
		t.Errorf("v1 is gone under the feet of its workers: %v", err)
	}
}

// explosive fails the test when it is read.
type explosive struct{ t *testing.T }

func (e explosive) Read([]byte) (int, error) {
	e.t.Error("the archive was read")
	return 0, io.EOF
}

func TestSpoolReusesARelease(t *testing.T) {
	root := t.TempDir()
	s := newSpooler(t, root, isolate.SpoolerOptions{})
	first, digest := spool(t, s, "hello", "v1")
	again, err := s.Spool(t.Context(), "hello", digest, explosive{t})
	if err != nil || again != first {
		t.Errorf("second Spool: %s, %v", again, err)
	}
	// Also with a digest that only the archive tells.
	data, _ := code(t, "v1")
	unknown, err := s.Spool(t.Context(), "hello", "", bytes.NewReader(data))
	if err != nil || unknown != first {
		t.Errorf("without digest: %s, %v", unknown, err)
	}
	// And by the next runtime.
	s.Close()
	next := newSpooler(t, root, isolate.SpoolerOptions{})
	if dir, err := next.Spool(t.Context(), "hello", digest, explosive{t}); err != nil || dir != first {
		t.Errorf("next runtime: %s, %v", dir, err)
	}
}

func TestSpoolRefuses(t *testing.T) {
	good, digest := code(t, "v1")
	other := strings.Repeat("0", 64)
	var evil bytes.Buffer
	fmt.Fprint(&evil, "no archive")
	tests := []struct {
		name, app, digest string
		archive           []byte
		want              error
	}{
		{"another archive", "a", other, good, isolate.ErrDigest},
		{"no digest", "a", "xyz", good, isolate.ErrDigest},
		{"upper case digest", "a", strings.ToUpper(digest), good, isolate.ErrDigest},
		{"no archive", "a", "", evil.Bytes(), archive.ErrFormat},
		{"truncated", "a", "", good[:len(good)-30], archive.ErrFormat},
		{"bytes after the end", "a", "", append(bytes.Clone(good), make([]byte, 2<<20)...), archive.ErrFormat},
		{"too large", "a", digest, good, archive.ErrTooLarge},
		{"path as name", "../a", digest, good, isolate.ErrAppName},
		{"slash in name", "a/b", digest, good, isolate.ErrAppName},
		{"empty name", "", digest, good, isolate.ErrAppName},
		{"hidden name", ".new-x", digest, good, isolate.ErrAppName},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			var limits archive.Limits
			if tt.want == archive.ErrTooLarge {
				limits.MaxBytes = 1
			}
			s := newSpooler(t, root, isolate.SpoolerOptions{Limits: limits})
			_, err := s.Spool(t.Context(), tt.app, tt.digest, bytes.NewReader(tt.archive))
			if !errors.Is(err, tt.want) || !strings.HasPrefix(fmt.Sprint(err), "cannot spool app ") {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if entries, err := os.ReadDir(filepath.Join(root, "a")); err == nil && len(entries) != 0 {
				t.Errorf("left behind: %v", entries)
			}
		})
	}
}

func TestSpoolIsCancelled(t *testing.T) {
	root := t.TempDir()
	s := newSpooler(t, root, isolate.SpoolerOptions{})
	data, digest := code(t, strings.Repeat("v1", 1<<16))
	ctx, cancel := context.WithCancel(t.Context())
	_, err := s.Place(ctx, isolate.Spec{App: "hello", Digest: digest, Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(data[:20]), onRead(cancel), bytes.NewReader(data[20:]))), nil
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want canceled", err)
	}
	if got := names(t, filepath.Join(root, "hello")); len(got) != 0 {
		t.Errorf("left behind: %v", got)
	}
	spool(t, s, "hello", "v2") // the app is not stuck
}

// onRead calls f when it is read, and is empty.
type onRead func()

func (f onRead) Read([]byte) (int, error) { f(); return 0, io.EOF }

// Many callers want one release at once: one of them unpacks.
func TestSpoolIsSingleFlight(t *testing.T) {
	s := newSpooler(t, t.TempDir(), isolate.SpoolerOptions{})
	data, digest := code(t, "v1")
	var opened atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			_, err := s.Place(t.Context(), isolate.Spec{App: "hello", Digest: digest, Open: func(context.Context) (io.ReadCloser, error) {
				opened.Add(1)
				return io.NopCloser(bytes.NewReader(data)), nil
			}})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if opened.Load() != 1 {
		t.Errorf("%d archives opened, want 1", opened.Load())
	}
}

// A caller that gives up while another one unpacks does not wait for it, and
// a failed attempt does not fail the next in line.
func TestSpoolWaitersAreIndependent(t *testing.T) {
	s := newSpooler(t, t.TempDir(), isolate.SpoolerOptions{})
	data, digest := code(t, "v1")
	opened, proceed := make(chan struct{}), make(chan struct{})
	broken := errors.New("storage is gone")
	first := make(chan error, 1)
	go func() {
		_, err := s.Place(t.Context(), isolate.Spec{App: "hello", Digest: digest, Open: func(context.Context) (io.ReadCloser, error) {
			close(opened)
			<-proceed
			return nil, broken
		}})
		first <- err
	}()
	<-opened
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Spool(gone, "hello", digest, bytes.NewReader(data)); !errors.Is(err, context.Canceled) {
		t.Errorf("impatient caller: %v", err)
	}
	if _, err := s.Spool(t.Context(), "other", digest, bytes.NewReader(data)); err != nil {
		t.Errorf("another app waits too: %v", err)
	}
	second := make(chan error, 1)
	go func() {
		_, err := s.Spool(t.Context(), "hello", digest, bytes.NewReader(data))
		second <- err
	}()
	close(proceed)
	if err := <-first; !errors.Is(err, broken) {
		t.Errorf("first: %v", err)
	}
	if err := <-second; err != nil {
		t.Errorf("second: %v", err)
	}
}

func TestKeepCollects(t *testing.T) {
	tests := []struct {
		name  string
		spare int
		inUse []int // versions
		want  []int // v5 is current
	}{
		{"default spares two", 0, nil, []int{3, 4, 5}},
		{"in use", 1, []int{1}, []int{1, 4, 5}},
		{"no spares", -1, []int{2, 3}, []int{2, 3, 5}},
		{"all in use", -1, []int{1, 2, 3, 4, 5}, []int{1, 2, 3, 4, 5}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			s := newSpooler(t, root, isolate.SpoolerOptions{Spare: tt.spare})
			digests := map[int]string{}
			for v := 1; v <= 5; v++ {
				_, digests[v] = spool(t, s, "hello", fmt.Sprint("v", v))
			}
			app := filepath.Join(root, "hello")
			os.Mkdir(filepath.Join(app, "logs"), 0o755) // not ours
			var inUse []string
			for _, v := range tt.inUse {
				inUse = append(inUse, digests[v])
			}
			s.Keep("hello", inUse...)
			s.Close() // waits for the collection
			want := []string{"current", "logs"}
			for _, v := range tt.want {
				want = append(want, digests[v][:32])
			}
			slices.Sort(want)
			if got := names(t, app); !slices.Equal(got, want) {
				t.Errorf("left %v, want %v", got, want)
			}
		})
	}
}

// Close may come before the collection had its turn; then it is left to the next.
func TestKeepAfterCloseIsHarmless(t *testing.T) {
	s := newSpooler(t, t.TempDir(), isolate.SpoolerOptions{})
	spool(t, s, "hello", "v1")
	s.Close()
	s.Keep("hello")
	if _, err := s.Spool(t.Context(), "hello", "", strings.NewReader("")); !errors.Is(err, isolate.ErrSpoolerClosed) {
		t.Errorf("Spool after Close: %v", err)
	}
}

func TestRemove(t *testing.T) {
	root, elsewhere := t.TempDir(), t.TempDir()
	s := newSpooler(t, root, isolate.SpoolerOptions{})
	spool(t, s, "hello", "v1")
	spool(t, s, "stays", "v1")
	data, digest := code(t, "v2")
	dir, err := s.Place(t.Context(), isolate.Spec{
		App: "hello", Digest: digest, Settings: map[string]any{"spool": elsewhere},
		Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil },
	})
	if err != nil || !strings.HasPrefix(dir, elsewhere) {
		t.Fatalf("spooled to %s, %v", dir, err)
	}
	if err := s.Remove(t.Context(), "hello"); err != nil {
		t.Fatal(err)
	}
	if got := names(t, root); !slices.Equal(got, []string{".lock", "stays"}) {
		t.Errorf("left %v", got)
	}
	if got := names(t, elsewhere); !slices.Equal(got, []string{".lock"}) {
		t.Errorf("left %v elsewhere", got)
	}
	spool(t, s, "hello", "v1") // and can be had again
}

func TestLeftoversOfACrashAreRemoved(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"hello/.new-1/deep", "hello/.old-2/deep", ".old-gone/deep"} {
		if err := os.MkdirAll(filepath.Join(root, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := newSpooler(t, root, isolate.SpoolerOptions{})
	_, digest := spool(t, s, "hello", "v1")
	want := []string{digest[:32], "current"}
	slices.Sort(want)
	if got := names(t, filepath.Join(root, "hello")); !slices.Equal(got, want) {
		t.Errorf("app holds %v", got)
	}
	if got := names(t, root); !slices.Equal(got, []string{".lock", "hello"}) {
		t.Errorf("spool holds %v", got)
	}
}

// A second runtime must not take the first one's half-unpacked code for leftovers.
func TestOneRuntimePerDirectory(t *testing.T) {
	root := t.TempDir()
	first := newSpooler(t, root, isolate.SpoolerOptions{})
	spool(t, first, "hello", "v1")
	data, digest := code(t, "v1")
	second := newSpooler(t, root, isolate.SpoolerOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error, 1)
	go func() {
		_, err := second.Spool(ctx, "hello", digest, bytes.NewReader(data))
		waiting <- err
	}()
	cancel()
	if err := <-waiting; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled while waiting: %v", err)
	}
	go func() {
		_, err := second.Spool(t.Context(), "hello", digest, bytes.NewReader(data))
		waiting <- err
	}()
	first.Close() // the predecessor shuts down: the second gets its turn
	if err := <-waiting; err != nil {
		t.Errorf("after the first closed: %v", err)
	}
}

func TestTakenDirectoryNamesItsHolder(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for five seconds")
	}
	root := t.TempDir()
	spool(t, newSpooler(t, root, isolate.SpoolerOptions{}), "hello", "v1")
	data, digest := code(t, "v1")
	_, err := newSpooler(t, root, isolate.SpoolerOptions{}).Spool(t.Context(), "hello", digest, bytes.NewReader(data))
	if !errors.Is(err, isolate.ErrSpoolTaken) || !strings.Contains(err.Error(), fmt.Sprintf("(process %d)", os.Getpid())) {
		t.Errorf("got %v", err)
	}
}

func TestSpoolTellsProgress(t *testing.T) {
	s := newSpooler(t, t.TempDir(), isolate.SpoolerOptions{})
	data, digest := code(t, "v1")
	var last archive.Progress
	_, err := s.Place(t.Context(), isolate.Spec{
		App: "hello", Digest: digest, Progress: func(p archive.Progress) { last = p },
		Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil },
	})
	if err != nil || last.Name != "worker" || last.Bytes != 2 {
		t.Errorf("last %+v, %v", last, err)
	}
}

func TestSpoolReportsTheDirectory(t *testing.T) {
	root := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(root, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	data, digest := code(t, "v1")
	_, err := newSpooler(t, root, isolate.SpoolerOptions{}).Spool(t.Context(), "hello", digest, bytes.NewReader(data))
	if _, ok := errors.AsType[*fs.PathError](err); !ok {
		t.Errorf("got %v", err)
	}
}

func TestDigestIsSha256OfTheArchive(t *testing.T) {
	data, digest := code(t, "v1")
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != digest {
		t.Error("Pack and Spool disagree about digests")
	}
}
