package daemon

import (
	"context"
	"errors"
	"strconv"

	"github.com/cocaine/cocaine-go/internal/auth"
	"github.com/cocaine/cocaine-go/internal/config"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/unicat"
	"github.com/cocaine/cocaine-go/internal/unicorn"
)

// newGate makes what asks the callers of all services. It is made before the stores
// in which permissions are kept, and used only after them.
func (d *Daemon) newGate() *auth.Gate {
	o := auth.Options{Log: d.log}
	if d.tokens != nil {
		o.Authenticator, o.Required = d.tokens, true
	}
	a := d.conf.Authorizations
	if a.Storage != config.Disabled {
		o.Collections = d.collections()
	}
	if a.Unicorn != config.Disabled {
		o.Subtrees = d.subtrees()
	}
	if a.Event != config.Disabled {
		o.Events = auth.NewEvents(aclTree{d})
	}
	return auth.NewGate(o)
}

func (d *Daemon) collections() *auth.Collections { return auth.NewCollections(aclBlobs{d}) }

func (d *Daemon) subtrees() *auth.Subtrees { return auth.NewSubtrees(aclTree{d}) }

// aclBlobs is the storage as permissions lie in it. It implements auth.Blobs.
type aclBlobs struct{ d *Daemon }

func (b aclBlobs) Read(ctx context.Context, collection, key string) ([]byte, error) {
	return b.d.store.Read(ctx, collection, key)
}

func (b aclBlobs) Amend(ctx context.Context, collection, key string, tags []string, change func(old []byte) ([]byte, error)) error {
	return b.d.store.Amend(ctx, collection, key, tags, change)
}

// aclTree is unicorn as permissions lie in it. It implements auth.Tree.
type aclTree struct{ d *Daemon }

func (t aclTree) Get(ctx context.Context, path string) ([]byte, int64, error) {
	v, err := t.d.unicorn.Get(ctx, path)
	if err != nil {
		return nil, 0, unicorn.Coded(err)
	}
	return v.Value, v.Version, nil
}

func (t aclTree) Create(ctx context.Context, path string, value []byte) (bool, error) {
	err := t.d.unicorn.Create(ctx, path, value)
	if errors.Is(err, unicorn.ErrNodeExists) {
		return false, nil
	}
	return err == nil, unicorn.Coded(err)
}

func (t aclTree) Put(ctx context.Context, path string, value []byte, version int64) (bool, error) {
	done, _, err := t.d.unicorn.Put(ctx, path, value, version)
	if errors.Is(err, unicorn.ErrNoNode) {
		return false, nil
	}
	return done, unicorn.Coded(err)
}

// workerToken is what the workers of an app are started with.
func (d *Daemon) workerToken(_ context.Context, app string) (typ, body string, err error) {
	if d.tokens != nil {
		body, err = d.tokens.Worker(app)
		return config.ByToken, body, err
	}
	if uid, ok := d.conf.Authentication.Workers[app]; ok {
		return d.conf.Authentication.Type, strconv.FormatUint(uid, 10), nil
	}
	return "", "", nil
}

// unicatName is the service by which permissions are edited.
const unicatName = "unicat"

// newUnicatIfNeeded binds the service unicat if there are permissions that it edits,
// unless the configuration names it.
func (d *Daemon) newUnicatIfNeeded() error {
	a := d.conf.Authorizations
	if _, named := d.conf.Services[unicatName]; named || a.Storage == config.Disabled && a.Unicorn == config.Disabled {
		return nil
	}
	x, err := newUnicat(d, unicatName, nil)
	if err != nil {
		return err
	}
	return d.addExtra(unicatName, x)
}

func newUnicat(d *Daemon, name string, _ any) (extra, error) {
	a := d.conf.Authorizations
	return extra{proto: idl.Unicat, a: unicat.Service(unicat.Options{
		Identify: d.gate.Identify,
		Storage:  unicat.Scheme{Ledger: d.collections(), Protected: a.Storage != config.Disabled},
		Unicorn:  unicat.Scheme{Ledger: d.subtrees(), Protected: a.Unicorn != config.Disabled},
		Mux:      d.mux(name),
	})}, nil
}
