package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	nats_js "github.com/nats-io/nats.go/jetstream"
)

// markerTTL is how long the marker of a deleted key stays, for watchers that were
// cut off meanwhile to see it.
const markerTTL = time.Hour

// Headers of a bucket's messages. The first is the one by which the NATS tools
// know a deleted key, so that they can read our buckets.
const (
	headerOperation = "KV-Operation"
	headerMeta      = "Cocaine-Meta"
)

// KVOptions tune a bucket when it is created; they do not change an existing one.
type KVOptions struct {
	// MaxBytes bounds the bucket on disk. If zero, there is no bound.
	MaxBytes int64
}

// KV is a bucket of keys. A key is made of tokens from EncodeKey, joined with
// dots. Every write gives its key a revision, which grows across the whole bucket.
type KV struct {
	bucket  string // without the prefix, for messages
	subject string // what a key's subject starts with
	state   *State
	stream  nats_js.Stream
	ttl     bool
}

// Entry is one key as it was read.
type Entry struct {
	Key      string
	Value    []byte // owned by the receiver
	Meta     string // what the writer put beside the value
	Revision uint64
	Time     time.Time // when it was written
}

// WriteOptions are for Put, Create and Update.
type WriteOptions struct {
	// Meta is kept beside the value and delivered even to watchers that leave the
	// values out. It is printable ASCII without spaces at its ends.
	Meta string
	// TTL is how long the key lives unless it is written again. If zero, it does
	// not expire. Its resolution is one second, and it needs SupportsTTL.
	TTL time.Duration
}

// KV opens a bucket and creates it when it is missing.
func (s *State) KV(ctx context.Context, bucket string, o KVOptions) (*KV, error) {
	if !validName(bucket) {
		return nil, fmt.Errorf("cannot open bucket %q: %w", bucket, errBadName)
	}
	name := s.opts.Prefix + "_" + bucket
	subject := "$KV." + name + "."
	// Name, subjects and settings are those by which NATS tools know a bucket.
	cfg := nats_js.StreamConfig{
		Name:              "KV_" + name,
		Subjects:          []string{subject + ">"},
		MaxMsgsPerSubject: 1,
		MaxBytes:          unlimited(o.MaxBytes),
		Replicas:          s.opts.Replicas,
		AllowRollup:       true,
		AllowDirect:       true,
		DenyDelete:        true,
		Discard:           nats_js.DiscardNew,
		Duplicates:        noDuplicates,
	}
	if s.keyTTL {
		cfg.AllowMsgTTL, cfg.SubjectDeleteMarkerTTL = true, markerTTL
	}
	stream, err := s.ensureStream(ctx, cfg)
	if err != nil {
		return nil, cannot("open bucket", bucket, err)
	}
	return &KV{bucket: bucket, subject: subject, state: s, stream: stream, ttl: stream.CachedInfo().Config.AllowMsgTTL}, nil
}

// SupportsTTL reports whether keys of this bucket can expire one by one: the
// engine must be NATS 2.11 or newer.
func (k *KV) SupportsTTL() bool { return k.ttl }

// Get reads a key. A missing key is an error that wraps ErrNotFound.
func (k *KV) Get(ctx context.Context, key string) (Entry, error) {
	m, live, err := k.last(ctx, key)
	if err == nil && !live {
		err = ErrNotFound
	}
	if err != nil {
		return Entry{}, cannot("read", k.object(key), err)
	}
	return Entry{Key: key, Value: m.Data, Meta: m.Header.Get(headerMeta), Revision: m.Sequence, Time: m.Time}, nil
}

// Put writes a key whatever it holds, and returns its new revision.
func (k *KV) Put(ctx context.Context, key string, value []byte, o WriteOptions) (uint64, error) {
	rev, err := k.publish(ctx, key, value, o, nil)
	if err != nil {
		return 0, cannot("write", k.object(key), err)
	}
	return rev, nil
}

// Create writes a key that must not exist. If it does, the error wraps ErrExists.
func (k *KV) Create(ctx context.Context, key string, value []byte, o WriteOptions) (uint64, error) {
	rev, err := k.publish(ctx, key, value, o, new(uint64(0)))
	for isWrongRevision(err) {
		// What is in the way may be the marker of a deleted key.
		m, live, e := k.last(ctx, key)
		if e != nil {
			return 0, cannot("create", k.object(key), e)
		}
		if live {
			return 0, fmt.Errorf("cannot create %s: %w", k.object(key), ErrExists)
		}
		rev, err = k.publish(ctx, key, value, o, &m.Sequence)
	}
	if err != nil {
		return 0, cannot("create", k.object(key), err)
	}
	return rev, nil
}

