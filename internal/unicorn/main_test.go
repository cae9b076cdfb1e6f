package unicorn_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/internal/jetstream"
	"github.com/cocaine/cocaine-go/internal/unicorn"
	"github.com/cocaine/cocaine-go/internal/unicorn/unicorntest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(runtimeDir); dir != "" {
		os.Exit(runUntilKilled(dir))
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

func openStore(t testing.TB, state *jetstream.State) *unicorn.JetStream {
	t.Helper()
	s, err := unicorn.NewJetStream(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func openMemory(t testing.TB) *unicorn.Memory {
	m := unicorn.NewMemory()
	t.Cleanup(func() { m.Close() })
	return m
}

func TestMemory(t *testing.T) {
	unicorntest.Run(t, func(t *testing.T) unicorn.Store { return openMemory(t) })
}

func TestJetStream(t *testing.T) {
	unicorntest.Run(t, func(t *testing.T) unicorn.Store { return openStore(t, openState(t, t.TempDir())) })
}
