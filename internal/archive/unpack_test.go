package archive_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cocaine/cocaine-go/internal/archive"
)

func unpack(t testing.TB, data []byte, o archive.UnpackOptions) (string, archive.Summary, error) {
	t.Helper()
	dst := filepath.Join(t.TempDir(), "code")
	summary, err := archive.Unpack(t.Context(), bytes.NewReader(data), dst, o)
	return dst, summary, err
}

// What an archive of an app legitimately holds, in every container it may come in.
func TestUnpack(t *testing.T) {
	plain := makeTar(t,
		dir("./"), dir("bin/"), member{name: "bin/worker", typ: tar.TypeReg, body: "#!/bin/sh\n", mode: 0o755},
		regular("./deep/er/file", "x"), symlink("bin/w", "worker"), symlink("deep/up", "../bin/worker"),
		symlink("dangling", "deep/nothing"), hardlink("copy", "deep/er/file"), regular("empty", ""),
		symlink("self", "self"), regular("deep/er/file", "replaced"),
	)
	want := map[string]string{
		"bin/": "", "bin/worker": "#!/bin/sh\n", "deep/": "", "deep/er/": "", "deep/er/file": "replaced",
		"bin/w": "->worker", "deep/up": "->../bin/worker", "dangling": "->deep/nothing", "copy": "x", "empty": "",
		"self": "->self",
	}
	containers := map[string][]byte{
		"tar": plain, "tar.gz": gzipped(t, plain), "zlib": zlibbed(t, plain),
		"without end": plain[:len(plain)-1024],
	}
	for name, data := range containers {
		t.Run(name, func(t *testing.T) {
			dst, summary, err := unpack(t, data, archive.UnpackOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got := read(t, dst); !maps.Equal(got, want) {
				t.Errorf("unpacked %v\nwant     %v", got, want)
			}
			if summary.Bytes != 19 || summary.Files != 13 {
				t.Errorf("summary %+v", summary)
			}
		})
	}
	// The archives of the original cocaine-tool begin with their own directory, which has no name but a slash.
	t.Run("cocaine-tool", func(t *testing.T) {
		data := gzipped(t, makeTar(t, dir("/"), dir("bin/"), regular("bin/worker", "x")))
		dst, _, err := unpack(t, data, archive.UnpackOptions{})
		if got := read(t, dst); err != nil || !maps.Equal(got, map[string]string{"bin/": "", "bin/worker": "x"}) {
			t.Errorf("unpacked %v, %v", got, err)
		}
	})
	t.Run("bzip2", func(t *testing.T) {
		data, err := os.ReadFile("testdata/hello.tar.bz2")
		if err != nil {
			t.Fatal(err)
		}
		dst, _, err := unpack(t, data, archive.UnpackOptions{})
		if got := read(t, dst); err != nil || !maps.Equal(got, map[string]string{"hello.txt": "hello\n"}) {
			t.Errorf("unpacked %v, %v", got, err)
		}
	})
}

// Every way out of the destination that is known, and what names it.
func TestUnpackRefuses(t *testing.T) {
	device := func(typ byte) member { return member{name: "dev", typ: typ} }
	tests := []struct {
		name    string
		members []member
		want    error
		entry   string
	}{
		{"parent", []member{regular("../x", "!")}, archive.ErrPath, "../x"},
		{"hidden parent", []member{regular("a/../../x", "!")}, archive.ErrPath, "a/../../x"},
		{"parent that returns", []member{regular("a/../x", "!")}, archive.ErrPath, "a/../x"},
		{"absolute", []member{regular("/etc/x", "!")}, archive.ErrPath, "/etc/x"},
		{"absolute directory", []member{dir("/x/")}, archive.ErrPath, "/x/"},
		{"absolute through the root", []member{dir("/"), regular("//x", "!")}, archive.ErrPath, "//x"},
		{"parent as directory", []member{dir("../")}, archive.ErrPath, "../"},
		{"symlink absolute", []member{symlink("l", "/etc/passwd")}, archive.ErrLink, "l"},
		{"symlink up", []member{symlink("l", "../x")}, archive.ErrLink, "l"},
		{"symlink deep up", []member{symlink("a/b/l", "../../../x")}, archive.ErrLink, "a/b/l"},
		{"symlink down and up", []member{symlink("l", "a/../../x")}, archive.ErrLink, "l"},
		{"symlink empty", []member{symlink("l", "")}, archive.ErrLink, "l"},
		// By its spelling a/b/l stays inside; through a/b/s it does not.
		{"symlink through symlink", []member{symlink("a/b/s", "../.."), symlink("a/b/l", "s/../x")}, archive.ErrLink, "a/b/l"},
		{"symlink through later symlink", []member{symlink("a/b/l", "s/../x"), symlink("a/b/s", "../..")}, archive.ErrLink, "a/b/l"},
		{"hard link up", []member{hardlink("h", "../x")}, archive.ErrLink, "h"},
		{"hard link absolute", []member{hardlink("h", "/etc/passwd")}, archive.ErrLink, "h"},
		{"hard link to nothing", []member{hardlink("h", "missing")}, archive.ErrLink, "h"},
		// A second name in another directory would resolve the link from there.
		{"hard link to symlink", []member{symlink("a/b/s", "../../x"), hardlink("h", "a/b/s")}, archive.ErrLink, "h"},
		{"hard link to directory", []member{dir("d/"), hardlink("h", "d")}, archive.ErrLink, "h"},
		{"file through symlink", []member{dir("d/"), symlink("s", "d"), regular("s/x", "!")}, archive.ErrThroughLink, "s/x"},
		{"directory through symlink", []member{dir("d/"), symlink("s", "d"), dir("s/x/")}, archive.ErrThroughLink, "s/x/"},
		{"deep through symlink", []member{dir("d/"), symlink("s", "d"), regular("s/x/y", "!")}, archive.ErrThroughLink, "s/x/y"},
		{"file over symlink", []member{symlink("s", "d"), regular("s", "!")}, archive.ErrDuplicate, "s"},
		{"directory over symlink", []member{dir("d/"), symlink("s", "d"), dir("s/")}, archive.ErrDuplicate, "s/"},
		{"symlink over directory", []member{dir("d/"), symlink("d", "e")}, archive.ErrDuplicate, "d"},
		{"symlink over symlink", []member{symlink("s", "a"), symlink("s", "b")}, archive.ErrDuplicate, "s"},
		{"file below file", []member{regular("f", ""), regular("f/x", "!")}, archive.ErrDuplicate, "f/x"},
		{"file over root", []member{regular(".", "!")}, archive.ErrDuplicate, "."},
		{"char device", []member{device(tar.TypeChar)}, archive.ErrType, "dev"},
		{"block device", []member{device(tar.TypeBlock)}, archive.ErrType, "dev"},
		{"fifo", []member{device(tar.TypeFifo)}, archive.ErrType, "dev"},
		{"unknown type", []member{device('Z')}, archive.ErrType, "dev"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dst, _, err := unpack(t, gzipped(t, makeTar(t, tt.members...)), archive.UnpackOptions{})
			entry, ok := errors.AsType[*archive.EntryError](err)
			if !errors.Is(err, tt.want) || !ok || entry.Name != tt.entry {
				t.Fatalf("got %v, want %v about %q", err, tt.want, tt.entry)
			}
			if !strings.HasPrefix(err.Error(), "cannot unpack ") {
				t.Errorf("message %q", err)
			}
			around, _ := os.ReadDir(filepath.Dir(dst))
			if len(around) != 1 {
				t.Errorf("the destination's neighbours: %v", around)
			}
		})
	}
}

