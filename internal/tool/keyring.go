package tool

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/cocaine/cocaine-go"
)

// The public keys by which tickets are verified: a msgpack list of strings.
const (
	keyCollection = "tvm"
	keyRecord     = "public_keys"
)

func (t *tool) keyringGroup() *cobra.Command {
	return t.group("keyring", "Edit the public keys of the service tvm",
		t.keyringView(), t.keyringUpdate(), t.keyringRemove(), t.keyringEdit(), t.keyringRefresh())
}

func (o *operation) keys(ctx context.Context) ([]string, error) {
	blob, err := o.read(ctx, keyCollection, keyRecord)
	if errors.Is(err, cocaine.ErrNotFound) {
		return nil, fmt.Errorf("cannot view the public keys: %w", &brief{"there are none", err})
	}
	if err != nil {
		return nil, cannot(err, "view the public keys")
	}
	var keys []string
	if err := cocaine.Raw(blob).Decode(&keys); err != nil {
		return nil, errors.New("cannot view the public keys: their record is damaged")
	}
	return keys, nil
}

func (o *operation) writeKeys(ctx context.Context, keys []string) error {
	blob, err := cocaine.Encode(list(keys))
	if err == nil {
		err = o.write(ctx, keyCollection, keyRecord, blob)
	}
	if err != nil {
		return cannot(err, "write the public keys")
	}
	return nil
}

func (t *tool) keyringView() *cobra.Command {
	return t.command("view", "Show the public keys", func(ctx context.Context, o *operation) error {
		keys, err := o.keys(ctx)
		if err != nil {
			return err
		}
		return o.printJSON(list(keys))
	})
}

func (t *tool) keyringUpdate() *cobra.Command {
	var cid int
	return t.command("update", "Have the service tvm fetch the public keys", func(ctx context.Context, o *operation) error {
		keys, err := ask[any](ctx, o, "tvm", "download_keys", cid)
		if err != nil {
			return cannot(err, "update the public keys")
		}
		return o.printJSON(keys)
	}, whole(&cid, "cid", "", 0, "`id` of the client"), given("cid"))
}

func (t *tool) keyringRemove() *cobra.Command {
	var key string
	var yes bool
	return t.command("remove", "Remove a public key, or all", func(ctx context.Context, o *operation) error {
		question := "Remove all public keys?"
		if key != "" {
			question = "Remove the public key " + key + "?"
		}
		if !yes && !o.confirm(question) {
			return errors.New("nothing was removed")
		}
		if key == "" {
			return o.writeKeys(ctx, nil)
		}
		keys, err := o.keys(ctx)
		if err != nil {
			return err
		}
		return o.writeKeys(ctx, slices.DeleteFunc(keys, func(k string) bool { return k == key }))
	}, text(&key, "key", "k", "", "the `key`; all unless given"), toggle(&yes, "yes", "", "do not ask"), within(unbounded))
}

func (t *tool) keyringEdit() *cobra.Command {
	return t.command("edit", "Edit the public keys with $VISUAL or $EDITOR", func(ctx context.Context, o *operation) error {
		keys, err := o.keys(ctx)
		if err != nil && !errors.Is(err, cocaine.ErrNotFound) {
			return err
		}
		return o.editValue(ctx, "the public keys", list(keys), func(ctx context.Context, v any) error {
			edited, ok := stringList(v)
			if !ok {
				return invalidf("cannot use the public keys: want a list of strings")
			}
			return o.writeKeys(ctx, edited)
		})
	}, within(unbounded))
}

func (t *tool) keyringRefresh() *cobra.Command {
	return t.command("refresh", "Have the service tvm read the public keys anew", func(ctx context.Context, o *operation) error {
		if err := tell(ctx, o, "tvm", "refresh_keyring"); err != nil {
			return cannot(err, "refresh the public keys")
		}
		return nil
	})
}
