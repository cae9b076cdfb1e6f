package jetstream

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// maxStoreBytes is not a quota: the disk is the limit. The engine's default
	// is three quarters of what is free when it starts, which would refuse
	// writes after a restart on a disk that is half full of our own data.
	maxStoreBytes = 1 << 50
	// maxMemoryBytes bounds streams held in memory. We make none; consumers of
	// watchers keep a few hundred bytes each.
	maxMemoryBytes = 32 << 20
)

// engine is a nats-server inside this process. It listens on no port; clients
// reach it through in-process pipes.
type engine struct {
	*server.Server
	dir string
	log *serverLog
	// found are the streams that were on disk before the start.
	found []string
	lock  *dirLock
}

// startEngine takes ownership of dir and brings the engine up on it.
func startEngine(dir string, log *slog.Logger) (_ *engine, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, causeOf(err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, causeOf(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.release())
		}
	}()
	if err := breakSeal(dir); err != nil {
		return nil, err
	}
	if err := removeUnfinished(streamsDir(dir)); err != nil {
		return nil, err
	}
	srv, err := server.NewServer(&server.Options{
		ServerName:             "cocaine",
		DontListen:             true,
		NoSigs:                 true,
		JetStream:              true,
		StoreDir:               dir,
		SyncAlways:             true,
		JetStreamMaxMemory:     maxMemoryBytes,
		JetStreamMaxStore:      maxStoreBytes,
		DisableJetStreamBanner: true,
		MaxPayload:             maxPayload,
	})
	if err != nil {
		return nil, err
	}
	e := &engine{Server: srv, dir: dir, log: &serverLog{log: log}, found: streamDirs(dir), lock: lock}
	srv.SetLoggerV2(e.log, false, false, false)
	// Start returns when JetStream has recovered its streams: with no listener
	// there is nothing in it that blocks.
	srv.Start()
	if text := e.log.fatalText(); text != "" || !srv.JetStreamEnabled() {
		e.stop()
		if text == "" {
			text = "the engine did not start"
		}
		return nil, errors.New(text)
	}
	return e, nil
}

// stop ends the engine and waits until it is down. The lock stays held.
func (e *engine) stop() {
	e.Shutdown()
	e.WaitForShutdown()
}

// close stops the engine, seals the directory if the state in it is whole, and
// gives it up.
func (e *engine) close(whole bool) error {
	e.stop()
	var err error
	if whole {
		err = writeSeal(e.dir)
	}
	return errors.Join(err, e.lock.release())
}

// streamsDir is where the engine keeps the streams of its only account.
func streamsDir(dir string) string {
	return filepath.Join(dir, server.JetStreamStoreDir, "$G", "streams")
}

// removeUnfinished deletes stream directories whose creation a crash cut short:
// the engine writes a stream's two metadata files before it accepts a message,
// so a directory without them and without messages holds nothing anyone was
// promised. Left in place it would count as damage for ever.
func removeUnfinished(streams string) error {
	dirs, err := os.ReadDir(streams)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, d := range dirs {
		path := filepath.Join(streams, d.Name())
		if hasContent(filepath.Join(path, server.JetStreamMetaFile)) && hasContent(filepath.Join(path, server.JetStreamMetaFileSum)) {
			continue
		}
		if hasMessages(path) {
			continue // recovery will fail and checkRecovered will say so
		}
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("cannot remove the unfinished stream %s: %w", d.Name(), err)
		}
	}
	return nil
}

func hasContent(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Size() > 0
}

func hasMessages(stream string) bool {
	files, _ := os.ReadDir(filepath.Join(stream, "msgs"))
	for _, f := range files {
		if filepath.Ext(f.Name()) == ".blk" && hasContent(filepath.Join(stream, "msgs", f.Name())) {
			return true
		}
	}
	return false
}

// streamDirs lists the streams on disk.
func streamDirs(dir string) []string {
	entries, _ := os.ReadDir(streamsDir(dir))
	var names []string
	for _, e := range entries {
		// The engine renames a stream that it deletes to a name with a dot.
		if e.IsDir() && e.Name()[0] != '.' {
			names = append(names, e.Name())
		}
	}
	return names
}