// The checks on names are not the only fence: with a link already in place, as
// if one had slipped through, the kernel-side resolution still holds.
func TestUnpackIntoAPreparedTrap(t *testing.T) {
	base := t.TempDir()
	outside, dst := filepath.Join(base, "outside"), filepath.Join(base, "dst")
	write(t, base, map[string]string{"outside/": "", "dst/trap": "->../outside", "dst/file": "->../outside/file"})
	for _, m := range []member{regular("trap/x", "!"), dir("trap/"), regular("file", "!")} {
		_, err := archive.Unpack(t.Context(), bytes.NewReader(makeTar(t, m)), dst, archive.UnpackOptions{})
		if err == nil {
			t.Errorf("%s was unpacked", m.name)
		}
	}
	if got := read(t, outside); len(got) != 0 {
		t.Errorf("outside now holds %v", got)
	}
}

func TestUnpackModes(t *testing.T) {
	dst, _, err := unpack(t, makeTar(t,
		member{name: "suid", typ: tar.TypeReg, mode: 0o6755},
		member{name: "sticky/", typ: tar.TypeDir, mode: 0o1777},
		member{name: "closed/", typ: tar.TypeDir, mode: 0o010},
		member{name: "closed/secret", typ: tar.TypeReg, mode: 0o010},
		member{name: "open", typ: tar.TypeReg, mode: 0o666},
	), archive.UnpackOptions{})
	if err != nil {
		t.Fatal(err)
	}
	umask := currentUmask(t)
	want := map[string]fs.FileMode{
		"suid": 0o755 &^ umask, "sticky": fs.ModeDir | 0o777&^umask, "open": 0o666 &^ umask,
		"closed": fs.ModeDir | 0o710&^umask, "closed/secret": 0o410 &^ umask, // the owner can always read and remove
	}
	for name, mode := range want {
		info, err := os.Lstat(filepath.Join(dst, name))
		if err != nil || info.Mode() != mode {
			t.Errorf("%s: mode %v, %v, want %v", name, info.Mode(), err, mode)
		}
	}
}

