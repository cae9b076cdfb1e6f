package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocaine/cocaine-go"
)

// nodeStatus is what the admin service tells of a node; its JSON is what ps -o
// json prints.
type nodeStatus struct {
	Node     string            `codec:"node" json:"node"`
	Version  string            `codec:"version" json:"version"`
	Uptime   int64             `codec:"uptime" json:"uptime_s"`
	Locator  string            `codec:"locator" json:"locator"`
	State    string            `codec:"state" json:"state_dir"`
	Services map[string]string `codec:"services" json:"services"`
	Limits   limitStatus       `codec:"limits" json:"limits"`
	Nodes    []peerStatus      `codec:"nodes" json:"nodes"`
	Apps     []appStatus       `codec:"apps" json:"apps"`
}

// peerStatus is another node of the cluster.
type peerStatus struct {
	Node     string   `codec:"node" json:"node"`
	Locator  string   `codec:"locator" json:"locator"`
	Linked   bool     `codec:"linked" json:"linked"`
	Services []string `codec:"services" json:"services"`
	Cause    string   `codec:"cause" json:"cause"`
}

// limitStatus tells which limits of workers the node enforces.
type limitStatus struct {
	Memory bool   `codec:"memory" json:"memory"`
	CPU    bool   `codec:"cpu" json:"cpu"`
	PIDs   bool   `codec:"pids" json:"pids"`
	Why    string `codec:"why" json:"why"`
}

// appStatus is one app of a node. One that is stopped has a name and a state only.
type appStatus struct {
	Name      string `codec:"name" json:"name"`
	State     string `codec:"state" json:"state"`
	Release   string `codec:"release" json:"release"`
	Published bool   `codec:"published" json:"published"`
	Uptime    int64  `codec:"uptime" json:"uptime_s"`
	Error     int    `codec:"error" json:"error"`
	Cause     string `codec:"cause" json:"cause"`
	Profile   struct {
		Name string `codec:"name" json:"name"`
	} `codec:"profile" json:"profile"`
	Requests struct {
		Accepted uint64 `codec:"accepted" json:"accepted"`
		Rejected uint64 `codec:"rejected" json:"rejected"`
		Expired  uint64 `codec:"expired" json:"expired"`
		Timeouts uint64 `codec:"timeouts" json:"timeouts"`
	} `codec:"requests" json:"requests"`
	Rate  []float64 `codec:"rate" json:"per_second"` // over 1, 5 and 15 minutes
	Queue struct {
		Depth    int `codec:"depth" json:"depth"`
		Capacity int `codec:"capacity" json:"capacity"`
	} `codec:"queue" json:"queue"`
	Timings struct {
		P50 float64 `codec:"50.00%" json:"p50"`
		P90 float64 `codec:"90.00%" json:"p90"`
		P95 float64 `codec:"95.00%" json:"p95"`
		P99 float64 `codec:"99.00%" json:"p99"`
	} `codec:"timings" json:"latency_ms"`
	Pool struct {
		Busy    int                     `codec:"active" json:"busy"`
		Idle    int                     `codec:"idle" json:"idle"`
		Max     int                     `codec:"capacity" json:"max"`
		Started uint64                  `codec:"total:spawned" json:"started"`
		Crashed uint64                  `codec:"total:crashed" json:"crashed"`
		Workers map[string]workerStatus `codec:"slaves" json:"workers"`
	} `codec:"pool" json:"pool"`
	Health struct {
		State         string `codec:"state" json:"state"`
		Failures      int    `codec:"failures" json:"failures"`
		LastCrash     string `codec:"last_crash" json:"last_crash"`
		LastCrashTime int64  `codec:"last_crash_time" json:"-"`
		LastCrashAt   string `codec:"-" json:"last_crash_time"`
	} `codec:"health" json:"health"`
}

// workerStatus is one worker of an app.
type workerStatus struct {
	State  string `codec:"state" json:"state"`
	PID    int    `codec:"pid" json:"pid"`
	Uptime int64  `codec:"uptime" json:"uptime_s"`
	Served uint64 `codec:"accepted" json:"served"`
	Load   int    `codec:"load:total" json:"load"`
	Oldest int64  `codec:"oldest_channel_age" json:"oldest_call_ms"`
}

