package tool

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cocaine/cocaine-go"
)

func (t *tool) accessGroup() *cobra.Command {
	return t.group("access", "Edit who may do what",
		t.accessChange("grant", "Give permissions on a collection or a path"),
		t.accessChange("revoke", "Take permissions on a collection or a path"),
		t.group("storage", "Edit the permissions of collections",
			t.aclList(), t.aclView(), t.aclCreate(), t.aclEdit(), t.aclRemove()),
		t.group("event", "Edit which methods of a service may be called",
			t.eventList(), t.eventView(), t.eventAdd(), t.eventEdit()))
}

// An access is whom a permission is for, and which.
type access struct {
	cids, uids []int64
	perm       string
}

func (a *access) options() option {
	return func(c *cobra.Command, s *spec) {
		ids(&a.cids, "cid", "c", "`id` of a client; may be given again")(c, s)
		ids(&a.uids, "uid", "u", "`id` of a user; may be given again")(c, s)
		required(&a.perm, "perm", "", "`permission`: R, W, RW or 0 for none")(c, s)
		oneOf("perm", "R", "W", "RW", "0")(c, s)
	}
}

// bits of the permission: 1 to read, 2 to write.
func (a *access) bits() int { return map[string]int{"R": 1, "W": 2, "RW": 3}[a.perm] }

func (t *tool) accessChange(method, short string) *cobra.Command {
	var kind, name string
	var a access
	return t.command(method, short, func(ctx context.Context, o *operation) error {
		entity := []any{[]any{kind, "", name}}
		if err := tell(ctx, o, "unicat", method, entity, notNil(a.cids), notNil(a.uids), a.bits()); err != nil {
			return cannot(err, "%s permissions on %s %s", method, kind, name)
		}
		return nil
	}, required(&kind, "tp", "t", "`kind` of thing: storage or unicorn"), oneOf("tp", "storage", "unicorn"),
		required(&name, "name", "n", "`name` of the collection or the path"), a.options())
}

func notNil(ids []int64) []int64 { return append([]int64{}, ids...) }

// The permissions of a collection are two maps, by client and by user.
const (
	aclCollection = ".collection-acls"
	aclTag        = "storage-acls"
)

type acl [2]map[int64]int64

func (t *tool) aclList() *cobra.Command {
	return t.command("list", "Show which collections have permissions", func(ctx context.Context, o *operation) error {
		names, err := o.find(ctx, aclCollection, aclTag)
		if err != nil {
			return cannot(err, "list the permissions")
		}
		return o.printJSON(list(names))
	})
}

// readACL reads the permissions of a collection. The error of one without is
// ErrNotFound.
func (o *operation) readACL(ctx context.Context, name string) (acl, error) {
	var a acl
	blob, err := o.read(ctx, aclCollection, name)
	if errors.Is(err, cocaine.ErrNotFound) {
		return a, fmt.Errorf("cannot view the permissions of %s: %w", name, &brief{"there are none", err})
	}
	if err != nil {
		return a, cannot(err, "view the permissions of %s", name)
	}
	var maps []map[int64]int64
	if err := cocaine.Raw(blob).Decode(&maps); err != nil || len(maps) != len(a) {
		return a, fmt.Errorf("cannot view the permissions of %s: their record is damaged", name)
	}
	return acl(maps), nil
}

func (o *operation) writeACL(ctx context.Context, name string, a acl) error {
	for i := range a {
		if a[i] == nil {
			a[i] = make(map[int64]int64)
		}
	}
	blob, err := cocaine.Encode(a[:])
	if err == nil {
		err = o.write(ctx, aclCollection, name, blob, aclTag)
	}
	if err != nil {
		return cannot(err, "write the permissions of %s", name)
	}
	return nil
}

func (t *tool) aclView() *cobra.Command {
	var name string
	return t.command("view", "Show the permissions of a collection", func(ctx context.Context, o *operation) error {
		a, err := o.readACL(ctx, name)
		if err != nil {
			return err
		}
		return o.printJSON(a)
	}, required(&name, "name", "n", "`name` of the collection"))
}

func (t *tool) aclCreate() *cobra.Command {
	var name string
	return t.command("create", "Write empty permissions of a collection", func(ctx context.Context, o *operation) error {
		_, err := o.readACL(ctx, name)
		switch {
		case err == nil:
			return fmt.Errorf("cannot create the permissions of %s: there are some", name)
		case !errors.Is(err, cocaine.ErrNotFound):
			return err
		}
		return o.writeACL(ctx, name, acl{})
	}, required(&name, "name", "n", "`name` of the collection"))
}

func (t *tool) aclEdit() *cobra.Command {
	var name string
	var who access
	return t.command("edit", "Change permissions of a collection", func(ctx context.Context, o *operation) error {
		a, err := o.readACL(ctx, name)
		if err != nil && !errors.Is(err, cocaine.ErrNotFound) {
			return err
		}
		for i, ids := range [][]int64{who.cids, who.uids} {
			if a[i] == nil {
				a[i] = make(map[int64]int64)
			}
			for _, id := range ids {
				a[i][id] = int64(who.bits())
			}
		}
		return o.writeACL(ctx, name, a)
	}, required(&name, "name", "n", "`name` of the collection"), who.options())
}

func (t *tool) aclRemove() *cobra.Command {
	var name string
	var yes bool
	return t.command("rm", "Remove the permissions of a collection, or of all", func(ctx context.Context, o *operation) error {
		names := []string{name}
		if name == "" {
			var err error
			if names, err = o.find(ctx, aclCollection, aclTag); err != nil {
				return cannot(err, "list the permissions")
			}
		}
		if !yes && !o.confirm(fmt.Sprintf("Remove the permissions of %s?", strings.Join(names, ", "))) {
			return errors.New("nothing was removed")
		}
		var errs []error
		for _, n := range names {
			if err := o.remove(ctx, aclCollection, n); err != nil {
				errs = append(errs, cannot(err, "remove the permissions of %s", n))
			}
		}
		return errors.Join(errs...)
	}, text(&name, "name", "n", "", "`name` of the collection; all unless given"), toggle(&yes, "yes", "", "do not ask"), within(unbounded))
}

// confirm asks a person. The end of the input is no.
func (t *tool) confirm(question string) bool {
	fmt.Fprint(t.env.Stderr, question+" [y/N]: ")
	answer, err := bufio.NewReader(io.LimitReader(t.env.Stdin, 64)).ReadString('\n')
	if err != nil && answer == "" {
		fmt.Fprintln(t.env.Stderr)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true
	}
	return false
}
