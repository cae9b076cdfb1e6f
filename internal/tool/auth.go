package tool

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/spf13/cobra"

	"github.com/cocaine/cocaine-go"
)

// Tokens: a group has one, and each of its members, which are services, a copy. They
// are kept as they are, not in msgpack.
const (
	authGroups = "auth-groups"
	authTokens = "tokens"
	authTag    = "auth"
)

func (t *tool) authGroup() *cobra.Command {
	return t.group("auth", "Edit the tokens of groups of services (experimental)",
		t.authList(), t.authCreate(), t.authView(), t.authEdit(), t.authRemove(), t.authAdd(), t.authExclude())
}

// authCommand warns as the original does.
func (t *tool) authCommand(use, short string, run func(context.Context, *operation) error, options ...option) *cobra.Command {
	return t.command(use, short, func(ctx context.Context, o *operation) error {
		o.log(warning, "this command is experimental: no script should depend on it")
		return run(ctx, o)
	}, options...)
}

func (t *tool) authList() *cobra.Command {
	return t.authCommand("list", "Show the names of the groups", func(ctx context.Context, o *operation) error {
		names, err := o.authNames(ctx)
		if err != nil {
			return err
		}
		return o.printJSON(list(names))
	})
}

func (o *operation) authNames(ctx context.Context) ([]string, error) {
	names, err := o.find(ctx, authGroups, authTag)
	if err != nil {
		return nil, cannot(err, "list the groups")
	}
	return names, nil
}

func (t *tool) authCreate() *cobra.Command {
	var name, token string
	var force bool
	return t.authCommand("create", "Write a group", func(ctx context.Context, o *operation) error {
		if err := checkToken(token); err != nil {
			return err
		}
		names, err := o.authNames(ctx)
		if err != nil {
			return err
		}
		if !force && slices.Contains(names, name) {
			return hinted(fmt.Errorf("cannot create group %s: there is one of that name", name), "--force overwrites it")
		}
		return o.writeToken(ctx, name, token)
	}, required(&name, "name", "n", "`name` of the group"), required(&token, "token", "", "the `token`, CLIENTID:SECRET"),
		toggle(&force, "force", "", "overwrite a group of that name"))
}

func checkToken(token string) error {
	if ok, _ := regexp.MatchString(`^[0-9]+:.`, token); !ok {
		return invalidf("cannot use the token: want CLIENTID:SECRET, the first a number")
	}
	return nil
}

func (o *operation) writeToken(ctx context.Context, name, token string) error {
	if err := o.write(ctx, authGroups, name, []byte(token), authTag); err != nil {
		return cannot(err, "write group %s", name)
	}
	return nil
}

// An authRecord is a group as it is shown and edited.
type authRecord struct {
	token   string
	members []string
}

func (r *authRecord) document() map[string]any {
	members := make([]any, len(r.members))
	for i, m := range r.members {
		members[i] = m
	}
	return map[string]any{"token": r.token, "members": members}
}

func (o *operation) authRead(ctx context.Context, name string) (*authRecord, error) {
	token, err := o.read(ctx, authGroups, name)
	if errors.Is(err, cocaine.ErrNotFound) {
		return nil, fmt.Errorf("cannot view group %s: %w", name, &brief{"there is none of that name", err})
	}
	if err != nil {
		return nil, cannot(err, "view group %s", name)
	}
	members, err := o.find(ctx, authTokens, authTag, authTokens, name)
	if err != nil {
		return nil, cannot(err, "list the members of group %s", name)
	}
	return &authRecord{string(token), members}, nil
}

func (t *tool) authView() *cobra.Command {
	var name string
	return t.authCommand("view", "Show a group", func(ctx context.Context, o *operation) error {
		r, err := o.authRead(ctx, name)
		if err != nil {
			return err
		}
		return o.printJSON(r.document())
	}, required(&name, "name", "n", "`name` of the group"))
}

