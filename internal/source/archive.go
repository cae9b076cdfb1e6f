package source

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/cocaine/cocaine-go/internal/document"
	"github.com/cocaine/cocaine-go/internal/manifest"
)

// archiveSuffixes are the names of archives that the runtime can unpack.
func archiveSuffixes() []string {
	return []string{".tar.gz", ".tgz", ".tar"}
}

func isArchiveName(base string) bool {
	return withoutArchiveSuffix(base) != base
}

func withoutArchiveSuffix(base string) string {
	for _, suffix := range archiveSuffixes() {
		if name, ok := strings.CutSuffix(base, suffix); ok && name != "" {
			return name
		}
	}
	return base
}

// archive plans an archive that is ready. What to run is said by a file in it.
func (d *detector) archive(file string) (*Plan, error) {
	texts, err := readFromArchive(file, manifest.AppFile, manifestFile, profileFile)
	if err != nil {
		return nil, &Error{Op: "deploy", Path: d.given, Reason: err.Error(), err: err, hint: "make it with tar -czf"}
	}
	plan := &Plan{Kind: Archive, Path: file, Dir: filepath.Dir(file), watch: file, Files: []string{filepath.Base(file)}}
	name := withoutArchiveSuffix(filepath.Base(file))
	inside := func(member string) string { return file + ":" + member }
	switch {
	case texts[manifest.AppFile] != nil:
		app, err := manifest.ParseApp(inside(manifest.AppFile), texts[manifest.AppFile])
		if err != nil {
			return nil, err
		}
		if len(app.Run) == 0 {
			return nil, d.nothing("the "+manifest.AppFile+" in it does not say what to run", `add to it: run = ["./program"]`)
		}
		plan.Manifest, plan.Profile = app.Manifest(), app.Profile
		if app.Name != "" {
			name = app.Name
		}
	case texts[manifestFile] != nil:
		if plan.Manifest, err = manifest.DecodeManifestJSON(name, inside(manifestFile), texts[manifestFile]); err != nil {
			return nil, err
		}
		plan.Profile = manifest.DefaultProfile()
		if text := texts[profileFile]; text != nil {
			if plan.Profile, err = manifest.DecodeProfileJSON(name, inside(profileFile), text); err != nil {
				return nil, err
			}
		}
	default:
		return nil, d.nothing("there is no "+manifest.AppFile+" in the root of the archive", "add one, or give the directory that the archive was made of")
	}
	plan.Name, err = d.name(name)
	return plan, err
}

// readFromArchive returns the contents of regular files in the root of a tar
// archive, compressed or not.
func readFromArchive(file string, names ...string) (map[string][]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var in io.Reader = bufio.NewReader(f)
	if head, err := in.(*bufio.Reader).Peek(2); err == nil && head[0] == 0x1f && head[1] == 0x8b {
		if in, err = gzip.NewReader(in); err != nil {
			return nil, fmt.Errorf("cannot read archive: %w", err)
		}
	}
	texts := make(map[string][]byte)
	for members := tar.NewReader(in); ; {
		member, err := members.Next()
		if errors.Is(err, io.EOF) {
			return texts, nil
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read archive: %w", err)
		}
		for _, name := range names {
			if member.Typeflag != tar.TypeReg || path.Clean(member.Name) != name {
				continue
			}
			if texts[name], err = io.ReadAll(io.LimitReader(members, document.MaxSize+1)); err != nil {
				return nil, fmt.Errorf("cannot read archive: %w", err)
			}
		}
	}
}
