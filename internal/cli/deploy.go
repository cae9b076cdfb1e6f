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
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/source"
)

// maxUpload is the largest archive that fits in a value of the storage.
const maxUpload = 100 << 20

// ship builds, packs, uploads and starts what a plan describes, and waits until
// it is healthy. If the result is what last names it stops after the build. It
// returns the digest of what was built.
func (a *app) ship(ctx context.Context, c *cocaine.Client, plan *source.Plan, last string) (digest string, err error) {
	list := a.checklist()
	defer func() {
		if err != nil {
			list.fail()
		}
	}()
	list.step("build " + plan.Name + " (" + plan.Kind.String() + ")")
	var output bytes.Buffer
	bundle, err := source.Build(ctx, plan, &output)
	if err != nil {
		list.fail()
		_, _ = a.env.Stderr.Write(output.Bytes()) // what the compiler said, as it said it
		return "", explainSource(err)
	}
	defer bundle.Close()
	if digest, err = bundle.Digest(ctx); err != nil {
		return "", err
	}
	if digest == last {
		list.step("nothing to replace: the result is the same")
		list.finish()
		return digest, nil
	}
	list.step("pack")
	code, err := a.pack(ctx, bundle)
	if err != nil {
		return "", err
	}
	list.note("pack " + size(len(code)))
	list.step("upload " + size(len(code)))
	if err := upload(ctx, c, bundle, code); err != nil {
		return "", err
	}
	return digest, a.deploy(ctx, c, bundle.Name, list)
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

// upload writes the records of an app: the code as a msgpack string, the manifest
// and the profile as maps, with the tags of the original tools.
func upload(ctx context.Context, c *cocaine.Client, b *source.Bundle, code []byte) error {
	m, err := b.Manifest.Encode()
	if err != nil {
		return err
	}
	p, err := b.Profile.Encode()
	if err != nil {
		return err
	}
	s := c.Service("storage")
	for _, r := range []struct {
		collection string
		value      []byte
		tag        string
	}{
		{"apps", msgpack.AppendBytes(nil, code), "app"},
		{"profiles", p, "profile"},
		{"manifests", m, "app"},
	} {
		if err := cocaine.Exec(ctx, s, "write", r.collection, b.Name, r.value, []string{r.tag}); err != nil {
			return fmt.Errorf("cannot upload %s: %w", b.Name, err)
		}
	}
	return nil
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
	list.step("healthy")
	list.finish()
	return nil
}

// explainDeploy adds a next step to a failed deployment.
func explainDeploy(name string, err error) error {
	err = fmt.Errorf("cannot deploy %s: %w", name, err)
	if strings.Contains(err.Error(), "did not shake hands") {
		return hinted(err, "the program must connect to the runtime: worker.New and Run in Go, or a worker framework; cocaine logs %s", name)
	}
	if _, ok := errors.AsType[*cocaine.Error](err); ok {
		return hinted(err, "cocaine logs %s; cocaine crashes %s", name, name)
	}
	return err
}

// explainSource passes on the hint that an error of package source carries.
func explainSource(err error) error {
	if e, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok && e.Hint() != "" {
		return hinted(err, "%s", e.Hint())
	}
	return err
}

// size gives bytes in a unit for people.
func size(n int) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	default:
		return fmt.Sprintf("%d B", n)
	}
}
