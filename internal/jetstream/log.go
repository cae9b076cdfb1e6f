package jetstream

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	nats_js "github.com/nats-io/nats.go/jetstream"
)

// LogOptions bound a log. Each bound drops the oldest entries; zero means none.
type LogOptions struct {
	MaxBytes  int64         // of the whole log
	MaxAge    time.Duration // of an entry
	MaxPerKey int64         // entries of one key
}

// Log is an append-only sequence of entries, each under a key (see KV).
type Log struct {
	name    string
	subject string
	state   *State
	stream  nats_js.Stream
}

// LogEntry is one entry. Sequences grow by one per entry of the whole log, so
// those of one key have gaps.
type LogEntry struct {
	Key      string
	Data     []byte
	Sequence uint64
	Time     time.Time
}

// Log opens a log and creates it when it is missing. Bounds that differ from
// those of an existing log are applied to it.
func (s *State) Log(ctx context.Context, name string, o LogOptions) (*Log, error) {
	if !validName(name) {
		return nil, fmt.Errorf("cannot open log %q: %w", name, errBadName)
	}
	full := s.opts.Prefix + "_" + name
	l := &Log{name: name, subject: "$LOG." + full + ".", state: s}
	cfg := nats_js.StreamConfig{
		Name:              "LOG_" + full,
		Subjects:          []string{l.subject + ">"},
		MaxBytes:          unlimited(o.MaxBytes),
		MaxAge:            o.MaxAge,
		MaxMsgsPerSubject: unlimited(o.MaxPerKey),
		Replicas:          s.opts.Replicas,
		AllowDirect:       true,
		Discard:           nats_js.DiscardOld,
		Duplicates:        noDuplicates,
	}
	var err error
	if l.stream, err = s.ensureStream(ctx, cfg); err != nil {
		return nil, cannot("open log", name, err)
	}
	have := l.stream.CachedInfo().Config
	if have.MaxBytes != cfg.MaxBytes || have.MaxAge != cfg.MaxAge || have.MaxMsgsPerSubject != cfg.MaxMsgsPerSubject {
		have.MaxBytes, have.MaxAge, have.MaxMsgsPerSubject = cfg.MaxBytes, cfg.MaxAge, cfg.MaxMsgsPerSubject
		if l.stream, err = s.js.UpdateStream(ctx, have); err != nil {
			return nil, cannot("open log", name, err)
		}
	}
	return l, nil
}

// Append adds an entry and returns its sequence.
func (l *Log) Append(ctx context.Context, key string, data []byte) (uint64, error) {
	if err := checkKey(key); err != nil {
		return 0, cannot("append to", l.object(key), err)
	}
	if err := l.state.checkSpace(len(data), reserve); err != nil {
		return 0, cannot("append to", l.object(key), err)
	}
	ack, err := l.state.js.PublishMsg(ctx, &nats.Msg{Subject: l.subject + key, Data: data})
	if err != nil {
		return 0, cannot("append to", l.object(key), err)
	}
	return ack.Sequence, nil
}

// Last returns the newest n entries whose keys match a pattern (see KV.Keys), the
// oldest first. It reads all that match, so MaxPerKey should be set.
func (l *Log) Last(ctx context.Context, pattern string, n int) ([]LogEntry, error) {
	if err := checkPattern(pattern); err != nil {
		return nil, cannot("read", l.object(pattern), err)
	}
	if n <= 0 {
		return nil, nil
	}
	f, err := l.open(ctx, pattern, nats.DeliverAll())
	if err != nil {
		return nil, cannot("read", l.object(pattern), err)
	}
	defer f.stop()
	var last []LogEntry
	for f.pending > 0 {
		e, err := l.next(ctx, f)
		if err != nil {
			return nil, cannot("read", l.object(pattern), err)
		}
		if len(last) == n {
			last = append(last[:0], last[1:]...)
		}
		last = append(last, e)
	}
	return last, nil
}

// Follow yields the entries whose keys match a pattern, from the given sequence
// on (zero: from now on), until ctx ends or the caller leaves the loop. An error
// is yielded once, as the last step; the end of ctx is not an error.
func (l *Log) Follow(ctx context.Context, pattern string, from uint64) iter.Seq2[LogEntry, error] {
	return func(yield func(LogEntry, error) bool) {
		err := l.follow(ctx, pattern, from, func(e LogEntry) bool { return yield(e, nil) })
		if err != nil && ctx.Err() == nil {
			yield(LogEntry{}, cannot("follow", l.object(pattern), err))
		}
	}
}

func (l *Log) follow(ctx context.Context, pattern string, from uint64, yield func(LogEntry) bool) error {
	if err := checkPattern(pattern); err != nil {
		return err
	}
	start := nats.DeliverNew()
	if from > 0 {
		start = nats.StartSequence(from)
	}
	f, err := l.open(ctx, pattern, start)
	if err != nil {
		return err
	}
	defer f.stop()
	for {
		e, err := l.next(ctx, f)
		if err != nil {
			return err
		}
		if !yield(e) {
			return nil
		}
	}
}

func (l *Log) open(ctx context.Context, pattern string, start nats.SubOpt) (*feed, error) {
	f, err := l.state.openFeed(ctx, l.stream.CachedInfo().Config.Name, l.subject+pattern, start)
	if errors.Is(err, nats.ErrStreamNotFound) {
		err = ErrClosed
	}
	return f, err
}

func (l *Log) next(ctx context.Context, f *feed) (LogEntry, error) {
	m, err := f.next(ctx)
	if err != nil {
		return LogEntry{}, err
	}
	return LogEntry{Key: strings.TrimPrefix(m.Subject, l.subject), Data: m.Data, Sequence: m.seq, Time: m.time}, nil
}

func (l *Log) object(key string) string { return "log " + l.name + "/" + key }
