package cocaine

import "context"

// Node is the typed client of the node service, which runs apps. An app itself is
// called with App.
type Node struct{ service *Service }

// Node gives the typed client of the service "node".
func (c *Client) Node() Node { return Node{c.Service("node")} }

// List names the apps that the node knows, sorted, in whatever state they are.
func (n Node) List(ctx context.Context) ([]string, error) {
	return Get[namesAnswer](ctx, n.service, "list")
}

// Start starts an app with a profile. It returns when the app takes requests.
func (n Node) Start(ctx context.Context, app, profile string) error {
	return Exec(ctx, n.service, "start_app", app, profile)
}

// Pause stops an app. It returns when its last worker has gone.
func (n Node) Pause(ctx context.Context, app string) error {
	return Exec(ctx, n.service, "pause_app", app)
}

// InfoFlags choose what Info tells.
type InfoFlags uint32

// The flags. The other two take effect together with InfoOverseer only.
const (
	InfoOverseer InfoFlags = 1 << iota // requests, queue and pool
	InfoManifest                       // the manifest
	InfoProfile                        // the profile
)

// AppInfo is the state of an app. Which parts there are depends on the flags, and
// on whether it runs.
type AppInfo struct {
	State  string  `codec:"state" json:"state"`   // spooling, running, broken, stopped
	Uptime float64 `codec:"uptime" json:"uptime"` // seconds
	// Error and Cause say why the app is broken or stopped.
	Error int    `codec:"error" json:"error,omitempty"`
	Cause string `codec:"cause" json:"cause,omitempty"`
	// Published says that the locator knows the app. The wire spells it so.
	Published bool `codec:"publushed" json:"published"`

	// Manifest and Profile are there when the flags ask for them.
	Manifest map[string]any `codec:"manifest" json:"manifest,omitempty"`
	Profile  struct {
		Name string         `codec:"name" json:"name"`
		Data map[string]any `codec:"data" json:"data,omitempty"`
	} `codec:"profile" json:"profile"`
	// Requests counts those since the app started.
	Requests struct {
		Accepted uint64 `codec:"accepted" json:"accepted"`
		Rejected uint64 `codec:"rejected" json:"rejected"`
	} `codec:"requests" json:"requests"`
	// Queue is what waits for a worker.
	Queue struct {
		Capacity       int     `codec:"capacity" json:"capacity"`
		Depth          int     `codec:"depth" json:"depth"`
		DepthAverage   float64 `codec:"depth_average" json:"depth_average"`
		OldestEventAge float64 `codec:"oldest_event_age" json:"oldest_event_age"` // milliseconds
	} `codec:"queue" json:"queue"`
	// Rate holds requests per second, averaged over 1, 5 and 15 minutes.
	Rate []float64 `codec:"rate" json:"rate,omitempty"`
	// Timings holds the milliseconds that so many of the requests took at most.
	Timings map[string]float64 `codec:"timings" json:"timings,omitempty"`
	Load    int                `codec:"load" json:"load"` // requests on workers now
	// Pool is the workers: now, at most, and over time.
	Pool struct {
		Active   int                   `codec:"active" json:"active"`
		Idle     int                   `codec:"idle" json:"idle"`
		Capacity int                   `codec:"capacity" json:"capacity"`
		Spawned  uint64                `codec:"total:spawned" json:"spawned"`
		Crashed  uint64                `codec:"total:crashed" json:"crashed"`
		Workers  map[string]WorkerInfo `codec:"slaves" json:"workers,omitempty"` // by uuid
	} `codec:"pool" json:"pool"`
}

// WorkerInfo is the state of one worker of an app.
type WorkerInfo struct {
	State            string  `codec:"state" json:"state"`                           // spawning, handshaking, active, sealing, terminating, closed
	Uptime           float64 `codec:"uptime" json:"uptime"`                         // seconds
	Accepted         uint64  `codec:"accepted" json:"accepted"`                     // requests so far
	Sending          int     `codec:"load:tx" json:"sending"`                       // requests whose caller still sends
	Answering        int     `codec:"load:rx" json:"answering"`                     // requests that are being answered
	Load             int     `codec:"load:total" json:"load"`                       // requests now
	OldestChannelAge float64 `codec:"oldest_channel_age" json:"oldest_channel_age"` // milliseconds
}

// Info tells the state of an app.
func (n Node) Info(ctx context.Context, app string, flags InfoFlags) (AppInfo, error) {
	return Get[AppInfo](ctx, n.service, "info", app, uint32(flags))
}

// Control gets the say in the size of an app's pool. It does not wait for an
// answer, since there is none: that the app does not run shows in Done. Close it
// when done with it; the end of ctx does not.
func (n Node) Control(ctx context.Context, app string) (*PoolControl, error) {
	return openControl(ctx, n.service, app)
}
