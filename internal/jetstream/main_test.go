package jetstream_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/internal/jetstream"
)

// holdDir names the variable that turns the test binary into a process that opens
// a state directory, says so, and holds it until its input ends.
const holdDir = "JETSTREAM_TEST_HOLD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(holdDir); dir != "" {
		os.Exit(hold(dir))
	}
	goleak.VerifyTestMain(m)
}

func hold(dir string) int {
	s, err := jetstream.Open(context.Background(), jetstream.Options{Dir: dir})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	kv, err := s.KV(context.Background(), "things", jetstream.KVOptions{})
	if err == nil {
		_, err = kv.Put(context.Background(), "held", []byte("yes"), jetstream.WriteOptions{})
	}
	fmt.Println("held", err)
	os.Stdin.Read(make([]byte, 1))
	return 0 // without Close: the lock must go with the process
}

func open(t *testing.T, dir string) *jetstream.State {
	t.Helper()
	s, err := jetstream.Open(t.Context(), jetstream.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func openKV(t *testing.T, s *jetstream.State) *jetstream.KV {
	t.Helper()
	kv, err := s.KV(t.Context(), "things", jetstream.KVOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return kv
}
