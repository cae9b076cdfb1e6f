package storage

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/cocaine/cocaine-go/internal/jetstream"
)

const (
	bucket = "storage"
	// inline is the size up to which a value lies in its key's message.
	inline = 64 << 10
	// stripes is how many locks order the writers of this process.
	stripes = 64
	// cleanupTimeout bounds the deletion of a blob after its key has changed.
	cleanupTimeout = 10 * time.Second
)

// JetStream is the Store on the state engine.
type JetStream struct {
	kv    *jetstream.KV
	blobs *jetstream.Blobs
	index *watchedIndex
	log   *slog.Logger

	// Writers of one key take turns: each lock is a channel of one place, so that
	// waiting for it can be cut short. The engine's revisions would keep them
	// correct without, as they do between processes, but at the price of retries.
	locks [stripes]chan struct{}
	seed  maphash.Seed
}

var _ Store = (*JetStream)(nil)

// NewJetStream opens the store in a state engine, which must stay open until after
// Close. It returns when the index of tags is complete and what crashes left
// behind is collected.
func NewJetStream(ctx context.Context, state *jetstream.State) (*JetStream, error) {
	s, err := openJetStream(ctx, state)
	if err != nil {
		return nil, fmt.Errorf("cannot open storage: %w", err)
	}
	return s, nil
}

func openJetStream(ctx context.Context, state *jetstream.State) (*JetStream, error) {
	s := &JetStream{log: state.Logger(), seed: maphash.MakeSeed()}
	for i := range s.locks {
		s.locks[i] = make(chan struct{}, 1)
	}
	var err error
	if s.kv, err = state.KV(ctx, bucket, jetstream.KVOptions{}); err != nil {
		return nil, err
	}
	if s.blobs, err = state.Blobs(ctx, bucket); err != nil {
		return nil, err
	}
	// Blobs first, then the keys: a blob that is committed in between is known.
	left, err := s.blobs.List(ctx)
	if err != nil {
		return nil, err
	}
	if s.index, err = watchIndex(ctx, s.kv, s.log); err != nil {
		return nil, err
	}
	s.collect(ctx, left, state.Exclusive())
	return s, nil
}

// Close ends the store's background work. Later calls fail.
func (s *JetStream) Close() error {
	s.index.close()
	return nil
}

// Read implements Store.
func (s *JetStream) Read(ctx context.Context, collection, key string) ([]byte, error) {
	value, err := s.read(ctx, collection, key)
	if err != nil {
		return nil, cannot("read", collection, key, cause(err))
	}
	return value, nil
}

func (s *JetStream) read(ctx context.Context, collection, key string) ([]byte, error) {
	if err := checkCall(ctx, collection, key, nil); err != nil {
		return nil, err
	}
	value, _, err := s.get(ctx, kvKey(place{collection, key}))
	return value, err
}

// get reads a key, and what a change of it has to build on.
func (s *JetStream) get(ctx context.Context, k string) ([]byte, indexed, error) {
	var last uint64
	for {
		e, err := s.kv.Get(ctx, k)
		if err != nil {
			return nil, indexed{}, err
		}
		r, err := parseRecord(e.Meta)
		known := indexed{tags: r.tags, blob: r.blob, rev: e.Revision}
		if err != nil || r.blob == "" {
			return e.Value, known, err
		}
		if e.Revision == last {
			return nil, known, fmt.Errorf("%w: its blob is gone", ErrDamaged)
		}
		value, err := s.readBlob(ctx, r)
		if !errors.Is(err, jetstream.ErrNotFound) {
			return value, known, err
		}
		// The key was written again meanwhile and the old blob deleted; if it was
		// not, the next round finds the same revision.
		last = e.Revision
	}
}

func (s *JetStream) readBlob(ctx context.Context, r record) ([]byte, error) {
	blob, size, err := s.blobs.Get(ctx, r.blob)
	if err != nil {
		return nil, err
	}
	if size != r.size {
		return nil, fmt.Errorf("%w: its blob has %d bytes instead of %d", ErrDamaged, size, r.size)
	}
	value := make([]byte, size)
	if _, err := io.ReadFull(blob, value); err != nil {
		return nil, err
	}
	return value, nil
}

