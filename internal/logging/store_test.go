package logging_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/logging"
	"github.com/cocaine/cocaine-go/internal/logtest"
)

var epoch = time.Now().Truncate(time.Second).Add(-time.Hour)

func want(t testing.TB, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStoreKeepsRecords(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, logging.StoreOptions{Dir: dir})
	r := logging.Record{
		Time: epoch, Severity: logging.Warning, Source: "app/hello", App: "hello", Worker: "0f8b", Message: "careful",
		Attrs: []logging.Attr{{Name: "n", Value: uint64(7)}},
	}
	s.Emit(r)
	for life := range 3 {
		n := 0
		for got, err := range s.Tail(t.Context(), []string{"hello"}, logging.Query{Last: 10}) {
			if err != nil {
				t.Fatal(err)
			}
			got.Time = got.Time.In(r.Time.Location())
			if !got.Time.Equal(r.Time) {
				t.Errorf("life %d: time is %v", life, got.Time)
			}
			got.Time = r.Time
			if !reflect.DeepEqual(got, r) {
				t.Errorf("life %d: got %+v, want %+v", life, got, r)
			}
			n++
		}
		if n != 1 {
			t.Errorf("life %d: %d records", life, n)
		}
		s.Close()
		s = openStore(t, logging.StoreOptions{Dir: dir})
	}
	want(t, s.Apps(), "hello")
}

// TestTailSelects: records of one moment come in the order of their apps.
func TestTailSelects(t *testing.T) {
	s := openStore(t, logging.StoreOptions{})
	at := emit(s, "a", epoch, "a0", "a1", "a2")
	emit(s, "b", epoch.Add(500*time.Millisecond), "b0", "b1", "b2")
	emit(s, "", at, "runtime")
	s.Emit(logging.Record{Time: at, App: "a", Severity: logging.Error, Message: "bad"})
	all := -1
	for name, tt := range map[string]struct {
		apps []string
		q    logging.Query
		want []string
	}{
		"all":           {nil, logging.Query{Last: all}, []string{"a:a0", "b:b0", "a:a1", "b:b1", "a:a2", "b:b2", ":runtime", "a:bad"}},
		"one app":       {[]string{"a"}, logging.Query{Last: all}, []string{"a:a0", "a:a1", "a:a2", "a:bad"}},
		"named twice":   {[]string{"b", "b"}, logging.Query{Last: all}, []string{"b:b0", "b:b1", "b:b2"}},
		"the runtime":   {[]string{""}, logging.Query{Last: all}, []string{":runtime"}},
		"unknown app":   {[]string{"c"}, logging.Query{Last: all}, nil},
		"none":          {nil, logging.Query{}, nil},
		"last of all":   {nil, logging.Query{Last: 3}, []string{"b:b2", ":runtime", "a:bad"}},
		"last of one":   {[]string{"b"}, logging.Query{Last: 2}, []string{"b:b1", "b:b2"}},
		"more than are": {[]string{"b"}, logging.Query{Last: 100}, []string{"b:b0", "b:b1", "b:b2"}},
		"since":         {nil, logging.Query{Last: all, Since: epoch.Add(2 * time.Second)}, []string{"a:a2", "b:b2", ":runtime", "a:bad"}},
		"last since":    {nil, logging.Query{Last: 1, Since: epoch.Add(2 * time.Second)}, []string{"a:bad"}},
		"severe":        {nil, logging.Query{Last: all, MinSeverity: logging.Warning}, []string{"a:bad"}},
		"last severe":   {nil, logging.Query{Last: 1, MinSeverity: logging.Info}, []string{"a:bad"}},
	} {
		t.Run(name, func(t *testing.T) {
			want(t, messages(t, s, tt.apps, tt.q), tt.want...)
		})
	}
}

func TestLastReachesOverSegments(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, logging.StoreOptions{Dir: dir, MaxBytes: 1 << 20})
	var all []string
	at := epoch
	for i := range 1000 {
		m := fmt.Sprintf("%d %s", i, strings.Repeat("x", 500))
		at = emit(s, "a", at, m)
		all = append(all, "a:"+m)
	}
	messages(t, s, nil, logging.Query{}) // writes what is queued
	if n := len(segments(t, dir, "a")); n < 3 {
		t.Fatalf("there are only %d segments", n)
	}
	for _, last := range []int{1, 10, 300, 999, 1000, 1001} {
		want(t, messages(t, s, nil, logging.Query{Last: last}), all[max(0, 1000-last):]...)
	}
	want(t, messages(t, s, nil, logging.Query{Last: -1}), all...)
}

