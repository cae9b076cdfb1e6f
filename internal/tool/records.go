package tool

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// A kind is a kind of record: where it is kept, and how it is found.
type kind struct {
	noun       string // for people
	collection string
	tags       []string
}

// The records that the tool edits. Their values are msgpack maps, but for the code
// of apps: that is a msgpack string around an archive.
func manifests() kind { return kind{"app", "manifests", []string{"app"}} }
func code() kind      { return kind{"code of app", "apps", []string{"app"}} }
func profiles() kind  { return kind{"profile", "profiles", []string{"profile"}} }
func runlists() kind  { return kind{"runlist", "runlists", []string{"runlist"}} }
func groups() kind    { return kind{"routing group", "groups", []string{"group", "active"}} }

// find lists the keys of a collection that have all the tags.
func (o *operation) find(ctx context.Context, collection string, tags ...string) ([]string, error) {
	return ask[[]string](ctx, o, "storage", "find", collection, tags)
}

func (o *operation) read(ctx context.Context, collection, key string) ([]byte, error) {
	return ask[[]byte](ctx, o, "storage", "read", collection, key)
}

func (o *operation) write(ctx context.Context, collection, key string, value []byte, tags ...string) error {
	return tell(ctx, o, "storage", "write", collection, key, value, append([]string{}, tags...))
}

func (o *operation) remove(ctx context.Context, collection, key string) error {
	return tell(ctx, o, "storage", "remove", collection, key)
}

// names lists the records of a kind, sorted.
func (o *operation) names(ctx context.Context, k kind) ([]string, error) {
	names, err := o.find(ctx, k.collection, k.tags...)
	if err != nil {
		return nil, cannot(err, "list the %ss", k.noun)
	}
	slices.Sort(names)
	return list(names), nil
}

// record reads and decodes a record.
func (o *operation) record(ctx context.Context, k kind, name string) (map[string]any, error) {
	blob, err := o.read(ctx, k.collection, name)
	if errors.Is(err, cocaine.ErrNotFound) {
		return nil, missing("view", k, name)
	}
	if err != nil {
		return nil, cannot(err, "view %s %s", k.noun, name)
	}
	m, err := decodeMap(blob)
	if err != nil {
		return nil, fmt.Errorf("cannot view %s %s: its record is damaged: %w", k.noun, name, err)
	}
	return m, nil
}

func missing(verb string, k kind, name string) error {
	return &failure{err: fmt.Errorf("cannot %s %s %s: %w", verb, k.noun, name, &brief{"there is none of that name", cocaine.ErrNotFound})}
}

func decodeMap(blob []byte) (map[string]any, error) {
	r := msgpack.NewReader(blob)
	v := r.Value()
	if err := r.Err(); err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok || r.Len() > 0 {
		return nil, errors.New("it is no map")
	}
	return m, nil
}

// store encodes and writes a record.
func (o *operation) store(ctx context.Context, k kind, name string, content map[string]any) error {
	blob, err := msgpack.AppendValue(nil, content)
	if err != nil {
		return invalidf("cannot write %s %s: %w", k.noun, name, err)
	}
	if err := o.write(ctx, k.collection, name, blob, k.tags...); err != nil {
		return cannot(err, "write %s %s", k.noun, name)
	}
	return nil
}

// drop removes a record. One that is not there is no error, as in the original.
func (o *operation) drop(ctx context.Context, k kind, name string) error {
	if err := o.remove(ctx, k.collection, name); err != nil {
		return cannot(err, "remove %s %s", k.noun, name)
	}
	o.log(info, "removed %s %s", k.noun, name)
	return nil
}

// copyTo copies a record under another name.
func (o *operation) copyTo(ctx context.Context, k kind, name, copyname string) error {
	if name == copyname {
		return fmt.Errorf("cannot copy %s %s: it cannot become its own copy", k.noun, name)
	}
	blob, err := o.read(ctx, k.collection, name)
	if errors.Is(err, cocaine.ErrNotFound) {
		return missing("copy", k, name)
	}
	if err != nil {
		return cannot(err, "copy %s %s", k.noun, name)
	}
	if err := o.write(ctx, k.collection, copyname, blob, k.tags...); err != nil {
		return cannot(err, "copy %s %s to %s", k.noun, name, copyname)
	}
	o.log(info, "copied %s %s to %s", k.noun, name, copyname)
	return nil
}
