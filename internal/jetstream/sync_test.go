package jetstream

import (
	"testing"

	nats_js "github.com/nats-io/nats.go/jetstream"
)

// TestWritesAreSynced holds the engine to guarantee 1: it fsyncs every write, and
// no stream of ours asks to be exempt.
func TestWritesAreSynced(t *testing.T) {
	ctx := t.Context()
	s, err := Open(ctx, Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.KV(ctx, "a", KVOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Blobs(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Log(ctx, "c", LogOptions{}); err != nil {
		t.Fatal(err)
	}
	if cfg := s.engine.JetStreamConfig(); !cfg.SyncAlways {
		t.Errorf("the engine does not sync: %+v", cfg)
	}
	n := 0
	for info := range s.js.ListStreams(ctx).Info() {
		n++
		if info.Config.Storage != nats_js.FileStorage || info.Config.PersistMode != nats_js.DefaultPersistMode {
			t.Errorf("stream %s has storage %v and mode %v", info.Config.Name, info.Config.Storage, info.Config.PersistMode)
		}
	}
	if n != 3 {
		t.Errorf("there are %d streams, want 3", n)
	}
	if cfg := s.engine.NumClients(); cfg != 1 {
		t.Errorf("the engine has %d clients, want our own", cfg)
	}
	if s.engine.Addr() != nil {
		t.Errorf("the engine listens on %v", s.engine.Addr())
	}
}