// currentUmask reads the umask without changing it.
func currentUmask(t *testing.T) fs.FileMode {
	t.Helper()
	path := filepath.Join(t.TempDir(), "probe")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o777)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return 0o777 &^ info.Mode().Perm()
}

func TestUnpackLimits(t *testing.T) {
	ten := make([]member, 10)
	for i := range ten {
		ten[i] = regular(strings.Repeat("f", i+1), "0123456789")
	}
	tests := []struct {
		name    string
		members []member
		limits  archive.Limits
		want    error
	}{
		{"just enough", ten, archive.Limits{MaxFiles: 10, MaxBytes: 100}, nil},
		{"one file too many", ten, archive.Limits{MaxFiles: 9}, archive.ErrTooManyFiles},
		{"one byte too many", ten, archive.Limits{MaxBytes: 99}, archive.ErrTooLarge},
		{"implied directories count", []member{regular("a/b/c/d/e/f", "")}, archive.Limits{MaxFiles: 5}, archive.ErrTooManyFiles},
		{"implied directories fit", []member{regular("a/b/c/d/e/f", "")}, archive.Limits{MaxFiles: 6}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := unpack(t, makeTar(t, tt.members...), archive.UnpackOptions{Limits: tt.limits})
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// zeros is an endless source that counts what was taken from it.
type zeros struct{ taken int64 }

func (z *zeros) Read(p []byte) (int, error) {
	clear(p)
	z.taken += int64(len(p))
	return len(p), nil
}

// A bomb is refused by what it claims, before a byte of it is unpacked; one that
// hides in what is skipped is refused by what it costs.
func TestUnpackBombs(t *testing.T) {
	const limit = 1 << 20
	t.Run("claims", func(t *testing.T) {
		var head bytes.Buffer
		w := tar.NewWriter(&head)
		if err := w.WriteHeader(&tar.Header{Name: "bomb", Typeflag: tar.TypeReg, Size: 1 << 40}); err != nil {
			t.Fatal(err)
		}
		body := &zeros{}
		dst := filepath.Join(t.TempDir(), "code")
		_, err := archive.Unpack(t.Context(), io.MultiReader(&head, body), dst, archive.UnpackOptions{Limits: archive.Limits{MaxBytes: limit}})
		if !errors.Is(err, archive.ErrTooLarge) {
			t.Fatalf("got %v", err)
		}
		if got := read(t, dst); len(got) != 0 || body.taken > 1<<17 {
			t.Errorf("unpacked %d files, read %d bytes", len(got), body.taken)
		}
	})
	t.Run("global headers without end", func(t *testing.T) {
		var one bytes.Buffer
		w := tar.NewWriter(&one)
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": strings.Repeat("x", 1000)}}); err != nil {
			t.Fatal(err)
		}
		w.Flush()
		endless := &repeat{data: one.Bytes()}
		_, err := archive.Unpack(t.Context(), endless, filepath.Join(t.TempDir(), "code"),
			archive.UnpackOptions{Limits: archive.Limits{MaxBytes: limit, MaxFiles: 10}})
		if !errors.Is(err, archive.ErrTooLarge) {
			t.Fatalf("got %v", err)
		}
	})
}

type repeat struct {
	data []byte
	at   int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := copy(p, r.data[r.at:])
	r.at = (r.at + n) % len(r.data)
	return n, nil
}

func TestUnpackDamaged(t *testing.T) {
	whole := gzipped(t, makeTar(t, regular("f", strings.Repeat("random? ", 500)), regular("g", "x")))
	tests := map[string][]byte{
		"empty": {}, "text": []byte("this is not an archive"), "truncated": whole[:len(whole)/2],
		"xz": []byte("\xfd7zXZ\x00\x00"), "zstd": {0x28, 0xb5, 0x2f, 0xfd, 0}, "zip": []byte("PK\x03\x04...."),
		"gzip header only": whole[:5], "flipped": flip(whole, len(whole)/2),
	}
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, err := unpack(t, data, archive.UnpackOptions{})
			if !errors.Is(err, archive.ErrFormat) {
				t.Errorf("got %v, want ErrFormat", err)
			}
		})
	}
}

