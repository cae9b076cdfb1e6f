package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/schollz/progressbar/v3"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/filestore"
	"github.com/cocaine/cocaine-go/internal/storage"
)

// An importReport is what -o json prints of an import.
type importReport struct {
	Dir       string          `json:"dir"`
	DryRun    bool            `json:"dry_run"`
	Objects   int             `json:"objects"`   // that the directory holds
	Written   int             `json:"written"`   // that were not there, or were replaced
	Unchanged int             `json:"unchanged"` // that were there already
	Verified  int             `json:"verified"`  // that were read back and are the same
	Bytes     int64           `json:"bytes"`     // of what was written
	Stale     int             `json:"stale_links"`
	SHA256    string          `json:"sha256"` // of all that was verified, in order
	Problems  []importProblem `json:"problems"`

	differ int
}

type importProblem struct {
	Path  string `json:"path"`
	Error string `json:"error"`
}

func (r *importReport) summary() string {
	done := "imported"
	if r.DryRun {
		done = "would import"
	}
	return fmt.Sprintf("%s %d of %d records, %s; %d were there already, %d cannot be taken\n",
		done, r.Written, r.Objects, size(int(r.Bytes)), r.Unchanged, len(r.Problems))
}

// err is the failure that problems amount to. They were told one by one.
func (r *importReport) err() error {
	switch {
	case r.differ > 0:
		return coded(Conflict, fmt.Errorf("cannot import all of %s: %d records differ from those that are there", r.Dir, r.differ),
			"cocaine import %s --force replaces them", r.Dir)
	case len(r.Problems) > 0:
		return fmt.Errorf("cannot import all of %s: %d entries cannot be taken", r.Dir, len(r.Problems))
	}
	return nil
}

// errDiffers is about a record that is there with another value.
var errDiffers = errors.New("the runtime has another value of it")

// importing is one import.
type importing struct {
	app    *app
	client *cocaine.Client
	store  *filestore.Store
	force  bool
	tagged map[[2]string]map[string]bool // keys by collection and tag, as the runtime had them
	bad    map[string]bool               // paths with a problem
	sum    hash.Hash
	report importReport
}

// run imports one record after the other and goes on after those that cannot be
// taken. An error is one of the runtime.
func (m *importing) run(ctx context.Context, l *filestore.Listing) error {
	m.sum = sha256.New()
	for _, p := range l.Problems {
		m.fail(p.Path, p.Err)
	}
	bar := m.app.importBar(l)
	defer bar.close()
	for i := range l.Objects {
		o := &l.Objects[i]
		if err := m.take(ctx, o); err != nil {
			return err
		}
		bar.done(o)
	}
	m.report.SHA256 = hex.EncodeToString(m.sum.Sum(nil))
	return m.verifyTags(ctx, l)
}

func (m *importing) fail(path string, err error) {
	m.report.Problems = append(m.report.Problems, importProblem{path, err.Error()})
	m.bad[path] = true
	m.app.screen.say("%s", printable(fmt.Sprintf("%s: %v", path, err)))
}

// take imports one record. What is wrong with it alone is a problem, not an error.
func (m *importing) take(ctx context.Context, o *filestore.Object) error {
	err := checkObject(o)
	var value []byte
	if err == nil {
		value, err = m.store.Read(o, maxUpload)
	}
	if err != nil {
		m.fail(o.Path(), err)
		return nil
	}
	same, err := m.compare(ctx, o, value)
	if errors.Is(err, errDiffers) {
		m.report.differ++
		m.fail(o.Path(), err)
		return nil
	}
	if err != nil {
		return err
	}
	if same {
		m.report.Unchanged++
		m.verified(o, value)
		return nil
	}
	if !m.report.DryRun {
		if err := m.write(ctx, o, value); err != nil {
			return err
		}
		m.verified(o, value)
	}
	m.report.Written++
	m.report.Bytes += int64(len(value))
	return nil
}

// checkObject refuses names that the storage does not take.
func checkObject(o *filestore.Object) error {
	for _, name := range append([]string{o.Collection, o.Key}, o.Tags...) {
		if err := storage.CheckName(name); err != nil {
			return err
		}
	}
	return nil
}

