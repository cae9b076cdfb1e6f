package unicorn

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/cocaine/cocaine-go/internal/jetstream"
)

// Several runtimes that share a state engine cannot tell from the tree who of them
// is alive. Each one therefore has a session: a key in a bucket of its own, which
// expires unless it is written again in time. An ephemeral node names the session it
// belongs to; when that is gone, whoever notices first removes the node. The nodes
// themselves are never rewritten, so that their order is that of their making.

const (
	sessionBucket = "unicorn_sessions"
	// leaseTime is how long a session outlives the last sign of life.
	leaseTime = 15 * time.Second
	// leaseBeat is how often there is one.
	leaseBeat = leaseTime / 6
	// leaseGrace is how long a runtime that cannot renew its session goes on as if it
	// had it. It leaves time to notice: nobody may think that he holds what somebody
	// else has got.
	leaseGrace = leaseTime * 2 / 3
	// leaseEnd bounds the time to give a session up.
	leaseEnd = 5 * time.Second
)

var (
	errTooOld = errors.New("the state engine is too old for ephemeral nodes: it must be NATS 2.11 or newer")
	// errExpired means that this runtime was cut off from the state engine for so long
	// that the others may have taken what it held. It is ErrClosed to those who held it.
	errExpired = fmt.Errorf("the session with the state engine has expired: %w", ErrClosed)
)

// lease is the session of this runtime.
type lease struct {
	s  *JetStream
	kv *jetstream.KV

	mu      sync.Mutex
	id      string // "" if there is none
	rev     uint64
	renewed time.Time // when it was last known to be alive
}

// openLease begins a session, if the engine can let it expire.
func (s *JetStream) openLease(ctx context.Context, state *jetstream.State) error {
	kv, err := state.KV(ctx, sessionBucket, jetstream.KVOptions{})
	if err != nil || !kv.SupportsTTL() {
		return err
	}
	l := &lease{s: s, kv: kv}
	if err := l.begin(ctx); err != nil {
		return err
	}
	s.lease = l
	return nil
}

// current is the session for a node to be made now.
func (l *lease) current() (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.id == "" {
		return "", errExpired
	}
	return l.id, nil
}

// keep beats until the store ends.
func (l *lease) keep() {
	beat := time.NewTicker(leaseBeat)
	defer beat.Stop()
	for {
		select {
		case <-beat.C:
			ctx, cancel := context.WithTimeout(l.s.life, leaseBeat)
			l.beat(ctx)
			cancel()
		case <-l.s.life.Done():
			return
		}
	}
}

// beat gives a sign of life, and looks for those who give none.
func (l *lease) beat(ctx context.Context) {
	if err := l.renew(ctx); err != nil {
		l.s.log.Warn("unicorn: cannot renew the session with the state engine", "cause", err)
		return
	}
	l.sweep(ctx)
}

// begin makes a new session.
func (l *lease) begin(ctx context.Context) error {
	now, id := time.Now(), rand.Text()
	rev, err := l.kv.Create(ctx, id, nil, jetstream.WriteOptions{TTL: leaseTime})
	if err != nil {
		return cause(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.id, l.rev, l.renewed = id, rev, now
	return nil
}

// renew keeps the session alive. One that has expired, or may have before the next
// beat, is given up, and a new one begun.
func (l *lease) renew(ctx context.Context) error {
	now := time.Now()
	l.mu.Lock()
	id, rev, renewed := l.id, l.rev, l.renewed
	l.mu.Unlock()
	if id == "" {
		return l.begin(ctx)
	}
	rev, err := l.kv.Update(ctx, id, nil, rev, jetstream.WriteOptions{TTL: leaseTime})
	if err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.rev, l.renewed = rev, now
		return nil
	}
	if err = cause(err); errors.Is(err, errConflict) || time.Since(renewed) > leaseGrace {
		l.giveUp(id)
		return errors.Join(errExpired, err)
	}
	return err
}

// giveUp ends all that belongs to a session.
func (l *lease) giveUp(id string) {
	l.mu.Lock()
	l.id = ""
	l.mu.Unlock()
	for path, owner := range l.s.t.loseSession(id) {
		l.s.background(func() { l.s.discard(path, owner) })
	}
}

// sweep removes the nodes of sessions that are gone.
func (l *lease) sweep(ctx context.Context) {
	alive := make(map[string]bool)
	for path, owner := range l.s.t.owners() {
		session := sessionOf(owner)
		known, asked := alive[session]
		if !asked {
			_, err := l.kv.Get(ctx, session)
			known = !errors.Is(err, jetstream.ErrNotFound)
			alive[session] = known
		}
		if !known {
			l.s.log.Info("unicorn: removing what a lost runtime held", "path", show(path))
			if err := l.s.removeOwned(ctx, path, owner); err != nil && !errors.Is(err, ErrNoNode) {
				l.s.log.Warn("unicorn: an ephemeral node stays for now", "path", show(path), "cause", err)
			}
		}
	}
}

// close gives the session up, so that the other runtimes need not wait for its end.
// The store has ended.
func (l *lease) close() {
	ctx, cancel := context.WithTimeout(context.Background(), leaseEnd)
	defer cancel()
	l.mu.Lock()
	id := l.id
	l.id = ""
	l.mu.Unlock()
	if id == "" {
		return
	}
	for path, owner := range l.s.t.owners() {
		if sessionOf(owner) != id {
			continue
		}
		if r, rev, err := l.s.j.load(ctx, path); err == nil && r.owner == owner {
			_, _ = l.s.j.remove(ctx, path, rev) // if it fails, the others do it
		}
	}
	_, _ = l.kv.Delete(ctx, id, 0) // likewise: it expires
}

// ownerIn makes the mark of a new ephemeral node.
func ownerIn(session string) string { return session + "." + rand.Text() }

func sessionOf(owner string) string {
	session, _, _ := strings.Cut(owner, ".")
	return session
}

// loseSession tells those who hold nodes of a session that they do no more, and
// lists the nodes.
func (t *tree) loseSession(session string) map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make(map[string]string)
	for owner, h := range t.ours {
		if sessionOf(owner) == session {
			delete(t.ours, owner)
			h.lose(cannot("hold", h.path, errExpired))
			all[h.path] = owner
		}
	}
	return all
}
