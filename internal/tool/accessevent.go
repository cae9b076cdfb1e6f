package tool

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
)

// The methods that may be called: one node for each client and each user of a
// service, /.acls/event/SERVICE/cids/ID and .../uids/ID, whose value is a map by
// method.
const eventACLs = "/.acls/event"

func scopes() []string { return []string{"cids", "uids"} }

func eventPath(service, scope, id string) string {
	return eventACLs + "/" + service + "/" + scope + "/" + id
}

func (t *tool) eventList() *cobra.Command {
	return t.command("list", "Show the services whose methods have permissions", func(ctx context.Context, o *operation) error {
		names, err := o.children(ctx, eventACLs)
		if err != nil {
			return cannot(err, "list the permissions of methods")
		}
		return o.printJSON(list(names))
	})
}

func (t *tool) eventView() *cobra.Command {
	var name string
	return t.command("view", "Show who may call which methods of a service", func(ctx context.Context, o *operation) error {
		doc, err := o.eventRead(ctx, name)
		if err != nil {
			return err
		}
		return o.printJSON(doc)
	}, required(&name, "name", "", "`name` of the service"))
}

func (o *operation) eventRead(ctx context.Context, service string) (map[string]any, error) {
	doc := make(map[string]any)
	for _, scope := range scopes() {
		found, err := o.children(ctx, eventACLs+"/"+service+"/"+scope)
		if err != nil {
			return nil, cannot(err, "view the permissions of %s", service)
		}
		byID := make(map[string]any, len(found))
		for _, id := range found {
			n, err := o.get(ctx, eventPath(service, scope, id))
			if err != nil {
				return nil, cannot(err, "view the permissions of %s", service)
			}
			byID[id] = n.Value
		}
		doc[scope] = byID
	}
	return doc, nil
}

func (t *tool) eventAdd() *cobra.Command {
	var name, event string
	var cids, uids []int64
	return t.command("add", "Permit a method of a service", func(ctx context.Context, o *operation) error {
		for i, list := range [][]int64{cids, uids} {
			for _, id := range list {
				path := eventPath(name, scopes()[i], strconv.FormatInt(id, 10))
				_, err := o.change(ctx, path, func(old any) any {
					methods, ok := old.(map[string]any)
					if !ok {
						methods = make(map[string]any)
					}
					if _, has := methods[event]; !has {
						methods[event] = map[string]any{}
					}
					return methods
				})
				if err != nil {
					return cannot(err, "permit %s of %s", event, name)
				}
			}
		}
		return nil
	}, required(&name, "name", "", "`name` of the service"), required(&event, "event", "", "`name` of the method"),
		ids(&cids, "cid", "c", "`id` of a client; may be given again"), ids(&uids, "uid", "u", "`id` of a user; may be given again"))
}

func (t *tool) eventEdit() *cobra.Command {
	var name string
	return t.command("edit", "Edit who may call which methods, with $VISUAL or $EDITOR", func(ctx context.Context, o *operation) error {
		old, err := o.eventRead(ctx, name)
		if err != nil {
			return err
		}
		return o.editMap(ctx, "the permissions of "+name, old, checkEvents, func(ctx context.Context, next map[string]any) error {
			for _, scope := range scopes() {
				before, _ := old[scope].(map[string]any)
				after, _ := next[scope].(map[string]any)
				if err := o.eventChange(ctx, name, scope, before, after); err != nil {
					return cannot(err, "write the permissions of %s", name)
				}
			}
			return nil
		})
	}, required(&name, "name", "", "`name` of the service"), within(unbounded))
}

// checkEvents accepts {"cids": {ID: {METHOD: {}}}, "uids": the same}.
func checkEvents(doc map[string]any) error {
	for _, scope := range slices.Sorted(maps.Keys(doc)) {
		if !slices.Contains(scopes(), scope) {
			return invalidf("cannot use the permissions: there is no %q, only cids and uids", scope)
		}
	}
	for _, scope := range scopes() {
		byID, ok := doc[scope].(map[string]any)
		if !ok {
			return invalidf("cannot use the permissions: %s must be a map by id", scope)
		}
		for id, v := range byID {
			methods, ok := v.(map[string]any)
			for _, m := range methods {
				_, isMap := m.(map[string]any)
				ok = ok && isMap
			}
			if !ok {
				return &failure{err: fmt.Errorf("cannot use the permissions: %s of %s must be a map of maps by method", scope, id), code: Invalid}
			}
		}
	}
	return nil
}

// eventChange makes, removes and changes what differs.
func (o *operation) eventChange(ctx context.Context, service, scope string, before, after map[string]any) error {
	var errs []error
	for id, value := range after {
		path := eventPath(service, scope, id)
		old, had := before[id]
		switch {
		case !had:
			errs = append(errs, o.create(ctx, path, value))
		case !reflect.DeepEqual(old, value):
			_, err := o.change(ctx, path, func(any) any { return value })
			errs = append(errs, err)
		}
	}
	for id := range before {
		if _, has := after[id]; !has {
			errs = append(errs, o.delete(ctx, eventPath(service, scope, id)))
		}
	}
	return errors.Join(errs...)
}