// Write implements Store.
func (s *JetStream) Write(ctx context.Context, collection, key string, value []byte, tags []string) error {
	err := checkCall(ctx, collection, key, tags)
	if err == nil {
		err = checkSize(value)
	}
	if err == nil {
		err = s.write(ctx, collection, key, value, tags)
	}
	if err != nil {
		return cannot("write", collection, key, cause(err))
	}
	return nil
}

func (s *JetStream) write(ctx context.Context, collection, key string, value []byte, tags []string) error {
	if err := s.index.err(); err != nil {
		return err
	}
	r, value, err := s.putLarge(ctx, tags, value)
	if err != nil {
		return err
	}
	replaced, sent, err := s.commit(ctx, place{collection, key}, r, value)
	if err != nil && !sent {
		replaced = r.blob // which nobody refers to
	}
	s.deleteBlob(ctx, replaced)
	return err
}

// commit writes the message of a key and returns the name of the blob that is no
// longer needed, if there is one. sent tells whether the engine may have stored
// the message although there is an error.
func (s *JetStream) commit(ctx context.Context, p place, r record, value []byte) (replaced string, sent bool, err error) {
	unlock, err := s.lock(ctx, p)
	if err != nil {
		return "", false, err
	}
	defer unlock()
	k := kvKey(p)
	for old := s.index.current(p); ; {
		sent, err := s.replace(ctx, p, old, r, value)
		if err == nil {
			return old.blob, true, nil
		}
		if !isConflict(err) {
			return "", sent, err
		}
		// Another process has written the key, and the index does not know yet.
		if old, err = s.load(ctx, k); err != nil {
			return "", false, err
		}
	}
}

// putLarge writes a value that does not fit beside its record as a blob. The value it
// returns is what remains for the message.
func (s *JetStream) putLarge(ctx context.Context, tags []string, value []byte) (record, []byte, error) {
	r := record{tags: tags}
	if len(value) <= inline {
		return r, value, nil
	}
	r.blob, r.size = newBlobName(), int64(len(value))
	_, err := s.blobs.Put(ctx, r.blob, bytes.NewReader(value))
	return r, nil, err
}

// replace writes the message of a key in the place of what is known of it. Whoever
// calls it has the key's turn.
func (s *JetStream) replace(ctx context.Context, p place, old indexed, r record, value []byte) (sent bool, err error) {
	next := record{tags: union(old.tags, r.tags), blob: r.blob, size: r.size}
	meta, err := next.encode()
	if err != nil {
		return false, err
	}
	var rev uint64
	if old.rev == 0 {
		rev, err = s.kv.Create(ctx, kvKey(p), value, jetstream.WriteOptions{Meta: meta})
	} else {
		rev, err = s.kv.Update(ctx, kvKey(p), value, old.rev, jetstream.WriteOptions{Meta: meta})
	}
	if err != nil {
		return true, err
	}
	s.index.wrote(p, indexed{tags: next.tags, blob: next.blob, rev: rev})
	return true, nil
}

// isConflict reports that another process has written the key meanwhile.
func isConflict(err error) bool {
	return errors.Is(err, jetstream.ErrExists) || errors.Is(err, jetstream.ErrConflict)
}

// Amend implements Store.
func (s *JetStream) Amend(ctx context.Context, collection, key string, tags []string, change func(old []byte) ([]byte, error)) error {
	err := checkCall(ctx, collection, key, tags)
	if err == nil {
		err = s.amend(ctx, place{collection, key}, tags, change)
	}
	if err != nil {
		return cannot("change", collection, key, cause(err))
	}
	return nil
}

func (s *JetStream) amend(ctx context.Context, p place, tags []string, change func(old []byte) ([]byte, error)) error {
	if err := s.index.err(); err != nil {
		return err
	}
	unlock, err := s.lock(ctx, p)
	if err != nil {
		return err
	}
	defer unlock()
	for {
		if err = s.amendOnce(ctx, p, tags, change); !isConflict(err) {
			return err
		}
	}
}