// stopped is the state of an app that is in storage and does not run.
const stopped = "stopped"

// status asks the admin service for the node and its apps, by name.
func status(ctx context.Context, c *cocaine.Client) (*nodeStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, answering)
	defer cancel()
	s, err := cocaine.Get[nodeStatus](ctx, c.Service("admin"), "status")
	if err != nil {
		return nil, err
	}
	for i := range s.Apps {
		s.Apps[i].complete()
	}
	if s.Nodes == nil {
		s.Nodes = []peerStatus{} // a runtime that knows nothing of clusters
	}
	slices.SortFunc(s.Apps, func(x, y appStatus) int { return strings.Compare(x.Name, y.Name) })
	return &s, nil
}

// complete fills in what the JSON has beside what the wire has; an app that is
// stopped gets the shape of one that runs.
func (s *appStatus) complete() {
	if s.Rate == nil {
		s.Rate = []float64{0, 0, 0}
	}
	if s.Health.LastCrash != "" {
		s.Health.LastCrashAt = time.Unix(s.Health.LastCrashTime, 0).UTC().Format(time.RFC3339)
	}
	if s.Pool.Workers == nil {
		s.Pool.Workers = map[string]workerStatus{}
	}
}

// app finds an app by name.
func (s *nodeStatus) app(name string) (*appStatus, bool) {
	i := slices.IndexFunc(s.Apps, func(x appStatus) bool { return x.Name == name })
	if i < 0 {
		return nil, false
	}
	return &s.Apps[i], true
}

// elsewhere finds a node that has a service.
func (s *nodeStatus) elsewhere(service string) (*peerStatus, bool) {
	i := slices.IndexFunc(s.Nodes, func(n peerStatus) bool { return slices.Contains(n.Services, service) })
	if i < 0 {
		return nil, false
	}
	return &s.Nodes[i], true
}

// condition is one word for how an app is.
func (s *appStatus) condition() string {
	if s.State == "running" && s.Health.State != "" && s.Health.State != "ok" {
		return s.Health.State
	}
	return s.State
}

// why says what went wrong last.
func (s *appStatus) why() string {
	switch {
	case s.Cause != "":
		return s.Cause
	case s.Health.LastCrash != "":
		ago := time.Since(time.Unix(s.Health.LastCrashTime, 0))
		return fmt.Sprintf("%s ago: %s", age(int64(ago.Seconds())), s.Health.LastCrash)
	}
	return ""
}

// completing is how long completion may wait for the runtime.
const completing = 500 * time.Millisecond

// completeApps offers the names of the apps that wanted accepts, if the runtime
// answers quickly.
func (a *app) completeApps(wanted func(*appStatus) bool) cobra.CompletionFunc {
	return a.complete(func(s *nodeStatus) (names []string) {
		for i := range s.Apps {
			if wanted(&s.Apps[i]) {
				names = append(names, s.Apps[i].Name)
			}
		}
		return names
	})
}

// completeServices offers the names of everything that can be resolved.
func (a *app) completeServices() cobra.CompletionFunc {
	return a.complete(func(s *nodeStatus) []string {
		names := append(slices.Collect(maps.Keys(s.Services)), "locator")
		for i := range s.Nodes {
			names = append(names, s.Nodes[i].Services...)
		}
		for i := range s.Apps {
			if runningApp(&s.Apps[i]) {
				names = append(names, s.Apps[i].Name)
			}
		}
		slices.Sort(names)
		return slices.Compact(names)
	})
}

// complete offers names for the first argument.
func (a *app) complete(names func(*nodeStatus) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completing)
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
		return names(s), cobra.ShellCompDirectiveNoFileComp
	}
}

func anyApp(*appStatus) bool       { return true }
func runningApp(s *appStatus) bool { return s.State != stopped }
func stoppedApp(s *appStatus) bool { return s.State == stopped }
