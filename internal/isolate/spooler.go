package isolate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"

	"github.com/cocaine/cocaine-go/internal/archive"
)

// DefaultSpool is where the original keeps apps' code.
const DefaultSpool = "/var/spool/cocaine"

// DefaultSpare is how many releases of an app stay besides those in use.
const DefaultSpare = 2

// What can be wrong with a Spool. Match with errors.Is.
var (
	// ErrAppName: the name cannot be that of a directory.
	ErrAppName = errors.New("not usable as a directory's name")
	// ErrDigest: the archive is not the one that was asked for, or the digest is none.
	ErrDigest = errors.New("digest does not match")
	// ErrSpoolTaken: another runtime works in the directory.
	ErrSpoolTaken = errors.New("in use by another runtime")
	// ErrSpoolerClosed: Close was called.
	ErrSpoolerClosed = errors.New("spooler is closed")
)

// SpoolerOptions configure a Spooler. The zero value is ready to use.
type SpoolerOptions struct {
	// Dir holds a directory for each app. If empty, DefaultSpool.
	Dir string
	// Spare is how many releases of an app stay besides those in use, so that
	// going back is quick. If zero, DefaultSpare; if negative, none.
	Spare int
	// Limits bound what an archive may hold.
	Limits archive.Limits
	// Log receives what went wrong with old releases. If nil, nothing is logged.
	Log *slog.Logger
}

// A Spooler keeps the code of apps on disk, one directory for each release:
//
//	<dir>/.lock                    held by the runtime that works here
//	<dir>/<app>/<digest>/          a release: 32 hexadecimal digits of its archive's sha256
//	<dir>/<app>/current            symbolic link to the release spooled last, for people
//	<dir>/<app>/.new-*  .old-*     being unpacked, being removed
//
// A release appears by one rename, after its files are on disk, and is never
// changed by the runtime; so a directory with such a name is complete, after a
// crash and after a loss of power too. The original unpacked over the code of
// running workers. Whatever else lies in an app's directory is left alone.
//
// Calls for one app are served one after another, those for different apps at
// the same time. All methods may be called concurrently.
type Spooler struct {
	o  SpoolerOptions
	wg sync.WaitGroup // collections

	mu     sync.Mutex
	closed bool
	dirs   map[string]*spoolDir
	apps   map[appKey]*spooledApp
}

type appKey struct{ dir, app string }

// NewSpooler returns a spooler. It touches nothing before the first Spool.
func NewSpooler(o SpoolerOptions) *Spooler {
	if o.Dir == "" {
		o.Dir = DefaultSpool
	}
	switch {
	case o.Spare == 0:
		o.Spare = DefaultSpare
	case o.Spare < 0:
		o.Spare = 0
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Spooler{o: o, dirs: make(map[string]*spoolDir), apps: make(map[appKey]*spooledApp)}
}

// Spool is Place for a caller that holds the archive: it returns the directory
// of the release of app that digest names. If that is there already, archive is
// not read.
func (s *Spooler) Spool(ctx context.Context, app, digest string, archive io.Reader) (string, error) {
	return s.Place(ctx, Spec{App: app, Digest: digest, Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(archive), nil
	}})
}

// Place makes a release available and returns its directory.
func (s *Spooler) Place(ctx context.Context, spec Spec) (string, error) {
	dir, err := s.place(ctx, spec)
	if err != nil {
		return "", fmt.Errorf("cannot spool app %q: %w", spec.App, err)
	}
	return dir, nil
}

func (s *Spooler) place(ctx context.Context, spec Spec) (string, error) {
	settings, err := ParseSettings(spec.Settings)
	if err != nil {
		return "", err
	}
	if spec.Digest != "" && !isDigest(spec.Digest, digestLength) {
		return "", fmt.Errorf("%w: %q is no sha256", ErrDigest, spec.Digest)
	}
	app, err := s.app(settings.Spool, spec.App)
	if err != nil {
		return "", err
	}
	if err := app.take(ctx); err != nil {
		return "", err
	}
	defer app.release()
	if err := app.prepare(ctx); err != nil {
		return "", err
	}
	return app.place(ctx, spec, s.o.Limits)
}

// Keep tells which releases of an app are in use, by their digests. Of the
// others, the spare ones spooled last stay and the rest are removed, in the
// background. What an earlier Keep said is forgotten.
func (s *Spooler) Keep(app string, digests ...string) {
	inUse := make(map[string]bool)
	for _, d := range digests {
		inUse[d[:min(len(d), releaseName)]] = true
	}
	for _, a := range s.known(app) {
		s.inBackground(a, func() error { return a.collect(inUse, s.o.Spare) })
	}
}

// Remove removes all code of an app that does not run any more.
func (s *Spooler) Remove(ctx context.Context, app string) error {
	for _, a := range s.known(app) {
		if err := a.take(ctx); err != nil {
			return fmt.Errorf("cannot remove code of app %q: %w", app, err)
		}
		err := a.prepare(ctx)
		if err == nil {
			err = a.removeAll()
		}
		a.release()
		if err != nil {
			return fmt.Errorf("cannot remove code of app %q: %w", app, err)
		}
	}
	return nil
}

// Close waits for what is being removed and gives the directories free. Releases
// stay. Calls in progress, which their callers have to end, are waited for too.
func (s *Spooler) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.wg.Wait()
	// Nobody adds to the tables any more.
	for _, d := range s.dirs {
		d.shut()
	}
	for _, a := range s.apps {
		a.turn <- struct{}{} // whoever came before shut is done
		a.release()
	}
	var errs []error
	for _, d := range s.dirs {
		errs = append(errs, d.unlock())
	}
	return errors.Join(errs...)
}

// inBackground runs f in an app's turn. Close waits for it.
func (s *Spooler) inBackground(a *spooledApp, f func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.wg.Go(func() {
		a.turn <- struct{}{}
		defer a.release()
		if err := f(); err != nil {
			s.o.Log.Warn("cannot remove old releases", "app", a.name, "cause", err)
		}
	})
}

// app returns the state of an app in a spool directory, by default the spooler's own.
func (s *Spooler) app(dir, name string) (*spooledApp, error) {
	if err := checkAppName(name); err != nil {
		return nil, err
	}
	if dir == "" {
		dir = s.o.Dir
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrSpoolerClosed
	}
	key := appKey{dir, name}
	if a := s.apps[key]; a != nil {
		return a, nil
	}
	d := s.dirs[dir]
	if d == nil {
		d = newSpoolDir(dir)
		s.dirs[dir] = d
	}
	a := newSpooledApp(d, name)
	s.apps[key] = a
	return a, nil
}

// known returns what there is of an app: in the spooler's own directory, and in
// others that its profiles named.
func (s *Spooler) known(name string) []*spooledApp {
	own, err := s.app("", name)
	if err != nil {
		return nil
	}
	found := []*spooledApp{own}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, a := range s.apps {
		if key.app == name && a != own {
			found = append(found, a)
		}
	}
	return found
}

// checkAppName refuses names that are no single, visible path component.
func checkAppName(name string) error {
	if name == "" || len(name) > 255 || strings.HasPrefix(name, ".") || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("%w: %q", ErrAppName, name)
	}
	return nil
}

const (
	digestLength = 64 // hexadecimal digits of a sha256
	releaseName  = 32 // as many of them as name a release: 128 bits, beyond accident and forgery
)

func isDigest(s string, length int) bool {
	return len(s) == length && strings.Trim(s, "0123456789abcdef") == ""
}
