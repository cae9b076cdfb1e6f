package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/archive"
	"github.com/cocaine/cocaine-go/internal/document"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/source"
)

// maxUpload is the largest archive that fits in a value of the storage.
const maxUpload = 100 << 20

// A shipment is what came of a ship.
type shipment struct {
	digest  string // of what was built
	same    bool   // as before: nothing was replaced
	release string // that runs now, such as "hello@2"
	took    string
}

// ship builds, packs, uploads and starts what a plan describes, and waits until it
// is healthy. If the result is what last names it stops after the build; there is a
// last one when it is done again and again, so that less is said. A failure leaves
// the records of the app as they were.
func (a *app) ship(ctx context.Context, c *cocaine.Client, plan *source.Plan, last string) (_ *shipment, err error) {
	list := a.checklist(last != "")
	defer func() {
		switch {
		case ctx.Err() != nil:
			list.drop()
		case err != nil:
			list.fail()
		}
	}()
	list.step("build " + plan.Name + " (" + plan.Kind.String() + ")")
	var output bytes.Buffer
	bundle, err := source.Build(ctx, plan, &output)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		list.fail()
		_, _ = a.screen.Write(output.Bytes()) // what the compiler said, as it said it
		return nil, explainSource(err)
	}
	defer bundle.Close()
	s := &shipment{release: bundle.Name}
	if s.digest, err = bundle.Digest(ctx); err != nil {
		return nil, err
	}
	if s.digest == last {
		s.same, s.took = true, rounded(list.finish())
		return s, nil
	}
	list.step("pack")
	code, err := a.pack(ctx, bundle)
	if err != nil {
		return nil, err
	}
	list.note("pack " + size(len(code)))
	list.step("upload " + size(len(code)))
	undo, err := upload(ctx, c, bundle, code)
	if err != nil {
		return nil, cannot(err, "upload %s", bundle.Name)
	}
	if err := a.deploy(ctx, c, bundle.Name, list); err != nil {
		return nil, errors.Join(err, undo(ctx))
	}
	s.took = rounded(list.finish())
	if now, err := status(ctx, c); err == nil {
		if app, ok := now.app(bundle.Name); ok && app.Release != "" {
			s.release += "@" + app.Release
		}
	}
	return s, nil
}

func (a *app) pack(ctx context.Context, b *source.Bundle) ([]byte, error) {
	var code bytes.Buffer
	err := b.Pack(ctx, func(ctx context.Context, dir string, w io.Writer) error {
		_, err := archive.Pack(ctx, w, dir, archive.PackOptions{})
		return err
	}, &code)
	if err != nil {
		return nil, explainSource(err)
	}
	if code.Len() > maxUpload {
		return nil, hinted(fmt.Errorf("cannot upload %s: the archive has %s, more than %s", b.Name, size(code.Len()), size(maxUpload)),
			"name what to leave out in a .cocaineignore file")
	}
	return code.Bytes(), nil
}

// A record is one of the things that make an app in storage.
type record struct {
	collection string
	tag        string
	value      []byte
}

// records of an app: the code as a msgpack string, the manifest and the profile as
// maps, with the tags of the original tools.
func records(b *source.Bundle, code []byte) ([]record, error) {
	m, err := b.Manifest.Encode()
	if err != nil {
		return nil, err
	}
	p, err := b.Profile.Encode()
	if err != nil {
		return nil, err
	}
	return []record{
		{"apps", "app", msgpack.AppendBytes(nil, code)},
		{"profiles", "profile", p},
		{"manifests", "app", m},
	}, nil
}

// upload writes the records of an app. undo brings back those that were there: an
// app whose new release does not start goes on with the old one, and has to do so
// after a restart of the runtime too.
func upload(ctx context.Context, c *cocaine.Client, b *source.Bundle, code []byte) (undo func(context.Context) error, err error) {
	next, err := records(b, code)
	if err != nil {
		return nil, err
	}
	var before []record
	undo = func(ctx context.Context) error {
		if ctx.Err() != nil {
			return nil // the deployment goes on without us, and may end well
		}
		return restore(ctx, c, b.Name, before)
	}
	for _, r := range next {
		old, err := c.Storage().Read(ctx, r.collection, b.Name)
		if err != nil && !errors.Is(err, cocaine.ErrNotFound) {
			return nil, errors.Join(err, undo(ctx))
		}
		before = append(before, record{r.collection, r.tag, old})
		if err := c.Storage().Write(ctx, r.collection, b.Name, r.value, r.tag); err != nil {
			return nil, errors.Join(err, undo(ctx))
		}
	}
	return undo, nil
}

// restore writes records back, and removes those that were not there.
func restore(ctx context.Context, c *cocaine.Client, name string, before []record) error {
	var errs []error
	for _, r := range before {
		var err error
		if r.value == nil {
			err = c.Storage().Remove(ctx, r.collection, name)
		} else {
			err = c.Storage().Write(ctx, r.collection, name, r.value, r.tag)
		}
		if err != nil {
			errs = append(errs, cannot(err, "restore %s of %s", r.collection, name))
		}
	}
	return errors.Join(errs...)
}

// deploy asks the runtime to run what was uploaded.
func (a *app) deploy(ctx context.Context, c *cocaine.Client, name string, list *checklist) error {
	for step, err := range cocaine.Chunks[[]string](ctx, c.Service("admin"), "deploy", name, name) {
		if err != nil {
			return explainDeploy(name, err)
		}
		if len(step) == 2 && step[0] != "ready" {
			list.step(step[1])
		}
	}
	return nil
}

// explainDeploy adds a next step to a failed deployment.
func explainDeploy(name string, err error) error {
	failed := cannot(err, "deploy %s", name)
	e, ok := errors.AsType[*cocaine.Error](err)
	switch {
	case !ok:
		return failed
	case classifyRemote(e) == Conflict:
		return hinted(failed, "cocaine ps")
	case strings.Contains(e.Message, "shake hands"):
		return hinted(failed, "cocaine crashes %s --full; the program has to connect to the runtime, as package worker does", name)
	}
	return hinted(failed, "cocaine crashes %s --full; cocaine logs %s", name, name)
}

// explainSource passes on the hint that an error of package source carries. A file
// that is wrong has its own: where.
func explainSource(err error) error {
	if e, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok && e.Hint() != "" {
		return hinted(err, "%s", e.Hint())
	}
	if e, ok := errors.AsType[*document.Error](err); ok {
		return usage(err, fmt.Sprintf("mend %s; docs/CONFIG.md explains every key", e.File))
	}
	return err
}
