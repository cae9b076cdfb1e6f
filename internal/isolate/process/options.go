package process

import (
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/cocaine/cocaine-go/internal/isolate"
)

// ErrClosed is returned by Spawn after Close.
var ErrClosed = errors.New("isolate is closed")

// Values of Options.Cgroup that are no directories.
const (
	CgroupAuto = ""    // use cgroups if the runtime's own is delegated to it
	CgroupOff  = "off" // do without
)

// Defaults of Options.
const (
	DefaultConcurrency = 8
	DefaultWaitDelay   = 250 * time.Millisecond
)

// Options configure an Isolate. The zero value is ready to use.
type Options struct {
	// Spool says where code goes.
	Spool isolate.SpoolerOptions
	// Concurrency is how many workers may be starting at once. If zero,
	// DefaultConcurrency.
	Concurrency int
	// Environ is what every worker's environment starts from. If nil, that of the
	// runtime. Variables that are the runtime's own are taken out, see
	// isolate.Environ.
	Environ []string
	// Cgroup is a directory of the cgroup v2 tree below which workers get theirs;
	// it is created if need be. With CgroupAuto it is the runtime's own cgroup, or
	// the one above, if that was given to the runtime to manage: by systemd
	// (Delegate=yes; best with DelegateSubgroup=, so that the runtime need not
	// move itself), by a container's namespace, or by its owner being the
	// runtime's user.
	Cgroup string
	// WaitDelay is how long the output of a worker that has ended is read while
	// something it left behind holds it open. If zero, DefaultWaitDelay.
	WaitDelay time.Duration
	// Log receives what nobody asked about. If nil, nothing is logged.
	Log *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Concurrency <= 0 {
		o.Concurrency = DefaultConcurrency
	}
	if o.Environ == nil {
		o.Environ = os.Environ()
	}
	if o.WaitDelay <= 0 {
		o.WaitDelay = DefaultWaitDelay
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Spool.Log == nil {
		o.Spool.Log = o.Log
	}
	return o
}

// Enforcement tells which limits hold.
type Enforcement struct {
	Memory, CPU, PIDs   bool  // of the whole worker, by cgroup
	Files, AddressSpace bool  // of each process, by rlimit
	Why                 error // why the former do not; nil if there are cgroups
}

// missing lists the limits in l that do not hold.
func (e Enforcement) missing(l isolate.Limits) []string {
	var out []string
	for _, limit := range []struct {
		name        string
		asked, held bool
	}{
		{"memory", l.Memory > 0, e.Memory},
		{"cpu", l.CPU > 0, e.CPU},
		{"pids", l.PIDs > 0, e.PIDs},
		{"nofile", l.Files > 0, e.Files},
		{"address-space", l.AddressSpace > 0, e.AddressSpace},
	} {
		if limit.asked && !limit.held {
			out = append(out, limit.name)
		}
	}
	return out
}
