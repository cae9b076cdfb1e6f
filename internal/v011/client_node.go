package v011

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Apps is what the node service is made of. Every method may be called from any
// goroutine.
type Apps interface {
	// Start starts an app. Its error is [20991, 5] for one that runs already, one with
	// the method Absent for a record that is missing, [12, 2] and [255, 84] for code that
	// is missing or cannot be unpacked.
	Start(ctx context.Context, app, profile string) error
	// Pause stops an app. Its error is [20991, 6] for one that does not run.
	Pause(ctx context.Context, app string) error
	// Names are those of the apps, sorted.
	Names() []string
}

// Node is the node service. One call starts or stops several apps, one after the
// other, and the answer says of each how that went.
func Node(apps Apps, o rpc.MuxOptions) *ClientService {
	m := rpc.NewMux(oldNode, o)
	n := oldNodeService{apps}
	m.Unary("start_app", n.start)
	m.Unary("pause_app", n.pause)
	m.Inline("list", func(context.Context, *rpc.Call) ([]byte, error) {
		return appendStrings(msgpack.AppendArray(nil, 1), apps.Names()), nil
	})
	return newClientService(oldNode, m)
}

type oldNodeService struct{ apps Apps }

// outcome is a line of an answer.
type outcome struct{ app, text string }

func appendOutcomes(list []outcome) []byte {
	b := msgpack.AppendMap(msgpack.AppendArray(nil, 1), len(list))
	for _, o := range list {
		b = msgpack.AppendString(msgpack.AppendString(b, o.app), o.text)
	}
	return b
}

// start serves start_app({app: profile}). A client that goes away interrupts nothing.
func (n oldNodeService) start(ctx context.Context, c *rpc.Call) ([]byte, error) {
	r := c.Reader()
	pairs := r.Map()
	if pairs > maxList {
		return nil, errArgument
	}
	list := make([]outcome, 0, pairs)
	for i := 0; i < pairs && r.Err() == nil; i++ {
		list = append(list, outcome{r.String(), r.String()})
	}
	if r.Err() != nil {
		return nil, errArgument
	}
	ctx = context.WithoutCancel(ctx)
	for i := range list {
		err := n.apps.Start(ctx, list[i].app, list[i].text)
		list[i].text = said(err, list[i].app, idl.NodeAlreadyStarted, "the app has been started", "the app is already running")
	}
	return appendOutcomes(list), nil
}

// pause serves pause_app([app]).
func (n oldNodeService) pause(ctx context.Context, c *rpc.Call) ([]byte, error) {
	r := c.Reader()
	names, ok := readStrings(&r)
	if r.Err() != nil || !ok {
		return nil, errArgument
	}
	ctx = context.WithoutCancel(ctx)
	list := make([]outcome, 0, len(names))
	for _, app := range names {
		err := n.apps.Pause(ctx, app)
		list = append(list, outcome{app, said(err, app, idl.NodeNotRunning, "the app has been stopped", "the app is not running")})
	}
	return appendOutcomes(list), nil
}

// said puts the outcome for one app in words. code is that of the node's error for an
// app that is so already.
func said(err error, app string, code int, done, already string) string {
	var record interface {
		Absent() (collection, key string)
	}
	switch {
	case err == nil:
		return done
	case errors.Is(err, &rpc.Error{Category: idl.CategoryNode, Code: code}):
		return already
	case errors.As(err, &record):
		return rpc.AsError(notFound(record.Absent())).Message
	case errors.Is(err, &rpc.Error{Category: idl.CategoryGeneric, Code: idl.GenericNotFound}),
		errors.Is(err, &rpc.Error{Category: idl.CategoryUnknown, Code: int(syscall.EILSEQ)}):
		return fmt.Sprintf("the '%s' app is not available", app) // its code, or what should be
	}
	return rpc.AsError(err).Message
}
