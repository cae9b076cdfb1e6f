package worker

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/cocaine/cocaine-go"
)

// Options configure a Worker. The zero value is what a worker of a runtime needs:
// who it is and whom to connect to, it learns from its command line.
type Options struct {
	// App, UUID and Endpoint say which app the worker belongs to, which of its
	// workers it is, and where the runtime waits for it: the path of a unix
	// socket, or host:port. Locators are the runtime's. What is empty is taken
	// from the command line: --app, --uuid, --endpoint, --locator. A worker that
	// no runtime started calls its app after its program.
	App, UUID, Endpoint string
	Locators            []string

	// Listen is where a worker without an endpoint, which no runtime started, serves
	// its events by itself: host:port of a locator of its own, on this machine, with
	// port 0 for any that is free. If empty, the command line's --listen, then the
	// environment variable COCAINE_LISTEN; if that is empty too, 127.0.0.1:10053 or,
	// where that is taken, a port that is free. With ListenNone Run returns
	// ErrNoEndpoint instead.
	Listen string
	// Announce is told the address of that locator when the worker is about to
	// serve. If nil, a line on standard error says it.
	Announce func(locator string)

	// Heartbeat is the time between heartbeats. It must stay well below the
	// heartbeat-timeout of the profile, which a worker cannot learn and which is
	// 30 s unless changed. If zero, 5 s.
	Heartbeat time.Duration
	// Disown is how long the runtime may leave heartbeats unanswered before the
	// worker takes it for dead. If zero, 30 s. It cannot be less than Heartbeat.
	Disown time.Duration
	// Drain is how long requests may go on after the worker was told to stop. It
	// must stay below the terminate-timeout of the profile, which is 10 s unless
	// changed. If zero, 8 s.
	Drain time.Duration
	// Concurrency bounds the handlers that run at once; further requests wait.
	// If zero, there is no bound but the runtime's.
	Concurrency int
	// Stuck is how long a handler may go on after its context has ended, because its
	// time was up, its caller had gone or the worker had to stop. One that does is
	// reported to Logger, once and with its stack. If zero, 10 s.
	Stuck time.Duration
	// MaxFrame bounds the size of one message from the runtime. If zero, 128 MiB
	// and 64 KiB.
	MaxFrame int
	// MaxChunk bounds the size of one chunk that a handler sends. The runtime cuts
	// off a worker that sends more than it takes, with all its requests. If zero,
	// 64 MiB less 64 KiB.
	MaxChunk int
	// Logger receives what goes wrong in handlers and with the connection. If nil,
	// slog.Default(): standard error, which the runtime keeps.
	Logger *slog.Logger
	// Token gives the credentials of the calls that Client makes. If nil, what the
	// runtime gave to the worker in its environment: see cocaine.EnvironmentToken.
	Token cocaine.TokenSource
	// CallObserver hears of the calls that Client makes. Observe is for the requests
	// that the worker serves.
	CallObserver cocaine.Observer
	// Signals tell the worker to stop. If nil, SIGTERM and SIGINT; an empty list
	// leaves signals to the program.
	Signals []os.Signal
	// Dial makes the connections: to the endpoint and, for Client, to the runtime's
	// services. If nil, a net.Dialer does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

const (
	defaultHeartbeat = 5 * time.Second
	defaultDisown    = 30 * time.Second
	defaultDrain     = 8 * time.Second
	defaultStuck     = 10 * time.Second
	defaultMaxFrame  = 128<<20 + 64<<10
	defaultMaxChunk  = 64<<20 - 64<<10
)

func (o *Options) complete() error {
	o.Heartbeat = orDefault(o.Heartbeat, defaultHeartbeat)
	o.Disown = orDefault(o.Disown, max(defaultDisown, o.Heartbeat))
	o.Drain = orDefault(o.Drain, defaultDrain)
	o.Stuck = orDefault(o.Stuck, defaultStuck)
	o.MaxFrame = orDefault(o.MaxFrame, defaultMaxFrame)
	o.MaxChunk = orDefault(o.MaxChunk, defaultMaxChunk)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Signals == nil {
		o.Signals = []os.Signal{syscall.SIGTERM, os.Interrupt}
	}
	if o.Listen == "" {
		o.Listen = os.Getenv(ListenVariable)
	}
	if o.standsAlone() {
		if err := o.completeAlone(); err != nil {
			return err
		}
	}
	switch {
	case o.Disown < o.Heartbeat:
		return fmt.Errorf("cannot make worker: disown after %v is shorter than a heartbeat of %v", o.Disown, o.Heartbeat)
	case o.Concurrency < 0:
		return fmt.Errorf("cannot make worker: concurrency is %d", o.Concurrency)
	case o.Endpoint != "" && o.UUID == "":
		return fmt.Errorf("cannot make worker: there is an endpoint, but no uuid")
	}
	return nil
}

func orDefault[T ~int | ~int64](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// network tells a path from an address.
func (o *Options) network() string {
	if !strings.Contains(o.Endpoint, "/") && !strings.HasPrefix(o.Endpoint, "@") {
		if _, _, err := net.SplitHostPort(o.Endpoint); err == nil {
			return "tcp"
		}
	}
	return "unix"
}

// protocol is the only version of the worker protocol that is spoken here.
const protocol = "1"

// fill takes what is empty from a command line: flag and value pairs in any
// order, or flag=value. Flags it does not know belong to the program.
func (o *Options) fill(args []string) error {
	flags, err := runtimeFlags(args)
	if err != nil {
		return err
	}
	if v, ok := flags["protocol"]; ok && v != protocol {
		return fmt.Errorf("cannot make worker: the runtime asks for protocol %q, this worker speaks %s", v, protocol)
	}
	for name, field := range map[string]*string{"app": &o.App, "uuid": &o.UUID, "endpoint": &o.Endpoint, "listen": &o.Listen} {
		if *field == "" {
			*field = flags[name]
		}
	}
	if v, ok := flags["locator"]; ok && len(o.Locators) == 0 {
		if o.Locators, err = cocaine.ParseLocators(v); err != nil {
			return fmt.Errorf("cannot make worker: %w", err)
		}
	}
	return nil
}

// runtimeFlags picks what the runtime puts on a worker's command line. The last of
// equal flags wins.
func runtimeFlags(args []string) (map[string]string, error) {
	flags := make(map[string]string)
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			break
		}
		name, value, joined := strings.Cut(args[i], "=")
		name, isFlag := strings.CutPrefix(name, "--")
		if !isFlag || !slices.Contains([]string{"app", "endpoint", "listen", "locator", "protocol", "uuid"}, name) {
			continue
		}
		if !joined {
			if i++; i >= len(args) {
				return nil, fmt.Errorf("cannot make worker: flag --%s has no value", name)
			}
			value = args[i]
		}
		flags[name] = value
	}
	return flags, nil
}

// commandLine is this process's, without the program.
func commandLine() []string {
	if len(os.Args) == 0 {
		return nil
	}
	return os.Args[1:]
}
