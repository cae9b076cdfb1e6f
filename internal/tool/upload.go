package tool

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cocaine/cocaine-go/internal/archive"
	"github.com/cocaine/cocaine-go/internal/manifest"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// maxUpload is the largest archive that fits in a value of the storage.
const maxUpload = 100 << 20

// uploadFlags are what app upload was told.
type uploadFlags struct {
	path, name, manifest, archive, docker, registry string
	manifestOnly                                    bool
}

func (t *tool) appUpload() *cobra.Command {
	var f uploadFlags
	return t.command("upload [PATH]", "Upload an app", func(ctx context.Context, o *operation) error {
		if len(o.args) == 1 {
			f.path = o.args[0]
		}
		return o.upload(ctx, &f)
	}, text(&f.name, "name", "n", "", "`name` of the app (default: of the directory)"),
		text(&f.manifest, "manifest", "", "", "`file` with the manifest (default: manifest.json in PATH)"),
		text(&f.archive, "package", "", "", "`archive` with the code, in place of PATH"),
		text(&f.docker, "docker_address", "", "", "`URL` of a Docker daemon (not supported)"),
		text(&f.registry, "registry", "", "", "`host` of a Docker registry (not supported)"),
		toggle(&f.manifestOnly, "manifest-only", "", "upload the manifest and no code"),
		positional(0, 1), within(patient),
		long(`Uploads the code and the manifest of an app. PATH, the working directory unless
given, is packed; --package takes an archive that is ready, and needs --name and
--manifest. What runs goes on with the code it was started with.`))
}

func (t *tool) appImport() *cobra.Command {
	var f uploadFlags
	var container string
	return t.command("import PATH", "Import a Docker image (not supported)", func(context.Context, *operation) error {
		return noDocker("import the image " + container)
	}, text(&f.name, "name", "n", "", "`name` of the app (default: of the directory)"),
		text(&f.manifest, "manifest", "", "", "`file` with the manifest"),
		required(&container, "container_url", "", "`URL` of the image"),
		required(&f.docker, "docker_address", "", "`URL` of the Docker daemon"),
		text(&f.registry, "registry", "", "", "`host` of the Docker registry"),
		positional(1, 1), within(patient))
}

func noDocker(what string) error {
	return hinted(fmt.Errorf("cannot %s: this runtime runs processes, not Docker images", what),
		"cocaine-tool app upload PATH uploads a directory")
}

func (o *operation) upload(ctx context.Context, f *uploadFlags) error {
	for _, pair := range [][4]string{
		{"PATH", f.path, "--package", f.archive},
		{"--package", f.archive, "--docker_address", f.docker},
		{"--package", f.archive, "--registry", f.registry},
	} {
		if pair[1] != "" && pair[3] != "" {
			return &failure{err: fmt.Errorf("cannot upload an app: %s and %s exclude each other", pair[0], pair[2]), code: Exclusive}
		}
	}
	switch {
	case f.docker != "" || f.registry != "":
		return noDocker("upload an image")
	case f.manifestOnly, f.archive != "":
		if f.name == "" {
			return invalidf("cannot upload an app: the option --name is missing")
		}
		if f.manifest == "" {
			return invalidf("cannot upload an app: the option --manifest is missing")
		}
	}
	if f.manifestOnly {
		return o.uploadRecords(ctx, f, nil)
	}
	if f.archive != "" {
		return o.uploadRecords(ctx, f, func() ([]byte, error) { return readArchive(f.archive) })
	}
	if err := f.complete(); err != nil {
		return err
	}
	return o.uploadRecords(ctx, f, func() ([]byte, error) { return pack(ctx, f.path) })
}

// complete finds out what was not given of a directory.
func (f *uploadFlags) complete() error {
	if f.path == "" {
		f.path = "."
	}
	abs, err := filepath.Abs(f.path)
	if err != nil {
		return fmt.Errorf("cannot upload %s: %w", f.path, err)
	}
	if info, err := os.Stat(abs); err != nil || !info.IsDir() {
		return usagef("cannot upload %s: it is no directory", f.path)
	}
	if f.name == "" {
		f.name = filepath.Base(abs)
	}
	if f.manifest == "" {
		f.manifest, err = findManifest(abs)
	}
	return err
}

