package storage_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/internal/jetstream"
	"github.com/cocaine/cocaine-go/internal/storage"
	"github.com/cocaine/cocaine-go/internal/storage/storagetest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerDir); dir != "" {
		os.Exit(writeUntilKilled(dir))
	}
	goleak.VerifyTestMain(m)
}

func openState(t testing.TB, dir string) *jetstream.State {
	t.Helper()
	state, err := jetstream.Open(t.Context(), jetstream.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { state.Close() })
	return state
}

func openStore(t testing.TB, state *jetstream.State) *storage.JetStream {
	t.Helper()
	s, err := storage.NewJetStream(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestJetStream(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Store { return openStore(t, openState(t, t.TempDir())) })
}

func TestMemory(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Store { return storage.NewMemory() })
}
