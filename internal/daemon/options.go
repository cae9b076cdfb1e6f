package daemon

import (
	"io"
	"log/slog"

	"github.com/cocaine/cocaine-go/internal/config"
)

// Options describe a daemon.
type Options struct {
	// Config says where it listens and where it keeps things.
	Config *config.Config
	// Version is what status and version tell.
	Version string
	// Log receives what the runtime has to say. If nil, nothing is logged.
	Log *slog.Logger
	// Records, if not nil, gets each log record of apps as a line, as it arrives.
	Records io.Writer
	// DebugAddr, if set, serves expvar and pprof over HTTP on a loopback address.
	DebugAddr string
}
