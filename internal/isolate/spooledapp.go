package isolate

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cocaine/cocaine-go/internal/archive"
)

const (
	prefixNew   = ".new-"
	prefixOld   = ".old-"
	nameCurrent = "current"
)

// spooledApp is the directory of one app. Whoever has taken it may change it.
type spooledApp struct {
	dir   *spoolDir
	name  string
	path  string
	turn  chan struct{} // capacity 1
	clean bool          // leftovers of a crash are gone
}

func newSpooledApp(d *spoolDir, name string) *spooledApp {
	return &spooledApp{dir: d, name: name, path: filepath.Join(d.path, name), turn: make(chan struct{}, 1)}
}

func (a *spooledApp) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case a.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *spooledApp) release() { <-a.turn }

// prepare locks the spool directory and, the first time, removes what a runtime
// that died left half-done.
func (a *spooledApp) prepare(ctx context.Context) error {
	if err := a.dir.hold(ctx); err != nil {
		return err
	}
	if a.clean {
		return nil
	}
	if err := os.MkdirAll(a.path, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(a.path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefixNew) || strings.HasPrefix(e.Name(), prefixOld) {
			if err := os.RemoveAll(filepath.Join(a.path, e.Name())); err != nil {
				return err
			}
		}
	}
	a.clean = true
	return nil
}

// place returns the directory of a release, unpacking it if need be.
func (a *spooledApp) place(ctx context.Context, spec Spec, limits archive.Limits) (string, error) {
	if spec.Digest != "" {
		if dir, ok := a.find(spec.Digest); ok {
			return dir, a.point(dir)
		}
	}
	fresh := filepath.Join(a.path, prefixNew+rand.Text())
	dir, err := a.unpack(ctx, fresh, spec, limits)
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(fresh))
	}
	return dir, a.point(dir)
}

// find looks for a release and marks it as used now.
func (a *spooledApp) find(digest string) (string, bool) {
	dir := filepath.Join(a.path, digest[:releaseName])
	if info, err := os.Lstat(dir); err != nil || !info.IsDir() {
		return "", false
	}
	now := time.Now()
	os.Chtimes(dir, now, now) // only the order of removal depends on it
	return dir, true
}

// unpack unpacks a release into fresh and gives it its name.
func (a *spooledApp) unpack(ctx context.Context, fresh string, spec Spec, limits archive.Limits) (string, error) {
	digest, err := a.fill(ctx, fresh, spec, limits)
	if err != nil {
		return "", err
	}
	if spec.Digest != "" && digest != spec.Digest {
		return "", fmt.Errorf("%w: archive has %.12s, want %.12s", ErrDigest, digest, spec.Digest)
	}
	if dir, ok := a.find(digest); ok { // its digest was not known before
		return dir, os.RemoveAll(fresh)
	}
	// A rename may reach the disk before what it names. After a loss of power the
	// release would be there, and empty.
	if err := syncTree(fresh); err != nil {
		return "", err
	}
	dir := filepath.Join(a.path, digest[:releaseName])
	if err := os.Rename(fresh, dir); err != nil {
		return "", err
	}
	return dir, syncDir(a.path)
}

// fill unpacks the archive and returns its digest.
func (a *spooledApp) fill(ctx context.Context, fresh string, spec Spec, limits archive.Limits) (digest string, err error) {
	if spec.Open == nil {
		return "", errors.New("there is no archive")
	}
	in, err := spec.Open(ctx)
	if err != nil {
		return "", fmt.Errorf("cannot open archive: %w", err)
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	if err := os.Mkdir(fresh, 0o755); err != nil {
		return "", err
	}
	sum := sha256.New()
	r := io.TeeReader(in, sum)
	if _, err := archive.Unpack(ctx, r, fresh, archive.UnpackOptions{Limits: limits, Progress: spec.Progress}); err != nil {
		return "", err
	}
	if err := drain(ctx, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// maxTrailer is how much may follow the last entry of an archive: the blocks of
// zeros that tar pads with, and checksums.
const maxTrailer = 1 << 20

// drain reads to the end, since the digest is of the whole archive.
func drain(ctx context.Context, r io.Reader) error {
	n, err := io.Copy(io.Discard, io.LimitReader(r, maxTrailer+1))
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return err
	case n > maxTrailer:
		return fmt.Errorf("%w: more than %d bytes follow the last entry", archive.ErrFormat, maxTrailer)
	}
	return nil
}

// point lets current lead to a release, in one step.
func (a *spooledApp) point(dir string) error {
	current := filepath.Join(a.path, nameCurrent)
	target := filepath.Base(dir)
	if now, err := os.Readlink(current); err == nil && now == target {
		return nil
	}
	fresh := filepath.Join(a.path, prefixNew+nameCurrent)
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, fresh); err != nil {
		return err
	}
	if err := os.Rename(fresh, current); err != nil {
		return err
	}
	return syncDir(a.path)
}

// collect removes the releases that are neither in use, nor current, nor among
// the spare ones used last.
func (a *spooledApp) collect(inUse map[string]bool, spare int) error {
	entries, err := os.ReadDir(a.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	current, _ := os.Readlink(filepath.Join(a.path, nameCurrent))
	type release struct {
		name string
		used time.Time
	}
	var idle []release
	for _, e := range entries {
		if !e.IsDir() || !isDigest(e.Name(), releaseName) || inUse[e.Name()] || e.Name() == current {
			continue
		}
		if info, err := e.Info(); err == nil {
			idle = append(idle, release{e.Name(), info.ModTime()})
		}
	}
	slices.SortFunc(idle, func(x, y release) int {
		return cmp.Or(y.used.Compare(x.used), cmp.Compare(x.name, y.name))
	})
	var errs []error
	for _, r := range idle[min(spare, len(idle)):] {
		errs = append(errs, a.discard(r.name))
	}
	return errors.Join(errs...)
}

// discard removes a release. It loses its name first, so that what is left of it
// after a crash is not taken for a release.
func (a *spooledApp) discard(name string) error {
	old := filepath.Join(a.path, prefixOld+name)
	if err := os.RemoveAll(old); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(a.path, name), old); err != nil {
		return err
	}
	return os.RemoveAll(old)
}

// removeAll removes the whole app, what others put there included.
func (a *spooledApp) removeAll() error {
	a.clean = false
	old := filepath.Join(a.dir.path, prefixOld+a.name)
	if err := os.RemoveAll(old); err != nil {
		return err
	}
	if err := os.Rename(a.path, old); err != nil {
		return err
	}
	return os.RemoveAll(old)
}