// segments lists the files of an app.
func segments(t testing.TB, dir, app string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, app, "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func dirSize(t testing.TB, dir string) (size int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		fi, err := d.Info()
		if err == nil {
			size += fi.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return size
}

func TestBoundedBytes(t *testing.T) {
	for _, limit := range []int64{64 << 10, 1 << 20} {
		dir := t.TempDir()
		s := openStore(t, logging.StoreOptions{Dir: dir, MaxBytes: limit, QueueBytes: 10 << 20})
		emit(s, "quiet", epoch, "kept")
		for i := range 4000 {
			emit(s, "loud", epoch, fmt.Sprintf("%d %s", i, strings.Repeat("x", 600)))
			if i%500 == 0 {
				messages(t, s, []string{"loud"}, logging.Query{}) // writes what is queued
			}
		}
		got := messages(t, s, []string{"loud"}, logging.Query{Last: -1})
		if size := dirSize(t, filepath.Join(dir, "loud")); size > limit || size < limit/2 {
			t.Errorf("%d bytes are kept, the limit is %d", size, limit)
		}
		if !strings.HasPrefix(got[len(got)-1], "loud:3999 ") || len(got) < int(limit/2/700) {
			t.Errorf("%d records are kept, the last is %.20q", len(got), got[len(got)-1])
		}
		want(t, messages(t, s, []string{"quiet"}, logging.Query{Last: -1}), "quiet:kept")
	}
}

func TestOldRecordsGo(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, logging.StoreOptions{Dir: dir, MaxBytes: 256 << 10, MaxAge: 24 * time.Hour})
	filler := strings.Repeat("x", 1000)
	for range 100 {
		emit(s, "a", epoch, filler)
	}
	s.Close()
	files := segments(t, dir, "a")
	if len(files) < 3 {
		t.Fatalf("there are only %d segments", len(files))
	}
	old := time.Now().Add(-25 * time.Hour)
	for _, f := range files[:2] {
		if err := os.Chtimes(f, old, old); err != nil {
			t.Fatal(err)
		}
	}
	s = openStore(t, logging.StoreOptions{Dir: dir, MaxBytes: 256 << 10, MaxAge: 24 * time.Hour})
	emit(s, "a", epoch, "new")
	messages(t, s, nil, logging.Query{})
	left := segments(t, dir, "a")
	if slices.Contains(left, files[0]) || slices.Contains(left, files[1]) || !slices.Contains(left, files[2]) {
		t.Errorf("of %q there are left %q", files, left)
	}
}

func TestTornEndIsCutOff(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, logging.StoreOptions{Dir: dir})
	at := emit(s, "a", epoch, "one", "two", "three")
	s.Close()
	file := segments(t, dir, "a")[0]
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range []int{1, 10, 20} {
		if err := os.WriteFile(file, whole[:len(whole)-cut], 0o600); err != nil {
			t.Fatal(err)
		}
		s := openStore(t, logging.StoreOptions{Dir: dir})
		want(t, messages(t, s, nil, logging.Query{Last: -1}), "a:one", "a:two")
		emit(s, "a", at, "four")
		want(t, messages(t, s, nil, logging.Query{Last: -1}), "a:one", "a:two", "a:four")
		s.Close()
	}
}

func TestDamageCostsWhatIsDamaged(t *testing.T) {
	dir := t.TempDir()
	o := logging.StoreOptions{Dir: dir, MaxBytes: 128 << 10}
	s := openStore(t, o)
	for i := range 60 {
		emit(s, "a", epoch, fmt.Sprint(i, " ", strings.Repeat("x", 1000)))
	}
	s.Close()
	files := segments(t, dir, "a")
	data, err := os.ReadFile(files[1])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(files[1], data, 0o600); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, o)
	seen, missed := 0, 0
	for _, m := range messages(t, s, nil, logging.Query{Last: -1}) {
		var n int
		if k, _ := fmt.Sscanf(m, "a:missed %d records", &n); k == 1 {
			missed += n
		} else {
			seen++
		}
	}
	if seen+missed != 60 || missed == 0 || missed > 16 {
		t.Errorf("%d records are read and %d missed, of 60", seen, missed)
	}
}