func (t *tool) authRemove() *cobra.Command {
	var name string
	var drop, keep bool
	return t.authCommand("rm", "Remove a group", func(ctx context.Context, o *operation) error {
		if drop && keep {
			return usagef("cannot remove group %s: --drop and --no-drop exclude each other", name)
		}
		if err := o.remove(ctx, authGroups, name); err != nil {
			return cannot(err, "remove group %s", name)
		}
		if !drop {
			return nil
		}
		members, err := o.find(ctx, authTokens, authTag, authTokens, name)
		if err != nil {
			return cannot(err, "list the members of group %s", name)
		}
		for _, m := range members {
			if err := o.exclude(ctx, name, m); err != nil {
				return err
			}
		}
		return nil
	}, required(&name, "name", "n", "`name` of the group"), toggle(&drop, "drop", "", "remove the tokens of its members too"),
		toggle(&keep, "no-drop", "", "leave the tokens of its members (the default)"))
}

func (o *operation) include(ctx context.Context, name, service, token string) error {
	if err := o.write(ctx, authTokens, service, []byte(token), authTag, authTokens, name); err != nil {
		return cannot(err, "add %s to group %s", service, name)
	}
	return nil
}

func (o *operation) exclude(ctx context.Context, name, service string) error {
	if err := o.remove(ctx, authTokens, service); err != nil {
		return cannot(err, "exclude %s from group %s", service, name)
	}
	return nil
}

func (t *tool) authAdd() *cobra.Command {
	var name, service string
	return t.authCommand("add", "Add a service to a group", func(ctx context.Context, o *operation) error {
		r, err := o.authRead(ctx, name)
		if err != nil {
			return err
		}
		return o.include(ctx, name, service, r.token)
	}, required(&name, "name", "n", "`name` of the group"), required(&service, "service", "", "`name` of the service"))
}

func (t *tool) authExclude() *cobra.Command {
	var name, service string
	return t.authCommand("exclude", "Exclude a service from a group", func(ctx context.Context, o *operation) error {
		return o.exclude(ctx, name, service)
	}, required(&name, "name", "n", "`name` of the group"), required(&service, "service", "", "`name` of the service"))
}

func (t *tool) authEdit() *cobra.Command {
	var name string
	return t.authCommand("edit", "Edit a group with $VISUAL or $EDITOR", func(ctx context.Context, o *operation) error {
		old, err := o.authRead(ctx, name)
		if err != nil {
			return err
		}
		return o.editMap(ctx, "group "+name, old.document(), nil, func(ctx context.Context, changed map[string]any) error {
			next, err := parseAuth(changed, old)
			if err != nil {
				return err
			}
			return o.authChange(ctx, name, old, next)
		})
	}, required(&name, "name", "n", "`name` of the group"), within(unbounded))
}

// parseAuth reads an edited group. What is missing stays as it was.
func parseAuth(changed map[string]any, old *authRecord) (*authRecord, error) {
	next := *old
	for key, v := range changed {
		var ok bool
		switch key {
		case "token":
			next.token, ok = v.(string)
		case "members":
			next.members, ok = stringList(v)
		}
		if !ok {
			return nil, invalidf("cannot use the group: %s is not what it should be", key)
		}
	}
	return &next, checkToken(next.token)
}

func stringList(v any) ([]string, bool) {
	elements, ok := v.([]any)
	var out []string
	for _, e := range elements {
		s, isString := e.(string)
		ok = ok && isString && s != ""
		out = append(out, s)
	}
	return out, ok
}

func (o *operation) authChange(ctx context.Context, name string, old, next *authRecord) error {
	renewed := next.token != old.token
	if renewed {
		if err := o.writeToken(ctx, name, next.token); err != nil {
			return err
		}
	}
	for _, m := range next.members {
		if renewed || !slices.Contains(old.members, m) {
			if err := o.include(ctx, name, m, next.token); err != nil {
				return err
			}
		}
	}
	for _, m := range old.members {
		if !slices.Contains(next.members, m) {
			if err := o.exclude(ctx, name, m); err != nil {
				return err
			}
		}
	}
	return nil
}