func flip(data []byte, at int) []byte {
	data = bytes.Clone(data)
	data[at] ^= 0x10
	return data
}

func TestUnpackReportsTheSourcesFailure(t *testing.T) {
	broken := errors.New("storage is gone")
	data := gzipped(t, makeTar(t, regular("f", "body")))
	for n := range len(data) {
		r := io.MultiReader(bytes.NewReader(data[:n]), iotest.ErrReader(broken))
		_, err := archive.Unpack(t.Context(), r, filepath.Join(t.TempDir(), "code"), archive.UnpackOptions{})
		if err != nil && (!errors.Is(err, broken) || errors.Is(err, archive.ErrFormat)) {
			t.Fatalf("after %d bytes: %v", n, err)
		}
	}
}

func TestUnpackIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var head bytes.Buffer
	w := tar.NewWriter(&head)
	if err := w.WriteHeader(&tar.Header{Name: "long", Typeflag: tar.TypeReg, Size: 1 << 29}); err != nil {
		t.Fatal(err)
	}
	body := io.MultiReader(&head, io.LimitReader(&zeros{}, 1<<20), onRead(cancel), &zeros{})
	_, err := archive.Unpack(ctx, body, filepath.Join(t.TempDir(), "code"), archive.UnpackOptions{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
}

// onRead calls f when it is read, and is empty.
type onRead func()

func (f onRead) Read([]byte) (int, error) { f(); return 0, io.EOF }

func TestUnpackTellsProgress(t *testing.T) {
	var names []string
	var last archive.Progress
	data := makeTar(t, regular("a", "12"), dir("b/"), regular("b/c", "345"))
	_, summary, err := unpack(t, data, archive.UnpackOptions{Progress: func(p archive.Progress) {
		names, last = append(names, p.Name), p
	}})
	if err != nil || strings.Join(names, " ") != "a b b/c" || last.Files != 3 || last.Bytes != 5 || summary.Bytes != 5 {
		t.Errorf("names %v, last %+v, summary %+v, %v", names, last, summary, err)
	}
}

// FuzzUnpack feeds anything to Unpack, and FuzzUnpackMembers well-formed
// archives of few names and many links, which random bytes hardly ever make.
// Neither may crash, hang, leave the destination or leave a way out of it.
func FuzzUnpack(f *testing.F) {
	f.Add(makeTar(f, dir("d/"), regular("d/f", "x"), symlink("s", "d/f"), hardlink("h", "d/f")))
	f.Add(gzipped(f, makeTar(f, regular("../x", "!"))))
	f.Add(zlibbed(f, makeTar(f, regular("x", "!"))))
	f.Add([]byte("BZh9"))
	f.Fuzz(checkUnpack)
}

func FuzzUnpackMembers(f *testing.F) {
	f.Add([]byte("2a/b/s>../..;2a/b/l>s/../x;0a/b/s/y"))
	f.Add([]byte("5d/;2s>d;0s/x;1h>d/x;2d>a"))
	f.Fuzz(func(t *testing.T, program []byte) {
		var members []member
		for step := range bytes.SplitSeq(program, []byte(";")) {
			if len(step) < 2 || !strings.ContainsRune("0123456Z", rune(step[0])) || bytes.IndexByte(step, 0) >= 0 {
				continue
			}
			name, link, _ := strings.Cut(string(step[1:]), ">")
			m := member{name: name, typ: step[0], link: link}
			if m.typ == tar.TypeReg {
				m.body = "!"
			}
			if err := tar.NewWriter(io.Discard).WriteHeader(&tar.Header{Name: m.name, Typeflag: m.typ, Linkname: m.link, Size: int64(len(m.body))}); err == nil {
				members = append(members, m)
			}
		}
		checkUnpack(t, makeTar(t, members...))
	})
}

func checkUnpack(t *testing.T, data []byte) {
	base := t.TempDir()
	write(t, base, map[string]string{"x": "outside", "a/x": "outside"})
	dst := filepath.Join(base, "a", "dst")
	o := archive.UnpackOptions{Limits: archive.Limits{MaxBytes: 1 << 16, MaxFiles: 50}}
	_, unpackErr := archive.Unpack(t.Context(), bytes.NewReader(data), dst, o)
	outside := map[string]string{}
	for name, body := range read(t, base) {
		if !strings.HasPrefix(name, "a/dst") {
			outside[name] = body
		}
	}
	if want := map[string]string{"x": "outside", "a/": "", "a/x": "outside"}; !maps.Equal(outside, want) {
		t.Fatalf("outside now holds %v", outside)
	}
	real, err := filepath.EvalSymlinks(dst)
	if err != nil {
		t.Fatal(err)
	}
	filepath.WalkDir(dst, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			t.Fatal(err)
		}
		info, err := d.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode()&^(fs.ModeDir|fs.ModeSymlink|fs.ModePerm) != 0 {
			t.Fatalf("%s has mode %v", path, info.Mode())
		}
		if unpackErr == nil {
			leads, err := filepath.EvalSymlinks(path)
			if err == nil && leads != real && !strings.HasPrefix(leads, real+"/") {
				t.Fatalf("%s leads to %s", path, leads)
			}
		}
		return nil
	})
}

// Archives at random of few names and many links: dense in collisions, chains
// and circles, where a hole would be.
func TestUnpackRandomLinks(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	path := func(words []string, longest int) string {
		parts := make([]string, 1+r.IntN(longest))
		for i := range parts {
			parts[i] = words[r.IntN(len(words))]
		}
		return strings.Join(parts, "/")
	}
	for range 300 {
		members := make([]member, 1+r.IntN(8))
		for i := range members {
			m := &members[i]
			m.typ = "01225"[r.IntN(5)]
			m.name = path([]string{"a", "b", "c", "d"}, 4)
			if m.typ == tar.TypeSymlink || m.typ == tar.TypeLink {
				m.link = path([]string{"a", "b", "c", "d", "..", "..", ".."}, 6)
			}
		}
		if !t.Run("", func(t *testing.T) { checkUnpack(t, makeTar(t, members...)) }) {
			t.Fatalf("seed %d, members %+v", seed, members)
		}
	}
}