// TestFollow: between old and new records there is no gap and no duplicate, however
// the emitting and the reading fall together.
func TestFollow(t *testing.T) {
	const records, emitters = 3000, 3
	s := openStore(t, logging.StoreOptions{MaxBytes: 8 << 20, QueueBytes: 16 << 20})
	var emitting sync.WaitGroup
	for e := range emitters {
		emitting.Go(func() {
			for i := range records {
				s.Emit(logging.Record{Time: time.Now(), App: fmt.Sprint("app", e), Message: fmt.Sprint(i)})
			}
		})
	}
	defer emitting.Wait()
	var reading sync.WaitGroup
	for range 4 {
		reading.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			next := make(map[string]int)
			total := 0
			for r, err := range s.Tail(ctx, nil, logging.Query{Last: -1, Follow: true}) {
				if err != nil {
					t.Error(err)
					return
				}
				if r.Message != fmt.Sprint(next[r.App]) {
					t.Errorf("%s gives %s, want %d", r.App, r.Message, next[r.App])
					return
				}
				next[r.App]++
				if total++; total == records*emitters {
					return
				}
			}
			t.Errorf("only %d records came", total)
		})
	}
	reading.Wait()
}

func TestFollowSeesOnlyWhatIsNew(t *testing.T) {
	s := openStore(t, logging.StoreOptions{})
	emit(s, "a", epoch, "old")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	began := false
	var got []string
	// The one old record tells that the backfill is done.
	for r, err := range s.Tail(ctx, nil, logging.Query{Last: 1, Follow: true, MinSeverity: logging.Info}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r.App+":"+r.Message)
		if !began {
			began = true
			s.Emit(logging.Record{Time: time.Now(), App: "a", Severity: logging.Debug, Message: "too quiet"})
			emit(s, "a", time.Now(), "new")
		} else if r.App == "a" {
			emit(s, "late app", time.Now(), "hello")
		} else {
			break
		}
	}
	want(t, got, "a:old", "a:new", "late app:hello")
	// From now on, without any old ones.
	follower := make(chan []string)
	go func() {
		var got []string
		for r, err := range s.Tail(ctx, []string{"a"}, logging.Query{Follow: true}) {
			if err == nil && r.Message != "probe" {
				got = append(got, r.Message)
				break
			}
		}
		follower <- got
	}()
	for { // until it listens
		emit(s, "b", time.Now(), "not asked for")
		emit(s, "a", time.Now(), "probe", "now")
		select {
		case got := <-follower:
			want(t, got, "now")
			return
		case <-time.After(time.Millisecond):
		}
	}
}

func TestSlowReaderIsToldWhatItMissed(t *testing.T) {
	s := openStore(t, logging.StoreOptions{MaxBytes: 64 << 10, QueueBytes: 64 << 20})
	const records = 1000
	emit(s, "a", epoch, "0")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	seen, missed := 0, 0
	for r, err := range s.Tail(ctx, nil, logging.Query{Last: -1, Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if k, _ := fmt.Sscanf(r.Message, "missed %d records", &n); k == 1 {
			missed += n
			continue
		}
		if seen++; seen == 1 {
			for i := range records {
				emit(s, "a", epoch, fmt.Sprint(i+1, " ", strings.Repeat("x", 1000)))
			}
			messages(t, s, nil, logging.Query{}) // writes what is queued
		}
		if strings.HasPrefix(r.Message, fmt.Sprint(records, " ")) {
			break
		}
	}
	if seen+missed != records+1 || missed < records/2 {
		t.Errorf("%d records are read and %d missed, of %d", seen, missed, records+1)
	}
}

// TestEmitDoesNotWait: with the disk stuck (a pipe in place of the file, which
// nobody reads) Emit goes on, memory stays bounded, and what is lost is counted.
func TestEmitDoesNotWait(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "flood"), 0o700); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(dir, "flood", fmt.Sprintf("%016x.log", 1))
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, logging.StoreOptions{Dir: dir, QueueBytes: 100 << 10})
	const records = 50_000
	for i := range records {
		emit(s, "flood", epoch, fmt.Sprint(i))
	}
	emit(s, "other", epoch, "kept")
	// Let the writer go on: give the pipe a reader and then make it a file.
	f, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(pipe); err != nil {
		t.Fatal(err)
	}
	f.Close()
	emit(s, "flood", epoch, "end")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	seen, dropped := 0, 0
	for r, err := range s.Tail(ctx, []string{"flood"}, logging.Query{Last: -1, Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if k, _ := fmt.Sscanf(r.Message, "dropped %d records", &n); k == 1 {
			dropped += n
		} else {
			seen++
		}
		if r.Message == "end" {
			break
		}
	}
	if seen+dropped != records+1 || dropped == 0 {
		t.Errorf("%d records are read and %d dropped, of %d", seen, dropped, records+1)
	}
	want(t, messages(t, s, []string{"other"}, logging.Query{Last: -1}), "other:kept")
}