func (s *JetStream) amendOnce(ctx context.Context, p place, tags []string, change func(old []byte) ([]byte, error)) error {
	was, old, err := s.get(ctx, kvKey(p)) // not by the index: it does not hold values
	if err != nil && !errors.Is(err, jetstream.ErrNotFound) {
		return err
	}
	if err == nil && was == nil {
		was = []byte{} // it is there
	}
	value, err := change(was)
	if err != nil || value == nil {
		return err
	}
	if err := checkSize(value); err != nil {
		return err
	}
	r, value, err := s.putLarge(ctx, tags, value)
	if err != nil {
		return err
	}
	sent, err := s.replace(ctx, p, old, r, value)
	switch {
	case err == nil:
		s.deleteBlob(ctx, old.blob)
	case !sent || isConflict(err):
		s.deleteBlob(ctx, r.blob) // which nobody refers to
	}
	return err
}

// load reads the record of a key; if there is none, its revision is zero. One that
// cannot be read counts as one without tags, so that it can be overwritten.
func (s *JetStream) load(ctx context.Context, k string) (indexed, error) {
	e, err := s.kv.Get(ctx, k)
	if errors.Is(err, jetstream.ErrNotFound) {
		return indexed{}, nil
	}
	if err != nil {
		return indexed{}, err
	}
	r, _ := parseRecord(e.Meta)
	return indexed{tags: r.tags, blob: r.blob, rev: e.Revision}, nil
}

// Remove implements Store.
func (s *JetStream) Remove(ctx context.Context, collection, key string) error {
	err := checkCall(ctx, collection, key, nil)
	if err == nil {
		err = s.remove(ctx, place{collection, key})
	}
	if err != nil {
		return cannot("remove", collection, key, cause(err))
	}
	return nil
}

func (s *JetStream) remove(ctx context.Context, p place) error {
	if err := s.index.err(); err != nil {
		return err
	}
	unlock, err := s.lock(ctx, p)
	if err != nil {
		return err
	}
	defer unlock()
	k := kvKey(p)
	for {
		// Not from the index: that a key is missing must be true when it is said.
		old, err := s.load(ctx, k)
		if err != nil || old.rev == 0 {
			return err
		}
		rev, err := s.kv.Delete(ctx, k, old.rev)
		if errors.Is(err, jetstream.ErrConflict) {
			continue // another process was faster
		}
		if err != nil {
			return err
		}
		s.index.wrote(p, indexed{rev: rev})
		s.deleteBlob(ctx, old.blob)
		return nil
	}
}

// Find implements Store.
func (s *JetStream) Find(ctx context.Context, collection string, tags []string) ([]string, error) {
	err := checkFind(ctx, collection, tags)
	if err == nil {
		var found []string
		if found, err = s.index.find(ctx, collection, tags); err == nil {
			return found, nil
		}
	}
	return nil, fmt.Errorf("cannot find keys: %w", err)
}

// lock takes the turn to write a key.
func (s *JetStream) lock(ctx context.Context, p place) (unlock func(), err error) {
	l := s.locks[maphash.Comparable(s.seed, p)%stripes]
	select {
	case l <- struct{}{}:
		return func() { <-l }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// deleteBlob removes a blob that nothing refers to any more. If it fails, the next
// open of the store does it.
func (s *JetStream) deleteBlob(ctx context.Context, name string) {
	if name == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if err := s.blobs.Delete(ctx, name); err != nil {
		s.log.Warn("storage: an old value stays for now", "cause", err)
	}
}

// kvKey is the key of the bucket for a key of a collection.
func kvKey(p place) string {
	return jetstream.EncodeKey(p.collection) + "." + jetstream.EncodeKey(p.key)
}

func parseKVKey(k string) (place, error) {
	c, rest, _ := strings.Cut(k, ".")
	collection, err := jetstream.DecodeKey(c)
	if err != nil {
		return place{}, err
	}
	key, err := jetstream.DecodeKey(rest)
	return place{collection, key}, err
}

// A blob's name starts with the time of its making, by which the collector knows
// how old it is.
func newBlobName() string {
	return fmt.Sprintf("%x-%s", time.Now().Unix(), rand.Text())
}

// cause gives the reason of a failed engine operation without the engine's words
// for what was being done, which are ours already.
func cause(err error) error {
	for _, known := range []error{jetstream.ErrNotFound, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return known
		}
	}
	if errors.Is(err, jetstream.ErrClosed) {
		return ErrClosed
	}
	return err
}
