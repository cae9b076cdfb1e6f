package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/manifest"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// A release is one version of an app: its records as they were when it was
// loaded. It does not change.
type release struct {
	number      int
	manifest    *manifest.Manifest
	profile     *manifest.Profile
	profileName string
	code        []byte // the archive, dropped once it is spooled
	digest      string // of the archive
	dir         string
}

func (r *release) archive() io.Reader { return bytes.NewReader(r.code) }

// load reads the records of an app.
func (a *App) load(ctx context.Context, profileName string, t tell) (*release, error) {
	t("load", "reading the records")
	m, err := a.record(ctx, "manifests", a.name)
	if err != nil {
		return nil, err
	}
	p, err := a.record(ctx, "profiles", profileName)
	if err != nil {
		return nil, err
	}
	rel := &release{profileName: profileName}
	if rel.manifest, err = manifest.DecodeManifest(a.name, m); err != nil {
		return nil, invalid(err)
	}
	if rel.profile, err = manifest.DecodeProfile(profileName, p); err != nil {
		return nil, invalid(err)
	}
	if typ := rel.profile.Isolate.Type; a.n.o.Isolates[typ] == nil {
		return nil, rpc.Errorf(idl.CategoryRepository, idl.RepositoryNotRegistered, "cannot start app %q: there is no isolate %q", a.name, typ)
	}
	packed, err := a.record(ctx, "apps", a.name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil {
		if rel.code, err = unwrap(packed); err != nil {
			return nil, invalid(fmt.Errorf("cannot read code of app %q: %w", a.name, err))
		}
	}
	sum := sha256.Sum256(rel.code)
	rel.digest = hex.EncodeToString(sum[:])
	rel.number, err = a.number(ctx, m, p, sum[:])
	return rel, err
}

func invalid(err error) error {
	return fmt.Errorf("%w: %w", rpc.Errorf(idl.CategoryGeneric, idl.GenericInvalid, "%v", err), err)
}

func (a *App) record(ctx context.Context, collection, key string) ([]byte, error) {
	b, err := a.n.o.Storage.Read(ctx, collection, key)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s of app %q: %w", collection[:len(collection)-1], a.name, err)
	}
	return b, nil
}

// unwrap takes the archive out of its record: a msgpack string.
func unwrap(record []byte) ([]byte, error) {
	r := msgpack.NewReader(record)
	code := r.Bytes()
	if err := r.Err(); err != nil {
		return nil, err
	}
	return code, nil
}

// number gives a release its number: that of the last one if nothing changed
// since, else one more. It is kept in storage so that numbers survive restarts.
func (a *App) number(ctx context.Context, parts ...[]byte) (int, error) {
	sum := sha256.Sum256(bytes.Join(parts, []byte{0}))
	digest := hex.EncodeToString(sum[:16])
	last, number := "", 0
	record, err := a.n.o.Storage.Read(ctx, "releases", a.name)
	if err == nil {
		r := msgpack.NewReader(record)
		r.Array()
		number, last = int(r.Int()), r.String()
		if r.Err() != nil {
			a.log.Warn("release record does not decode, counting anew", "cause", r.Err())
			number, last = 0, ""
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("cannot read release of app %q: %w", a.name, err)
	}
	if digest == last {
		return number, nil
	}
	number++
	record = msgpack.AppendString(msgpack.AppendInt(msgpack.AppendArray(nil, 2), int64(number)), digest)
	if err := a.n.o.Storage.Write(ctx, "releases", a.name, record, []string{"release"}); err != nil {
		return 0, fmt.Errorf("cannot write release of app %q: %w", a.name, err)
	}
	return number, nil
}