func TestFailedWritesAreCounted(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), nil, 0o600); err != nil { // in place of a directory
		t.Fatal(err)
	}
	var said logtest.Buffer
	s := openStore(t, logging.StoreOptions{Dir: dir, Log: slog.New(slog.NewTextHandler(&said, nil))})
	emit(s, "a", epoch, "1", "2", "3")
	for _, err := range s.Tail(t.Context(), []string{"a"}, logging.Query{Last: -1}) {
		if err == nil {
			t.Error("a record is read where there can be none")
		}
	}
	emit(s, "a", epoch, "4")
	for range s.Tail(t.Context(), []string{"a"}, logging.Query{}) {
	}
	if err := os.Remove(filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	emit(s, "a", epoch, "5")
	want(t, messages(t, s, []string{"a"}, logging.Query{Last: 1}), "a:5")
	got := messages(t, s, nil, logging.Query{Last: -1})
	slices.Sort(got)
	want(t, got, "a:5", "a:dropped 4 records")
	if n := strings.Count(said.String(), "log store fails"); n != 1 || !strings.Contains(said.String(), "not a directory") {
		t.Errorf("the store says %q", said.String())
	}
}

func TestAppNames(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, logging.StoreOptions{Dir: filepath.Join(dir, "logs")})
	names := []string{"", ".", "..", "../../escape", "a/b", "A", "a", "%", "\x00", "имя"}
	for _, name := range names {
		emit(s, name, epoch, "hello")
	}
	long := strings.Repeat("x", 1000)
	emit(s, long, epoch, "hello")
	for life := range 2 {
		for _, name := range names {
			want(t, messages(t, s, []string{name}, logging.Query{Last: -1}), name+":hello")
		}
		if n := len(messages(t, s, nil, logging.Query{Last: -1})); n != len(names)+1 {
			t.Errorf("life %d: %d records in all, want %d", life, n, len(names)+1)
		}
		s.Close()
		s = openStore(t, logging.StoreOptions{Dir: filepath.Join(dir, "logs")})
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the logs there are %v, %v", entries, err)
	}
}

func TestAppsAreBounded(t *testing.T) {
	s := openStore(t, logging.StoreOptions{MaxApps: 3})
	for i := range 10 {
		emit(s, fmt.Sprint(i), epoch, "hello")
	}
	want(t, s.Apps(), "0", "1", "2")
}

func TestTailEnds(t *testing.T) {
	s := openStore(t, logging.StoreOptions{})
	emit(s, "a", epoch, "1", "2", "3")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	for _, err := range s.Tail(ctx, nil, logging.Query{Last: -1, Follow: true}) {
		if err != nil {
			t.Errorf("the end of the context is an error: %v", err)
		}
		if n++; n == 3 {
			cancel()
		}
	}
	var last error
	for _, err := range s.Tail(ctx, nil, logging.Query{Last: -1}) {
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("reading old records with an ended context: %v", last)
	}
	n = 0
	for r, err := range s.Tail(t.Context(), nil, logging.Query{Last: -1, Follow: true}) {
		if last = err; err != nil {
			break
		}
		if n++; n == 3 {
			emit(s, "a", epoch, "4")
			go s.Close()
		}
		if n == 4 && r.Message != "4" {
			t.Errorf("the last record is %q", r.Message)
		}
	}
	if !errors.Is(last, logging.ErrClosed) || n != 4 {
		t.Errorf("after Close following ends with %v, after %d records", last, n)
	}
	for _, err := range s.Tail(t.Context(), nil, logging.Query{Last: -1}) {
		last = err
	}
	if !errors.Is(last, logging.ErrClosed) {
		t.Errorf("Tail of a closed store: %v", last)
	}
	s.Emit(logging.Record{}) // does nothing
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestKilledProcessKeepsRecords(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), emitDir+"="+dir)
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	cmd.Process.Kill()
	cmd.Wait()
	if line != "emitted 1000\n" {
		t.Fatalf("the process says %q", line)
	}
	s := openStore(t, logging.StoreOptions{Dir: dir})
	if n := len(messages(t, s, nil, logging.Query{Last: -1})); n != 1000 {
		t.Errorf("%d records are left of 1000", n)
	}
}

func TestOpenStoreErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := logging.OpenStore(logging.StoreOptions{Dir: file}); err == nil || !strings.HasPrefix(err.Error(), "cannot open log store: ") {
		t.Errorf("open of a file: %v", err)
	}
}

func BenchmarkEmit(b *testing.B) {
	s := openStore(b, logging.StoreOptions{})
	r := logging.Record{Time: time.Now(), App: "app", Source: "stdout", Worker: "0f8b2c1e", Message: strings.Repeat("x", 100)}
	b.ReportAllocs()
	for b.Loop() {
		s.Emit(r)
	}
}
