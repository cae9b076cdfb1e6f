package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// WatchOptions tune a watch.
type WatchOptions struct {
	// UpdatesOnly leaves out what is in the bucket when the watch starts, and the
	// Synced event with it.
	UpdatesOnly bool
	// KeysOnly leaves the values out.
	KeysOnly bool
}

// Event is one step of a watch.
type Event struct {
	// Entry is the key as it is now. Of a deleted key it has no Value and no Meta.
	Entry
	// Deleted means that the key was removed or has expired.
	Deleted bool
	// Synced is set on one event without an Entry: all that was in the bucket
	// when the watch started has been delivered.
	Synced bool
}

// Watcher delivers the changes of a bucket in the order of their revisions. Of a
// key that changes faster than the watcher reads it may show the last state only.
// It belongs to one goroutine, except Stop.
type Watcher struct {
	feed   *feed
	kv     *KV
	synced bool
}

// Watch follows the keys that match a pattern (see Keys). Unless UpdatesOnly is
// set it delivers the current keys first, markers of removed ones included, and
// then one Synced event. ctx bounds only the start; Stop ends the watch.
func (k *KV) Watch(ctx context.Context, pattern string, o WatchOptions) (*Watcher, error) {
	if err := checkPattern(pattern); err != nil {
		return nil, cannot("watch", k.object(pattern), err)
	}
	opts := []nats.SubOpt{nats.DeliverLastPerSubject()}
	if o.UpdatesOnly {
		opts[0] = nats.DeliverNew()
	}
	if o.KeysOnly {
		opts = append(opts, nats.HeadersOnly())
	}
	f, err := k.state.openFeed(ctx, k.stream.CachedInfo().Config.Name, k.subject+pattern, opts...)
	if err != nil {
		return nil, cannot("watch", k.object(pattern), err)
	}
	return &Watcher{feed: f, kv: k, synced: o.UpdatesOnly}, nil
}

// Next waits for the next event. When ctx ends it returns the context's error,
// and the watch goes on. After Stop, or when the State is closed, it returns
// ErrClosed.
func (w *Watcher) Next(ctx context.Context) (Event, error) {
	if !w.synced && w.feed.pending == 0 {
		w.synced = true
		return Event{Synced: true}, nil
	}
	m, err := w.feed.next(ctx)
	if err != nil {
		return Event{}, cannot("watch", w.kv.bucket, err)
	}
	e := Event{
		Entry: Entry{
			Key:      strings.TrimPrefix(m.Subject, w.kv.subject),
			Revision: m.seq,
			Time:     m.time,
		},
		Deleted: isMarker(m.Header),
	}
	if !e.Deleted {
		e.Value, e.Meta = m.Data, m.Header.Get(headerMeta)
	}
	return e, nil
}

// Stop ends the watch; a Next in progress returns ErrClosed.
func (w *Watcher) Stop() { w.feed.stop() }

// checkPattern accepts an encoded key whose tokens may be "*", and whose last
// one may be ">".
func checkPattern(pattern string) error {
	head, last := "", pattern
	if i := strings.LastIndexByte(pattern, '.'); i >= 0 {
		head, last = pattern[:i], pattern[i+1:]
	}
	if last == ">" {
		last = "*"
	}
	for token := range strings.SplitSeq(head, ".") {
		if token == "*" || token == "" && head == "" {
			continue
		}
		if err := checkKey(token); err != nil {
			return fmt.Errorf("pattern %q: %w", pattern, err)
		}
	}
	if last == "*" {
		return nil
	}
	return checkKey(last)
}

// feed reads a stream in order from some point on. The client library restarts
// it by itself after a lost connection, from where it was. next belongs to one
// goroutine, stop does not.
type feed struct {
	sub    *nats.Subscription
	cancel context.CancelFunc
	// pending counts the messages still to come of those that were in the stream
	// when the feed was opened.
	pending uint64
}

type feedMessage struct {
	*nats.Msg
	seq  uint64
	time time.Time
}

func (s *State) openFeed(ctx context.Context, stream, subject string, opts ...nats.SubOpt) (*feed, error) {
	// The library ends a subscription with the context that it was started with,
	// so it gets one of its own, which ctx can only end during the start.
	life, cancel := context.WithCancel(context.Background())
	defer context.AfterFunc(ctx, cancel)()
	timer := time.AfterFunc(requestTimeout, cancel)
	defer timer.Stop()

	opts = append(opts, nats.OrderedConsumer(), nats.BindStream(stream), nats.Context(life))
	sub, err := s.push.SubscribeSync(subject, opts...)
	if err == nil {
		err = ctx.Err() // the deferred stop of AfterFunc may come too late
	}
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		} else if life.Err() != nil {
			err = context.DeadlineExceeded
		}
		cancel()
		return nil, err
	}
	f := &feed{sub: sub, cancel: cancel}
	if f.pending, err = sub.InitialConsumerPending(); err != nil {
		f.stop()
		return nil, err
	}
	return f, nil
}

func (f *feed) next(ctx context.Context) (feedMessage, error) {
	m, err := f.sub.NextMsgWithContext(ctx)
	for errors.Is(err, nats.ErrSlowConsumer) {
		// We were too slow and messages were dropped. The library notices the gap
		// and asks for them again.
		m, err = f.sub.NextMsgWithContext(ctx)
	}
	if err != nil {
		if !f.sub.IsValid() {
			return feedMessage{}, ErrClosed
		}
		return feedMessage{}, err
	}
	meta, err := m.Metadata()
	if err != nil {
		return feedMessage{}, err
	}
	if f.pending > 0 {
		f.pending = min(f.pending-1, meta.NumPending)
	}
	return feedMessage{Msg: m, seq: meta.Sequence.Stream, time: meta.Timestamp}, nil
}

func (f *feed) stop() {
	// An error says that the connection is gone, and the subscription with it.
	_ = f.sub.Unsubscribe()
	f.cancel()
}