// findManifest looks for the manifest of an app: manifest.json is better than
// another file whose name begins so, and one high up better than one below.
func findManifest(dir string) (string, error) {
	best, rank := "", 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasPrefix(entry.Name(), "manifest") {
			return err
		}
		rel, _ := filepath.Rel(dir, path) // both are absolute
		r := 2 * strings.Count(rel, string(filepath.Separator))
		if entry.Name() != "manifest.json" {
			r++
		}
		if best == "" || r < rank {
			best, rank = path, r
		}
		return nil
	})
	if err == nil && best == "" {
		err = &failure{err: errors.New("there is no manifest.json"), hint: "--manifest FILE"}
	}
	if err != nil {
		return "", fmt.Errorf("cannot upload %s: %w", dir, err)
	}
	return best, nil
}

// uploadRecords writes the code, if there is any, and then the manifest, which
// makes the app known.
func (o *operation) uploadRecords(ctx context.Context, f *uploadFlags, archive func() ([]byte, error)) error {
	if err := manifest.ValidateAppName(f.name); err != nil {
		return invalidf("%w", err)
	}
	var content map[string]any
	err := o.step("Loading manifest", func() (_ string, err error) {
		content, err = readContent("the manifest", f.manifest)
		return "", err
	})
	if err != nil {
		return err
	}
	if _, err := manifest.ParseManifest(f.name, content); err != nil {
		o.log(warning, "the app is not going to start: %v", err)
	}
	if archive != nil {
		if err := o.uploadCode(ctx, f.name, archive); err != nil {
			return err
		}
	}
	return o.step("Uploading manifest", func() (string, error) {
		return "", o.store(ctx, manifests(), f.name, content)
	})
}

func (o *operation) uploadCode(ctx context.Context, name string, archive func() ([]byte, error)) error {
	var packed []byte
	err := o.step(fmt.Sprintf("Packing %q", name), func() (_ string, err error) {
		if packed, err = archive(); err == nil && len(packed) > maxUpload {
			err = fmt.Errorf("cannot upload %s: the archive has %s, more than %s", name, size(len(packed)), size(maxUpload))
		}
		return size(len(packed)), err
	})
	if err != nil {
		return err
	}
	return o.step(fmt.Sprintf("Uploading application %q", name), func() (string, error) {
		k := code()
		if err := o.write(ctx, k.collection, name, msgpack.AppendBytes(nil, packed), k.tags...); err != nil {
			return "", cannot(err, "upload the code of app %s", name)
		}
		return "", nil
	})
}

// pack makes an archive of a directory.
func pack(ctx context.Context, dir string) ([]byte, error) {
	var b bytes.Buffer
	if _, err := archive.Pack(ctx, &b, dir, archive.PackOptions{}); err != nil {
		return nil, fmt.Errorf("cannot pack %s: %w", dir, err)
	}
	return b.Bytes(), nil
}

// readArchive reads an archive that is ready, if it is one.
func readArchive(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the archive: %w", err)
	}
	defer f.Close()
	packed, err := io.ReadAll(io.LimitReader(f, maxUpload+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the archive: %w", err)
	}
	if err := isTar(packed); err != nil {
		return nil, fmt.Errorf("cannot use %s: it is no tar archive: %w", file, err)
	}
	return packed, nil
}

// isTar reads the first header of a tar archive, compressed in any of the ways that
// the runtime unpacks.
func isTar(packed []byte) error {
	var in io.Reader = bufio.NewReader(bytes.NewReader(packed))
	var err error
	switch {
	case bytes.HasPrefix(packed, []byte{0x1f, 0x8b}):
		in, err = gzip.NewReader(in)
	case bytes.HasPrefix(packed, []byte("BZh")):
		in = bzip2.NewReader(in)
	case len(packed) > 1 && packed[0] == 0x78 && (int(packed[0])<<8|int(packed[1]))%31 == 0:
		in, err = zlib.NewReader(in)
	}
	if err != nil {
		return err
	}
	_, err = tar.NewReader(in).Next()
	return err
}
