package storage_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cocaine/cocaine-go/internal/jetstream"
	"github.com/cocaine/cocaine-go/internal/storage"
)

// writerDir names the variable that turns the test binary into a process that
// writes to a store until it is killed. It says what it is about to do and what
// was acknowledged:
//
//	try KEY SEQ SIZE     a write of SIZE bytes; SIZE -1 is a removal
//	ack KEY SEQ
const writerDir = "STORAGE_TEST_WRITER_DIR"

const crashWriters = 4

func writeUntilKilled(dir string) int {
	ctx := context.Background()
	state, err := jetstream.Open(ctx, jetstream.Options{Dir: dir})
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	s, err := storage.NewJetStream(ctx, state)
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	var wg sync.WaitGroup
	for w := range crashWriters {
		wg.Go(func() {
			for seq := os.Getpid() * 1000; ; seq++ {
				key := fmt.Sprintf("w%d.k%d", w, rand.IntN(3))
				size := []int{20, 2000, 70_000, 600_000, 1_500_000, -1}[rand.IntN(6)]
				fmt.Printf("try %s %d %d\n", key, seq, size)
				var err error
				if size < 0 {
					err = s.Remove(ctx, "crash", key)
				} else {
					err = s.Write(ctx, "crash", key, crashValue(key, seq, size), []string{"all", "of " + key})
				}
				if err != nil {
					fmt.Println("error", err)
					return
				}
				fmt.Printf("ack %s %d\n", key, seq)
			}
		})
	}
	wg.Wait()
	return 1
}

// crashValue is a value that names the write it comes from and tells whether it is
// whole.
func crashValue(key string, seq, size int) []byte {
	v := fmt.Appendf(nil, "%s %d %d ", key, seq, size)
	v = append(v, bytes.Repeat([]byte{byte(seq)}, size)...)
	return fmt.Appendf(v, "%08x", crc32.ChecksumIEEE(v))
}

// crashState is what may be found of a key: what the last acknowledged operation
// left, or what one that was not acknowledged would have.
type crashState struct {
	acked   operation
	pending operation
	open    bool
}

type operation struct {
	seq  int
	size int // -1: the key is gone
}

func TestKilledWriter(t *testing.T) {
	rounds := 8
	if testing.Short() {
		rounds = 3
	}
	dir := t.TempDir()
	states := make(map[string]*crashState)
	total := 0
	for round := range rounds {
		total += killWriter(t, dir, states, 30+rand.IntN(120))
		if t.Failed() {
			t.FailNow()
		}
		checkAfterKill(t, dir, states)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	t.Logf("%d acknowledged operations in %d lives", total, rounds)
}

// killWriter runs a writer and kills it after some acknowledgements.
func killWriter(t *testing.T, dir string, states map[string]*crashState, after int) (acks int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), writerDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	lines := bufio.NewScanner(out)
	for lines.Scan() { // to the end: what it said before it died counts
		var key string
		var op operation
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "try "):
			if _, err := fmt.Sscanf(line, "try %s %d %d", &key, &op.seq, &op.size); err != nil {
				t.Fatal(line)
			}
			if states[key] == nil {
				states[key] = &crashState{acked: operation{size: -1}}
			}
			states[key].pending, states[key].open = op, true
		case strings.HasPrefix(line, "ack "):
			if _, err := fmt.Sscanf(line, "ack %s %d", &key, &op.seq); err != nil || states[key].pending.seq != op.seq {
				t.Fatal(line)
			}
			states[key].acked, states[key].open = states[key].pending, false
			if acks++; acks == after {
				cmd.Process.Kill()
			}
		default:
			t.Errorf("writer says %q", line)
			cmd.Process.Kill()
		}
	}
	return acks
}

func checkAfterKill(t *testing.T, dir string, states map[string]*crashState) {
	t.Helper()
	state := openState(t, dir)
	s := openStore(t, state)
	defer state.Close()
	defer s.Close()
	var present []string
	for key, c := range states {
		found := operation{size: -1}
		v, err := s.Read(t.Context(), "crash", key)
		if err == nil {
			var name string
			if _, err := fmt.Sscanf(string(v[:min(len(v), 60)]), "%s %d %d", &name, &found.seq, &found.size); err != nil || name != key {
				t.Fatalf("value of %s begins with %.60q", key, v)
			}
			if !bytes.Equal(v, crashValue(key, found.seq, found.size)) {
				t.Errorf("value of %s is torn", key)
			}
			present = append(present, key)
		} else if !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		same := func(op operation) bool {
			return op.size == found.size && (op.size < 0 || op.seq == found.seq)
		}
		if !same(c.acked) && !(c.open && same(c.pending)) {
			t.Errorf("%s: found %+v, acknowledged %+v, pending (%v) %+v", key, found, c.acked, c.open, c.pending)
		}
		c.acked, c.open = found, false
	}
	slices.Sort(present)
	keys, err := s.Find(t.Context(), "crash", []string{"all"})
	if err != nil || !slices.Equal(keys, present) {
		t.Errorf("find gives %q, %v; there are %q", keys, err, present)
	}
	for _, key := range present {
		if keys, err := s.Find(t.Context(), "crash", []string{"of " + key}); err != nil || !slices.Equal(keys, []string{key}) {
			t.Errorf("find by the tag of %s gives %q, %v", key, keys, err)
		}
	}
	// What the crash left behind was collected when the store was opened.
	blobs, err := state.Blobs(t.Context(), "storage")
	if err != nil {
		t.Fatal(err)
	}
	list, err := blobs.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	large := 0
	for _, key := range present {
		if states[key].acked.size > 64<<10 {
			large++
		}
	}
	if len(list) != large {
		t.Errorf("there are %d blobs for %d large values", len(list), large)
	}
	for _, b := range list {
		if !b.Complete {
			t.Errorf("blob %s is incomplete", b.Name)
		}
	}
}