// Update writes a key whose revision must be rev. If it is not, the error wraps
// ErrConflict. Update also restarts the key's time to live, from o.
func (k *KV) Update(ctx context.Context, key string, value []byte, rev uint64, o WriteOptions) (uint64, error) {
	rev, err := k.publish(ctx, key, value, o, &rev)
	if err != nil {
		return 0, cannot("update", k.object(key), err)
	}
	return rev, nil
}

// Delete removes a key and returns the revision of its removal. rev zero removes
// whatever is there, also nothing; otherwise the key must have that revision,
// else the error wraps ErrConflict.
func (k *KV) Delete(ctx context.Context, key string, rev uint64) (uint64, error) {
	h := nats.Header{
		headerOperation:   {"PURGE"},
		nats_js.MsgRollup: {nats_js.MsgRollupSubject},
	}
	if k.ttl {
		h.Set(nats_js.MsgTTLHeader, markerTTL.String())
	}
	if rev != 0 {
		expect(h, rev)
	}
	err := k.state.checkSpace(0, reserveForRemoval)
	var removed uint64
	if err == nil {
		removed, err = k.send(ctx, key, nil, h)
	}
	if err != nil {
		return 0, cannot("delete", k.object(key), err)
	}
	return removed, nil
}

// Keys lists the keys that match a pattern, in no order: ">" for all, "a.>" for
// those below the token a, "a.*" for those with exactly one more token.
func (k *KV) Keys(ctx context.Context, pattern string) ([]string, error) {
	w, err := k.Watch(ctx, pattern, WatchOptions{KeysOnly: true})
	if err != nil {
		return nil, cannot("list", k.object(pattern), err)
	}
	defer w.Stop()
	var keys []string
	for {
		e, err := w.Next(ctx)
		switch {
		case err != nil:
			return nil, cannot("list", k.object(pattern), err)
		case e.Synced:
			return keys, nil
		case !e.Deleted:
			keys = append(keys, e.Key)
		}
	}
}

// last reads the newest message of a key and tells whether it holds a value; if
// it does not, it is the marker of a removal, or the zero message.
func (k *KV) last(ctx context.Context, key string) (*nats_js.RawStreamMsg, bool, error) {
	if err := checkKey(key); err != nil {
		return nil, false, err
	}
	m, err := k.stream.GetLastMsgForSubject(ctx, k.subject+key)
	if errors.Is(err, nats_js.ErrMsgNotFound) {
		return &nats_js.RawStreamMsg{}, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	return m, !isMarker(m.Header), nil
}

// isMarker reports whether a message marks a removal: by a Delete, or by the
// engine when a key has expired.
func isMarker(h nats.Header) bool {
	return len(h) > 0 && (h.Get(headerOperation) != "" || h.Get(nats_js.MarkerReasonHeader) != "")
}

// publish writes a value; rev nil means whatever is there.
func (k *KV) publish(ctx context.Context, key string, value []byte, o WriteOptions, rev *uint64) (uint64, error) {
	h := nats.Header{}
	if o.Meta != "" {
		h[headerMeta] = []string{o.Meta}
	}
	if o.TTL > 0 {
		if !k.ttl {
			return 0, errors.New("the state engine is too old for keys that expire: it must be NATS 2.11 or newer")
		}
		h.Set(nats_js.MsgTTLHeader, max(o.TTL, time.Second).String())
	}
	if rev != nil {
		expect(h, *rev)
	}
	if err := k.state.checkSpace(len(value), reserve); err != nil {
		return 0, err
	}
	return k.send(ctx, key, value, h)
}

func (k *KV) send(ctx context.Context, key string, value []byte, h nats.Header) (uint64, error) {
	if err := checkKey(key); err != nil {
		return 0, err
	}
	ack, err := k.state.js.PublishMsg(ctx, &nats.Msg{Subject: k.subject + key, Header: h, Data: value})
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

func expect(h nats.Header, rev uint64) {
	h.Set(nats_js.ExpectedLastSubjSeqHeader, strconv.FormatUint(rev, 10))
}

// checkKey keeps wildcards and malformed subjects away from the engine.
func checkKey(key string) error {
	for token := range strings.SplitSeq(key, ".") {
		if token == "" {
			return fmt.Errorf("key %q has an empty token", key)
		}
		for i := range len(token) {
			if c := token[i]; !plain(c) && c != '=' {
				return fmt.Errorf("key %q is not encoded", key)
			}
		}
	}
	return nil
}

func (k *KV) object(key string) string { return k.bucket + "/" + key }
