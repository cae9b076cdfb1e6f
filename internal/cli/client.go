package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/idl"
)

// client connects to the runtime that --locator or COCAINE_LOCATOR names.
func (a *app) client() (*cocaine.Client, error) {
	list := a.locator
	if list == "" {
		list = a.env.getenv(cocaine.LocatorVariable)
	}
	o, err := a.clientOptions()
	if err != nil {
		return nil, err
	}
	if list != "" {
		locators, err := cocaine.ParseLocators(list)
		if err != nil {
			return nil, usage(err, "--locator 127.0.0.1:10053")
		}
		o.Locators = locators
	}
	return cocaine.New(o)
}

// Environment variables that stand for --token, --tls-ca and --tls-name.
const (
	tokenVariable = "COCAINE_TOKEN"
	caVariable    = "COCAINE_TLS_CA"
	nameVariable  = "COCAINE_TLS_NAME"
)

// clientOptions are those of every client, but for the locator.
func (a *app) clientOptions() (cocaine.Options, error) {
	// What goes wrong with a connection is told by the call that it breaks.
	o := cocaine.Options{Logger: slog.New(slog.DiscardHandler)}
	token := a.token
	if token == "" {
		token = a.env.getenv(tokenVariable)
	}
	if token != "" {
		o.Token = cocaine.StaticToken(token)
	}
	secure := a.tls
	if secure.CA == "" {
		secure.CA = a.env.getenv(caVariable)
	}
	if secure.Name == "" && secure.CA != "" {
		secure.Name = a.env.getenv(nameVariable)
	}
	var err error
	if o.Dial, err = secure.Dial(); err != nil {
		return o, usage(err, "--tls-ca FILE, or --tls-ca system")
	}
	return o, nil
}

// withClient runs f with a client and the time that --timeout gives.
func (a *app) withClient(cmd *cobra.Command, f func(ctx context.Context, c *cocaine.Client) error) error {
	ctx := cmd.Context()
	if a.timeout.d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, a.timeout.d)
		defer cancel()
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	defer c.Close()
	if err := f(ctx, c); err != nil {
		return a.explainConnection(ctx, err)
	}
	return nil
}

// explainConnection adds a next step to what commonly goes wrong on the way to a
// runtime, unless there is one.
func (a *app) explainConnection(ctx context.Context, err error) error {
	if f, ok := errors.AsType[*failure](err); ok && f.hint != "" {
		return err
	}
	switch classify(err) {
	case Denied:
		if e, ok := errors.AsType[*cocaine.Error](err); ok && e.Category == idl.CategorySecurity && e.Code == idl.SecurityUnauthorized {
			return hinted(err, "--token TOKEN or $%s says who you are", tokenVariable)
		}
	case Unreachable:
		return coded(Unreachable, err, "cocaine server starts a runtime; --locator HOST:PORT names another one")
	case Timeout:
		if _, ok := errors.AsType[*cocaine.Error](err); !ok && ctx.Err() == nil {
			// It was not the command that had too little time, but connecting.
			return coded(Unreachable, err, "cocaine doctor; something accepts connections there, but does not answer as a runtime does")
		}
		return hinted(err, "give it more time: --timeout %v", 10*max(a.timeout.d, time.Second))
	}
	return err
}

// dialed says to whom a connection failed, and why, in the fewest words.
func dialed(err error) string {
	e, ok := errors.AsType[*net.OpError](err)
	if !ok {
		return err.Error()
	}
	if dns, ok := errors.AsType[*net.DNSError](e); ok {
		return fmt.Sprintf("%s: %s", dns.Name, dns.Err)
	}
	cause := e.Err
	if call, ok := errors.AsType[*os.SyscallError](cause); ok {
		cause = call.Err
	}
	if e.Addr == nil {
		return cause.Error()
	}
	return fmt.Sprintf("%s: %v", e.Addr, cause)
}

// Limits of what should take milliseconds: a runtime that is busy is waited for,
// one that is stuck is not.
const (
	resolving = 5 * time.Second
	answering = 20 * time.Second
)
