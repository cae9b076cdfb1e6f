package tool

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cocaine/cocaine-go"
)

// call is a command of v0.11 only.
func (t *tool) call() *cobra.Command {
	return t.command("call SERVICE [METHOD [ARGS]]", "Call a method of a service, or list its methods", func(ctx context.Context, o *operation) error {
		if len(o.args) == 1 {
			return o.printMethods(ctx, o.args[0])
		}
		var args []any
		if len(o.args) == 3 {
			v, err := parseLiteral(o.args[2])
			if err != nil {
				return invalidf("cannot read the arguments: %w", err)
			}
			args = v
		}
		return o.printCall(ctx, o.args[0], o.args[1], args)
	}, positional(1, 3), long(`Calls a method of a service and prints what it answers, as JSON. ARGS are Python
literals with commas between them:

  cocaine-tool call storage find "'manifests', ['app']"

Without METHOD the methods of the service are listed. To call an app there is
cocaine call.`))
}

func (o *operation) printMethods(ctx context.Context, service string) error {
	r, err := o.client.Locator().Resolve(ctx, service)
	if err != nil {
		return cannot(err, "call %s", service)
	}
	for _, m := range r.Methods {
		if err := o.printf(" - %s\n", m.Name); err != nil {
			return err
		}
	}
	return nil
}

func (o *operation) printCall(ctx context.Context, service, method string, args []any) error {
	v, err := ask[any](ctx, o, service, method, args...)
	if errors.Is(err, cocaine.ErrNoMethod) {
		return &failure{err: fmt.Errorf("cannot call %s: the service has no method %q", service, method), hint: o.env.Name + " call " + service}
	}
	if err != nil {
		return cannot(err, "call %s.%s", service, method)
	}
	return o.printJSON(v)
}
