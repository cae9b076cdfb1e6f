package auth

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Options say what a Gate asks. The zero value asks nothing.
type Options struct {
	// Authenticator finds out who calls. If nil, everybody is believed.
	Authenticator Authenticator
	// Required says that the Authenticator may refuse calls, so that it has to be
	// asked about every one.
	Required bool
	// Collections, Subtrees and Events protect the storage, unicorn, and the methods
	// that start and stop apps. If nil, everything is permitted there.
	Collections *Collections
	Subtrees    *Subtrees
	Events      *Events
	// Log receives what was refused, at most once a second. If nil, nothing is logged.
	Log *slog.Logger
}

// A Gate puts the questions to the callers of services.
type Gate struct {
	o Options

	logged atomic.Int64 // when a refusal was logged last, in seconds
	silent atomic.Int64 // refusals since
}

// NewGate makes a gate.
func NewGate(o Options) *Gate {
	if o.Authenticator == nil {
		o.Authenticator = Promiscuous{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Gate{o: o}
}

// Guard adds the questions that a service asks to the options of its Mux; of an app or
// of a service without permissions of its own the name makes no difference. If there
// is nothing to be asked, the options stay as they are.
func (g *Gate) Guard(service string, o rpc.MuxOptions) rpc.MuxOptions {
	if g.o.Required {
		o.Authenticate = func(headers []hpack.Header) error {
			_, err := g.o.Authenticator.Identify(headers)
			return err
		}
	}
	var check func(ctx context.Context, who Identity, c *rpc.Call) error
	switch service {
	case "storage":
		if g.o.Collections != nil {
			check = g.o.Collections.Authorize
		}
	case "unicorn":
		if g.o.Subtrees != nil {
			check = g.o.Subtrees.Authorize
		}
	case "node":
		if g.o.Events != nil {
			check = g.node
		}
	case "admin":
		if g.o.Events != nil || g.o.Collections != nil {
			check = g.admin
		}
	}
	if check != nil {
		o.Authorize = func(ctx context.Context, c *rpc.Call) error {
			who, err := g.Identify(c)
			if err == nil {
				err = check(ctx, who, c)
			}
			if err != nil {
				g.tell(service, who, c, err)
			}
			return err
		}
	}
	return o
}

// Identify finds out who calls.
func (g *Gate) Identify(c *rpc.Call) (Identity, error) { return g.o.Authenticator.Identify(c.Headers) }

// node asks about the methods that the original protects.
func (g *Gate) node(ctx context.Context, who Identity, c *rpc.Call) error {
	switch c.Method.Name {
	case "start_app", "pause_app":
		return g.o.Events.Allow(ctx, who, "node", c.Method.Name)
	}
	return nil
}

// admin asks what would be asked if its methods were made of those of the services
// they stand for: this service must not be a way around.
func (g *Gate) admin(ctx context.Context, who Identity, c *rpc.Call) error {
	switch c.Method.Name {
	case "deploy":
		return g.change(ctx, who, "start_app", nil)
	case "remove":
		return g.change(ctx, who, "pause_app", []string{"manifests", "apps", "profiles", "releases"})
	case "crashes":
		if g.o.Collections != nil {
			return g.o.Collections.Allow(ctx, who, "crashes", Read)
		}
	}
	return nil
}

func (g *Gate) change(ctx context.Context, who Identity, method string, collections []string) error {
	if g.o.Events != nil {
		if err := g.o.Events.Allow(ctx, who, "node", method); err != nil {
			return err
		}
	}
	if g.o.Collections == nil {
		return nil
	}
	for _, name := range collections {
		if err := g.o.Collections.Allow(ctx, who, name, Write); err != nil {
			return err
		}
	}
	return nil
}

// tell logs a refusal, unless one was logged in the same second: a client can be
// refused very often.
func (g *Gate) tell(service string, who Identity, c *rpc.Call, err error) {
	now := time.Now().Unix()
	if last := g.logged.Load(); last == now || !g.logged.CompareAndSwap(last, now) {
		g.silent.Add(1)
		return
	}
	g.o.Log.Warn("call refused", "service", service, "method", c.Method.Name, "who", who.String(),
		"peer", c.Peer, "cause", err, "unlogged", g.silent.Swap(0))
}
