package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/idl"
)

// client connects to the runtime that --locator or COCAINE_LOCATOR names.
func (a *app) client() (*cocaine.Client, error) {
	list := a.locator
	if list == "" {
		list = a.getenv(cocaine.LocatorVariable)
	}
	o := cocaine.Options{}
	if list != "" {
		locators, err := cocaine.ParseLocators(list)
		if err != nil {
			return nil, usage(err, "--locator 127.0.0.1:10053")
		}
		o.Locators = locators
	}
	return cocaine.New(o)
}

// withClient runs f with a client and the time that --timeout gives.
func (a *app) withClient(cmd *cobra.Command, f func(ctx context.Context, c *cocaine.Client) error) (err error) {
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
	return a.explainCall(f(ctx, c))
}

// explainCall adds a next step to what commonly goes wrong with calls.
func (a *app) explainCall(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*failure](err); ok {
		return err
	}
	if _, ok := errors.AsType[*cocaine.ConnectError](err); ok && !errors.Is(err, context.DeadlineExceeded) {
		return &failure{err: err, hint: "start a runtime: cocaine server; or name another one: --locator HOST:PORT", code: Unreachable}
	}
	return err
}

// classifyRemote finds the exit code of an error that a service reported.
func classifyRemote(err error) Code {
	if _, ok := errors.AsType[*cocaine.ConnectError](err); ok {
		return Unreachable
	}
	if errors.Is(err, cocaine.ErrDisconnected) {
		return Unreachable
	}
	e, ok := errors.AsType[*cocaine.Error](err)
	if !ok {
		return Failed
	}
	switch [2]int{e.Category, e.Code} {
	case [2]int{idl.CategoryLocator, idl.LocatorNotAvailable},
		[2]int{idl.CategoryGeneric, idl.GenericNotFound},
		[2]int{idl.CategoryNode, idl.NodeNotRunning},
		[2]int{idl.CategoryWorker, 200}, [2]int{idl.CategoryWorker, idl.WorkerNoEvent}:
		return NotFound
	case [2]int{idl.CategoryNode, idl.NodeAlreadyStarted}, [2]int{idl.CategoryGeneric, idl.GenericExists}:
		return Conflict
	case [2]int{idl.CategoryNode, idl.NodeDeadline}, [2]int{idl.CategoryNode, idl.NodeWorkerTimeout},
		[2]int{idl.CategoryGeneric, idl.GenericTimeout}:
		return Timeout
	case [2]int{idl.CategoryGeneric, idl.GenericDenied}:
		return Denied
	}
	if e.Category == idl.CategorySecurity {
		return Denied
	}
	return Failed
}

// status asks the admin service for the node and its apps.
func status(ctx context.Context, c *cocaine.Client) (*nodeStatus, error) {
	s, err := cocaine.Get[nodeStatus](ctx, c.Service("admin"), "status")
	if err != nil {
		return nil, fmt.Errorf("cannot ask the runtime: %w", err)
	}
	slices.SortFunc(s.Apps, func(x, y appStatus) int {
		if x.Name < y.Name {
			return -1
		}
		return 1
	})
	return &s, nil
}

// nodeStatus is what the admin service tells; its JSON is what -o json prints.
type nodeStatus struct {
	Node     string            `codec:"node" json:"node"`
	Version  string            `codec:"version" json:"version"`
	Uptime   int64             `codec:"uptime" json:"uptime_s"`
	Locator  string            `codec:"locator" json:"locator"`
	State    string            `codec:"state" json:"state_dir"`
	Services map[string]string `codec:"services" json:"services"`
	Apps     []appStatus       `codec:"apps" json:"apps"`
}

// appStatus is one app of a node.
type appStatus struct {
	Name      string `codec:"name" json:"name"`
	State     string `codec:"state" json:"state"`
	Release   string `codec:"release" json:"release,omitempty"`
	Published bool   `codec:"published" json:"published"`
	Uptime    int64  `codec:"uptime" json:"uptime_s"`
	Error     int    `codec:"error" json:"error,omitempty"`
	Cause     string `codec:"cause" json:"cause,omitempty"`
	Load      int    `codec:"load" json:"load"`
	Profile   struct {
		Name string `codec:"name" json:"name"`
	} `codec:"profile" json:"profile"`
	Requests struct {
		Accepted uint64 `codec:"accepted" json:"accepted"`
		Rejected uint64 `codec:"rejected" json:"rejected"`
		Expired  uint64 `codec:"expired" json:"expired"`
		Timeouts uint64 `codec:"timeouts" json:"timeouts"`
	} `codec:"requests" json:"requests"`
	Queue struct {
		Depth    int `codec:"depth" json:"depth"`
		Capacity int `codec:"capacity" json:"capacity"`
	} `codec:"queue" json:"queue"`
	Rate    []float64          `codec:"rate" json:"rate"`
	Timings map[string]float64 `codec:"timings" json:"timings_ms"`
	Pool    struct {
		Active   int                     `codec:"active" json:"active"`
		Idle     int                     `codec:"idle" json:"idle"`
		Capacity int                     `codec:"capacity" json:"capacity"`
		Spawned  uint64                  `codec:"total:spawned" json:"spawned"`
		Crashed  uint64                  `codec:"total:crashed" json:"crashed"`
		Slaves   map[string]workerStatus `codec:"slaves" json:"workers"`
	} `codec:"pool" json:"pool"`
	Health struct {
		State         string `codec:"state" json:"state"`
		Active        int    `codec:"active" json:"active"`
		Failures      int    `codec:"failures" json:"failures"`
		LastCrash     string `codec:"last_crash" json:"last_crash,omitempty"`
		LastCrashTime int64  `codec:"last_crash_time" json:"last_crash_time,omitempty"`
	} `codec:"health" json:"health"`
}

// workerStatus is one worker of an app.
type workerStatus struct {
	State    string `codec:"state" json:"state"`
	PID      int    `codec:"pid" json:"pid"`
	Uptime   int64  `codec:"uptime" json:"uptime_s"`
	Accepted uint64 `codec:"accepted" json:"accepted"`
	Load     int    `codec:"load:total" json:"load"`
	Oldest   int64  `codec:"oldest_channel_age" json:"oldest_channel_ms"`
}

// completeApps offers the names of running apps, if the runtime answers quickly.
func (a *app) completeApps(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), 500*time.Millisecond)
	defer cancel()
	c, err := a.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer c.Close()
	s, err := status(ctx, c)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, app := range s.Apps {
		names = append(names, app.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
