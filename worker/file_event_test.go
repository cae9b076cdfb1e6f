package worker_test

import (
	"context"
	"errors"
	"io/fs"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/worker"
)

// playFileEvent starts a worker whose handler of the event changed passes on what it
// gets.
func playFileEvent(t *testing.T) (*scene, <-chan worker.FileInfo) {
	seen := make(chan worker.FileInfo, 1)
	return play(t, func(w *worker.Worker) {
		w.HandleStream("changed", worker.FileEvent(func(_ context.Context, i worker.FileInfo) error {
			seen <- i
			if i.Size < 0 {
				return errors.New("negative")
			}
			return nil
		}))
	}), seen
}

func TestFileEvent(t *testing.T) {
	s, seen := playFileEvent(t)
	// A regular file of 4660 bytes with mode 0644, as os.stat packs it.
	s.ask(2, "changed", unhex(t, "9a cd81a4 ce00012345 cd0801 01 cd03e8 64 cd1234 ce5f5e1000 ce5f5e1001 cb41d7d78400a00000"))
	s.Want(2, closing)
	want := worker.FileInfo{
		Mode: 0o100644, Ino: 0x12345, Dev: 0x801, Nlink: 1, UID: 1000, GID: 100, Size: 0x1234,
		Atime: time.Unix(1600000000, 0), Mtime: time.Unix(1600000001, 0), Ctime: time.Unix(1600000002, 5e8),
	}
	if got := <-seen; got != want {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	s.ask(3, "changed", unhex(t, "9a 00 00 00 00 00 00 ff 00 00 00"))
	if text := s.WantError(3, 42, 100); text != "negative" {
		t.Errorf("the error reads %q", text)
	}
	<-seen
	s.stop()
}

func TestFileEventMalformed(t *testing.T) {
	s, seen := playFileEvent(t)
	for i, chunk := range []string{"", "c0", "90", "99 000000000000000000", "9b 0000000000000000000000", "9a 0000000000000000000000", "9a 000000000000000000a0", "9a ff000000000000000000", "9a 00000000"} {
		s.ask(uint64(2+i), "changed", unhex(t, chunk))
		s.WantError(uint64(2+i), 12, 22)
	}
	s.Send(20, invoke, "changed")
	s.Send(20, closing)
	s.WantError(20, 12, 22)
	s.stop()
	if len(seen) > 0 {
		t.Error("the handler was called")
	}
}

func TestFileMode(t *testing.T) {
	for mode, want := range map[uint32]fs.FileMode{
		0o100644: 0o644, 0o040755: fs.ModeDir | 0o755, 0o120777: fs.ModeSymlink | 0o777, 0o140600: fs.ModeSocket | 0o600, 0o010600: fs.ModeNamedPipe | 0o600,
		0o020620: fs.ModeDevice | fs.ModeCharDevice | 0o620, 0o060660: fs.ModeDevice | 0o660, 0o041777: fs.ModeDir | fs.ModeSticky | 0o777,
		0o106755: fs.ModeSetuid | fs.ModeSetgid | 0o755,
	} {
		if got := (worker.FileInfo{Mode: mode}).FileMode(); got != want {
			t.Errorf("%o: got %v, want %v", mode, got, want)
		}
	}
}

func FuzzFileEvent(f *testing.F) {
	f.Add([]byte(unhex(f, "9acd81a4ce00012345cd080101cd03e864cd1234ce5f5e1000ce5f5e1001cb41d7d78400a00000")))
	f.Fuzz(func(t *testing.T, chunk []byte) {
		s, seen := playFileEvent(t)
		s.ask(2, "changed", string(chunk))
		frame := s.Recv()
		select {
		case i := <-seen:
			if _, err := msgpack.Skip(chunk, msgpack.MaxDepth); err != nil || (frame.Type == fail) != (i.Size < 0) {
				t.Errorf("%x gave %+v and %v", chunk, i, frame)
			}
		default:
			if frame.Type != fail {
				t.Errorf("%x gave %v without a call", chunk, frame)
			}
		}
		s.stop()
	})
}
