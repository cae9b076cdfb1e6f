package jetstream_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/cocaine/cocaine-go/internal/jetstream"
)

func TestReopenKeepsData(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if !s.Exclusive() {
		t.Error("a state in a directory of our own is not exclusive")
	}
	if _, err := openKV(t, s).Put(t.Context(), "a", []byte("1"), jetstream.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	e, err := openKV(t, open(t, dir)).Get(t.Context(), "a")
	if err != nil || string(e.Value) != "1" {
		t.Errorf("read %q, %v after reopening", e.Value, err)
	}
}

func TestOneOwnerPerDirectory(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := jetstream.Open(t.Context(), jetstream.Options{Dir: dir})
	if !errors.Is(err, jetstream.ErrInUse) {
		t.Fatalf("second open of a directory: %v", err)
	}
	want := fmt.Sprintf("cannot open state in %s: in use by another runtime (pid %d)", dir, os.Getpid())
	if err.Error() != want {
		t.Errorf("error reads %q, want %q", err, want)
	}
	s.Close()
	open(t, dir)
}

func TestLockDiesWithItsProcess(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holdDir+"="+dir)
	in, _ := cmd.StdinPipe()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	if line != "held <nil>\n" {
		t.Fatalf("holder said %q", line)
	}
	_, err = jetstream.Open(t.Context(), jetstream.Options{Dir: dir})
	if !errors.Is(err, jetstream.ErrInUse) || !strings.Contains(err.Error(), fmt.Sprint("pid ", cmd.Process.Pid)) {
		t.Errorf("open of a directory that another process holds: %v", err)
	}
	cmd.Process.Kill()
	io.Copy(io.Discard, out)
	in.Close()
	cmd.Wait()
	if e, err := openKV(t, open(t, dir)).Get(t.Context(), "held"); err != nil || string(e.Value) != "yes" {
		t.Errorf("read %q, %v after the owner was killed", e.Value, err)
	}
}

func TestOpenErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	unwritable := t.TempDir()
	if err := os.Chmod(unwritable, 0o500); err != nil {
		t.Fatal(err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name string
		ctx  context.Context
		opts jetstream.Options
		want string
	}{
		{"nothing given", t.Context(), jetstream.Options{}, "cannot open state: neither a directory nor a URL is given"},
		{"a file", t.Context(), jetstream.Options{Dir: file}, "cannot open state in " + file + ": not a directory"},
		{"below a file", t.Context(), jetstream.Options{Dir: file + "/x"}, "cannot open state in " + file + "/x: not a directory"},
		{"unwritable", t.Context(), jetstream.Options{Dir: unwritable}, "cannot open state in " + unwritable + ": permission denied"},
		{"bad prefix", t.Context(), jetstream.Options{Dir: file, Prefix: "a.b"}, `cannot open state: prefix "a.b" is not made of letters, digits, '-' and '_'`},
		{"canceled", canceled, jetstream.Options{Dir: t.TempDir()}, "context canceled"},
		{"nobody there", t.Context(), jetstream.Options{URL: "nats://me:secret@127.0.0.1:1"}, "cannot open state at nats://me:xxxxx@127.0.0.1:1: nats: no servers available for connection"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name == "unwritable" && os.Geteuid() == 0 {
				t.Skip("root may write everywhere")
			}
			s, err := jetstream.Open(tt.ctx, tt.opts)
			if err == nil {
				s.Close()
				t.Fatal("opened")
			}
			if !strings.HasSuffix(err.Error(), tt.want) {
				t.Errorf("error reads %q, want %q", err, tt.want)
			}
		})
	}
}

