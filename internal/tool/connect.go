package tool

import (
	"context"
	"log/slog"
	"net"

	"github.com/cocaine/cocaine-go"
)

// open makes the client of an operation. It does not connect yet.
func (t *tool) open(args []string) (*operation, error) {
	s, err := readSettings(t.env.Settings)
	if err != nil {
		return nil, err
	}
	address := t.address(s)
	locators, err := cocaine.ParseLocators(address)
	if err != nil {
		return nil, &failure{err: err, code: Invalid, hint: "--host localhost --port 10053"}
	}
	log := slog.New(slog.DiscardHandler) // what goes wrong is told by the call that it breaks
	if t.verbose > 4 {
		log = slog.New(slog.NewTextHandler(t.env.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	client := t.env.Client
	client.Locators, client.Logger = locators, log
	c, err := cocaine.New(client)
	if err != nil {
		return nil, err
	}
	return &operation{tool: t, args: args, client: c, settings: s}, nil
}

// address of the locator: options, then the variable that all of this runtime's
// programs know, then the tool's own files.
func (t *tool) address(s *settings) string {
	if v := t.env.getenv(cocaine.LocatorVariable); v != "" && t.host == "" && t.port == "" {
		return v
	}
	return net.JoinHostPort(first(t.host, s.host, "localhost"), first(t.port, s.port, "10053"))
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// service gives a service whose calls carry a ticket, if the settings ask for that.
func (o *operation) service(ctx context.Context, name string) (*cocaine.Service, error) {
	s := o.client.Service(name)
	if !o.settings.secure {
		return s, nil
	}
	ticket, err := cocaine.Get[string](ctx, o.client.Service("tvm"), "ticket_full",
		o.settings.client, o.settings.secret, "client_credentials", map[string]any{})
	if err != nil {
		// A failure, so that whoever calls passes it on as it is.
		return nil, &failure{err: cannot(err, "get a ticket for the service %s", name)}
	}
	o.log(debug, "got a ticket for the service %s", name)
	return s.With(cocaine.CallOptions{Headers: cocaine.Headers{{Name: "authorization", Value: o.settings.mod + " " + ticket}}}), nil
}

// ask calls a method of a service that answers with one value.
func ask[T any](ctx context.Context, o *operation, service, method string, args ...any) (T, error) {
	var zero T
	s, err := o.service(ctx, service)
	if err != nil {
		return zero, err
	}
	return cocaine.Get[T](ctx, s, method, args...)
}

// tell calls a method of a service whose answer says only that it is done.
func tell(ctx context.Context, o *operation, service, method string, args ...any) error {
	s, err := o.service(ctx, service)
	if err != nil {
		return err
	}
	return cocaine.Exec(ctx, s, method, args...)
}
