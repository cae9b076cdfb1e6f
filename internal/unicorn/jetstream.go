package unicorn

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/cocaine/cocaine-go/internal/jetstream"
)

const (
	bucket = "unicorn"
	// localSession is that of a runtime that has its state to itself.
	localSession = "local"
)

// JetStream is the Store on the state engine.
type JetStream struct {
	core
	kv      *jetstream.KV
	watcher *jetstream.Watcher
	alone   bool
	ready   bool   // the tree has been read; belongs to who reads the watcher
	lease   *lease // nil if alone, or if the engine is too old for it
}

var _ Store = (*JetStream)(nil)

// NewJetStream opens the store in a state engine, which must stay open until after
// Close. It returns when the whole tree is known, and the ephemeral nodes of runtimes
// that are no more are removed.
func NewJetStream(ctx context.Context, state *jetstream.State) (*JetStream, error) {
	s, err := openJetStream(ctx, state, state.Exclusive())
	if err != nil {
		return nil, fmt.Errorf("cannot open unicorn: %w", err)
	}
	return s, nil
}

func openJetStream(ctx context.Context, state *jetstream.State, alone bool) (*JetStream, error) {
	s := &JetStream{alone: alone}
	var err error
	if s.kv, err = state.KV(ctx, bucket, jetstream.KVOptions{}); err != nil {
		return nil, err
	}
	s.init((*journalKV)(s), state.Logger())
	if err := s.read(ctx); err != nil {
		return nil, err
	}
	if !alone {
		if err := s.openLease(ctx, state); err != nil {
			s.watcher.Stop()
			return nil, err
		}
	}
	s.wg.Go(s.follow)
	if alone {
		if err := s.removeEphemeral(ctx); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	if s.lease != nil {
		s.lease.sweep(ctx)
		s.wg.Go(s.lease.keep)
	}
	return s, nil
}

// Close ends every watch and every Held, whose nodes are removed, now or when the
// store is opened next. Later calls fail with ErrClosed. It may be called more than
// once.
func (s *JetStream) Close() error {
	s.t.end(ErrClosed)
	s.watcher.Stop()
	s.end()
	if s.lease != nil {
		s.lease.close()
	}
	return nil
}

// read makes the tree what is in the bucket.
func (s *JetStream) read(ctx context.Context) error {
	var err error
	if s.watcher, err = s.kv.Watch(ctx, ">", jetstream.WatchOptions{}); err != nil {
		return err
	}
	for {
		e, err := s.watcher.Next(ctx)
		if err != nil {
			s.watcher.Stop()
			return err
		}
		if e.Synced {
			s.t.count()
			s.ready = true
			return nil
		}
		s.apply(e)
	}
}

// follow shows in the tree what is written, by whomever.
func (s *JetStream) follow() {
	for {
		e, err := s.watcher.Next(s.life)
		if err != nil {
			if s.life.Err() == nil && !errors.Is(s.t.failed(), ErrClosed) {
				s.log.Error("unicorn: the state engine is gone", "cause", err)
			}
			s.t.end(ErrClosed)
			return
		}
		s.apply(e)
	}
}

func (s *JetStream) apply(e jetstream.Event) {
	path, err := parseKey(e.Key)
	if err != nil {
		s.log.Warn("unicorn: a key is none of ours", "key", e.Key, "cause", err)
		s.t.pass(e.Revision)
		return
	}
	if e.Deleted {
		s.t.remove(path, e.Revision)
		return
	}
	r := parseRecord(e.Value, e.Meta)
	if r.damaged {
		s.log.Warn("unicorn: a record cannot be read", "path", show(path))
	}
	s.t.set(path, r, e.Revision)
	if s.ready && s.isOrphan(r) {
		s.background(func() { s.discard(path, r.owner) })
	}
}

// isOrphan reports whether a record is that of an ephemeral node of this process that
// nobody holds: the engine has kept it although it did not say so in time.
func (s *JetStream) isOrphan(r record) bool {
	if r.kind == persistent || s.t.owns(r.owner) {
		return false
	}
	session, err := s.j.session()
	return err == nil && sessionOf(r.owner) == session
}

// removeEphemeral removes what an earlier life of this runtime held.
func (s *JetStream) removeEphemeral(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(removals)
	for path, owner := range s.t.owners() {
		g.Go(func() error {
			if err := s.removeOwned(ctx, path, owner); !errors.Is(err, ErrNoNode) {
				return err
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("cannot remove the ephemeral nodes of an earlier life: %w", err)
	}
	return nil
}

// journalKV keeps the records in the bucket.
type journalKV JetStream

func (s *journalKV) write(ctx context.Context, path string, r record, prev uint64) (rev uint64, err error) {
	o := jetstream.WriteOptions{Meta: r.meta()}
	if prev == 0 {
		rev, err = s.kv.Create(ctx, key(path), r.Value, o)
	} else {
		rev, err = s.kv.Update(ctx, key(path), r.Value, prev, o)
	}
	return rev, cause(err)
}

func (s *journalKV) remove(ctx context.Context, path string, prev uint64) (uint64, error) {
	rev, err := s.kv.Delete(ctx, key(path), prev)
	return rev, cause(err)
}

func (s *journalKV) load(ctx context.Context, path string) (record, uint64, error) {
	e, err := s.kv.Get(ctx, key(path))
	if errors.Is(err, jetstream.ErrNotFound) {
		return record{Versioned: missing}, 0, nil
	}
	if err != nil {
		return record{}, 0, cause(err)
	}
	r := parseRecord(e.Value, e.Meta)
	if r.rank == 0 {
		r.rank = e.Revision
	}
	return r, e.Revision, nil
}

func (s *journalKV) session() (string, error) {
	if s.alone {
		return localSession, nil
	}
	if s.lease == nil {
		return "", errTooOld
	}
	return s.lease.current()
}

func (s *journalKV) exclusive() bool { return s.alone }

// cause gives the reason of a failed engine operation without the engine's words for
// what was being done, which are ours already.
func cause(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrExists), errors.Is(err, jetstream.ErrConflict):
		return errConflict
	case errors.Is(err, jetstream.ErrClosed):
		return ErrClosed
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	}
	return err
}

// failed is why the tree has ended, nil while it has not.
func (t *tree) failed() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}