// compare tells whether the runtime has a record with all its tags. One that has
// another value is errDiffers, unless it may be replaced.
func (m *importing) compare(ctx context.Context, o *filestore.Object, value []byte) (same bool, err error) {
	have, err := m.client.Storage().Read(ctx, o.Collection, o.Key)
	switch {
	case errors.Is(err, cocaine.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	case !bytes.Equal(have, value) && !m.force:
		return false, errDiffers
	case !bytes.Equal(have, value):
		return false, nil
	}
	for _, tag := range o.Tags {
		keys, err := m.keys(ctx, o.Collection, tag)
		if err != nil || !keys[o.Key] {
			return false, err
		}
	}
	return true, nil
}

// keys are those that the runtime had under a tag when it was first asked.
func (m *importing) keys(ctx context.Context, collection, tag string) (map[string]bool, error) {
	at := [2]string{collection, tag}
	if m.tagged[at] == nil {
		found, err := m.client.Storage().Find(ctx, collection, tag)
		if err != nil {
			return nil, err
		}
		m.tagged[at] = make(map[string]bool, len(found))
		for _, key := range found {
			m.tagged[at][key] = true
		}
	}
	return m.tagged[at], nil
}

// write writes a record and reads it back.
func (m *importing) write(ctx context.Context, o *filestore.Object, value []byte) error {
	if err := m.client.Storage().Write(ctx, o.Collection, o.Key, value, o.Tags...); err != nil {
		return fmt.Errorf("%s: %w", o.Path(), err)
	}
	have, err := m.client.Storage().Read(ctx, o.Collection, o.Key)
	if err != nil {
		return fmt.Errorf("%s: %w", o.Path(), err)
	}
	if sha256.Sum256(have) != sha256.Sum256(value) {
		return fmt.Errorf("%s: what was read back is not what was written", o.Path())
	}
	return nil
}

// verified counts a record that the runtime has as the directory has it.
func (m *importing) verified(o *filestore.Object, value []byte) {
	m.report.Verified++
	fmt.Fprintf(m.sum, "%s\x00%x\n", o.Path(), sha256.Sum256(value))
}

// verifyTags finds every record again by its tags.
func (m *importing) verifyTags(ctx context.Context, l *filestore.Listing) error {
	if m.report.DryRun {
		return nil
	}
	clear(m.tagged)
	for i := range l.Objects {
		o := &l.Objects[i]
		if checkObject(o) != nil || m.bad[o.Path()] {
			continue
		}
		for _, tag := range o.Tags {
			keys, err := m.keys(ctx, o.Collection, tag)
			if err != nil {
				return err
			}
			if !keys[o.Key] {
				return fmt.Errorf("%s: the runtime does not find it by its tag %q", o.Path(), tag)
			}
		}
	}
	return nil
}

// An importBar shows how far an import is: a bar on a terminal, elsewhere a line
// for each collection that is done.
type importBar struct {
	screen *screen
	bar    *progressbar.ProgressBar // nil without a terminal

	collection string
	objects    int
	bytes      int64
}

func (a *app) importBar(l *filestore.Listing) *importBar {
	b := &importBar{screen: a.screen}
	if a.screen.live && len(l.Objects) > 0 {
		// The screen draws what the bar would write.
		b.bar = progressbar.NewOptions(len(l.Objects), progressbar.OptionSetWriter(io.Discard), progressbar.OptionSetWidth(20),
			progressbar.OptionShowCount(), progressbar.OptionSetDescription("import"), progressbar.OptionSetPredictTime(true))
	}
	return b
}

func (b *importBar) done(o *filestore.Object) {
	if b.bar != nil {
		_ = b.bar.Add(1) // it writes nowhere
		b.screen.redraw(strings.Trim(b.bar.String(), "\r\n "))
		return
	}
	if o.Collection != b.collection {
		b.line()
		b.collection, b.objects, b.bytes = o.Collection, 0, 0
	}
	b.objects++
	b.bytes += o.Size
}

func (b *importBar) line() {
	if b.objects > 0 {
		b.screen.say("%s", printable(fmt.Sprintf("%s: %d records, %s", b.collection, b.objects, size(int(b.bytes)))))
	}
}

func (b *importBar) close() {
	if b.bar != nil {
		b.screen.redraw("")
		return
	}
	b.line()
}