// closedState makes a directory with a bucket of some keys, closed in order.
func closedState(t *testing.T) (dir, stream string) {
	t.Helper()
	dir = t.TempDir()
	s := open(t, dir)
	kv := openKV(t, s)
	for i := range 20 {
		if _, err := kv.Put(t.Context(), fmt.Sprint("k", i), []byte("some value"), jetstream.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, filepath.Join(dir, "jetstream/$G/streams/KV_cocaine_things")
}

func wantDamaged(t *testing.T, dir string) {
	t.Helper()
	s, err := jetstream.Open(t.Context(), jetstream.Options{Dir: dir})
	if err == nil {
		s.Close()
		t.Fatal("opened a damaged directory")
	}
	if !errors.Is(err, jetstream.ErrDamaged) || !strings.HasPrefix(err.Error(), "cannot open state in "+dir+": ") || !strings.Contains(err.Error(), "KV_cocaine_things") {
		t.Errorf("open of a damaged directory: %v", err)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error has more than one line: %q", err)
	}
}

func TestDamagedMetadataIsNotAnEmptyState(t *testing.T) {
	for _, name := range []string{"meta.inf", "meta.sum"} {
		for _, damage := range []func(path string) error{
			os.Remove,
			func(path string) error { return os.WriteFile(path, []byte("rubbish"), 0o600) },
		} {
			dir, stream := closedState(t)
			if err := damage(filepath.Join(stream, name)); err != nil {
				t.Fatal(err)
			}
			wantDamaged(t, dir)
			wantDamaged(t, dir) // and it does not go away by itself
		}
	}
}

func TestDamagedBlockIsReported(t *testing.T) {
	for name, damage := range map[string]func(path string, data []byte) error{
		"truncated": func(path string, data []byte) error { return os.WriteFile(path, data[:len(data)-200], 0o600) },
		"flipped bit": func(path string, data []byte) error {
			data[len(data)/2] ^= 1
			return os.WriteFile(path, data, 0o600)
		},
		"missing": func(path string, data []byte) error { return os.Remove(path) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, stream := closedState(t)
			block := filepath.Join(stream, "msgs/1.blk")
			data, err := os.ReadFile(block)
			if err != nil {
				t.Fatal(err)
			}
			if err := damage(block, slices.Clone(data)); err != nil {
				t.Fatal(err)
			}
			wantDamaged(t, dir)
			wantDamaged(t, dir)
			// The damage was not made worse: with the file repaired all is there.
			if err := os.WriteFile(block, data, 0o600); err != nil {
				t.Fatal(err)
			}
			keys, err := openKV(t, open(t, dir)).Keys(t.Context(), ">")
			if err != nil || len(keys) != 20 {
				t.Errorf("%d keys, %v; want 20", len(keys), err)
			}
		})
	}
}

func TestUnfinishedWriteIsCutOff(t *testing.T) {
	dir, stream := closedState(t)
	// What a process leaves that dies while it appends: no seal and half a record.
	if err := os.Remove(filepath.Join(dir, "sealed")); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(stream, "msgs/1.blk"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.Write([]byte("half a record"))
	f.Close()
	kv := openKV(t, open(t, dir))
	keys, err := kv.Keys(t.Context(), ">")
	if err != nil || len(keys) != 20 {
		t.Errorf("%d keys, %v; want 20", len(keys), err)
	}
}

func TestUnfinishedStreamIsRemoved(t *testing.T) {
	dir, stream := closedState(t)
	unfinished := filepath.Join(filepath.Dir(stream), "KV_cocaine_other")
	if err := os.MkdirAll(filepath.Join(unfinished, "msgs"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	if _, err := os.Stat(unfinished); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("unfinished stream is still there: %v", err)
	}
	if _, err := s.KV(t.Context(), "other", jetstream.KVOptions{}); err != nil {
		t.Error(err)
	}
}

func TestEngineThatDoesNotStart(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "jetstream") // where the engine wants a directory
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := jetstream.Open(t.Context(), jetstream.Options{Dir: dir})
	if err == nil {
		s.Close()
		t.Fatal("opened")
	}
	if got := err.Error(); !strings.HasPrefix(got, "cannot open state in "+dir+": ") || !strings.Contains(got, "not a directory") || strings.Contains(got, "\n") {
		t.Errorf("error reads %q", got)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	open(t, dir) // the failed attempt does not hold it
}

func TestCallsAfterCloseFail(t *testing.T) {
	s := open(t, t.TempDir())
	kv := openKV(t, s)
	w, err := kv.Watch(t.Context(), ">", jetstream.WatchOptions{UpdatesOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := s.Blobs(t.Context(), "large")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		_, err := w.Next(context.Background())
		ended <- err
	}()
	s.Close()
	if err := <-ended; !errors.Is(err, jetstream.ErrClosed) {
		t.Errorf("a watch that was waiting: %v", err)
	}
	w.Stop()
	if _, err := kv.Get(t.Context(), "a"); !errors.Is(err, jetstream.ErrClosed) {
		t.Errorf("Get: %v", err)
	}
	if _, err := kv.Put(t.Context(), "a", nil, jetstream.WriteOptions{}); !errors.Is(err, jetstream.ErrClosed) {
		t.Errorf("Put: %v", err)
	}
	if _, err := blobs.Put(t.Context(), "a", strings.NewReader("x")); !errors.Is(err, jetstream.ErrClosed) {
		t.Errorf("Put of a blob: %v", err)
	}
	if _, err := s.Log(t.Context(), "l", jetstream.LogOptions{}); !errors.Is(err, jetstream.ErrClosed) {
		t.Errorf("Log: %v", err)
	}
}

func TestExternalEngine(t *testing.T) {
	srv, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: t.TempDir(), Username: "me", Password: "secret",
	})
	if err != nil {
		t.Fatal(err)
	}
	go srv.Start()
	defer func() { srv.Shutdown(); srv.WaitForShutdown() }()
	if !srv.ReadyForConnections(testTimeout) {
		t.Fatal("the external engine does not start")
	}
	url := strings.Replace(srv.ClientURL(), "//", "//me:secret@", 1)
	var states [2]*jetstream.State
	for i := range states {
		if states[i], err = jetstream.Open(t.Context(), jetstream.Options{URL: url, Prefix: "site"}); err != nil {
			t.Fatal(err)
		}
		defer states[i].Close()
		if states[i].Exclusive() {
			t.Error("a shared engine is exclusive")
		}
	}
	if _, err := openKV(t, states[0]).Put(t.Context(), "a", []byte("1"), jetstream.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	e, err := openKV(t, states[1]).Get(t.Context(), "a")
	if err != nil || string(e.Value) != "1" {
		t.Errorf("the other member reads %q, %v", e.Value, err)
	}
	other, err := jetstream.Open(t.Context(), jetstream.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := openKV(t, other).Get(t.Context(), "a"); !errors.Is(err, jetstream.ErrNotFound) {
		t.Errorf("a state with another prefix reads our key: %v", err)
	}
	_, err = jetstream.Open(t.Context(), jetstream.Options{URL: strings.Replace(url, "secret", "guess", 1)})
	if err == nil || !strings.Contains(err.Error(), "Authorization Violation") || strings.Contains(err.Error(), "guess") {
		t.Errorf("open with a wrong password: %v", err)
	}
}
