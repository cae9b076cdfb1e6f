package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"runtime"
	"slices"

	"github.com/cocaine/cocaine-go/internal/cache"
	"github.com/cocaine/cocaine-go/internal/chrono"
	"github.com/cocaine/cocaine-go/internal/config"
	"github.com/cocaine/cocaine-go/internal/echo"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/logging"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/unicorn"
	"github.com/cocaine/cocaine-go/internal/uniresis"
	"github.com/cocaine/cocaine-go/internal/v011"
)

// extra is a service that the configuration names.
type extra struct {
	proto *idl.Protocol
	a     rpc.Acceptor
	// start, if not nil, is called once the services are resolvable.
	start func(ctx context.Context) error
	// end, if not nil, is called before the connections of the service are drained,
	// and ends what goes on for as long as clients like. It may be called without start.
	end func() error
	// free, if not nil, is called when the connections have gone.
	free func()
}

// makers make services by type, from their name and arguments.
var makers = map[string]func(d *Daemon, name string, args any) (extra, error){
	"cache":       newCache,
	"chrono":      newChrono,
	"echo":        newEcho,
	"logging::v2": newFilteredLogging,
	"metrics":     newMetrics,
	"unicat":      newUnicat,
	"uniresis":    newUniresis,
	"urlfetch":    newURLFetch,
}

// newExtras binds the services that the configuration names. One of the same name
// as a service that always runs takes its place.
func (d *Daemon) newExtras() error {
	for _, name := range slices.Sorted(maps.Keys(d.conf.Services)) {
		s := d.conf.Services[name]
		maker := makers[s.Type]
		if maker == nil {
			return fmt.Errorf("cannot make service %q: there is no type %q", name, s.Type)
		}
		x, err := maker(d, name, s.Args)
		if err != nil {
			return fmt.Errorf("cannot make service %q: %w", name, err)
		}
		if err := d.addExtra(name, x); err != nil {
			return err
		}
	}
	return nil
}

func (d *Daemon) addExtra(name string, x extra) error {
	if x.free != nil {
		d.onStop(name+" resources", func(context.Context) error { x.free(); return nil })
	}
	old := v011.Generic(x.proto, x.a)
	if x.proto == idl.LoggingV2 {
		old = v011.Logging(x.a, logging.Debug, d.mux(name)) // whose methods have the same numbers
	}
	svc, err := d.newService(name, x.proto, x.a, old, d.sessions())
	if err != nil {
		return err
	}
	d.services = append(d.services, svc)
	d.onStop(name+" service", svc.Close)
	if x.end != nil {
		d.onStop(name, func(context.Context) error { return x.end() })
	}
	if x.start != nil {
		d.starters = append(d.starters, x.start)
	}
	return nil
}

func newEcho(d *Daemon, name string, _ any) (extra, error) {
	return extra{proto: idl.Echo, a: echo.Service(d.mux(name))}, nil
}

func newCache(d *Daemon, name string, args any) (extra, error) {
	a := args.(config.CacheArgs)
	c := cache.New(cache.Options{MaxEntries: a.MaxSize, MaxBytes: a.MaxBytes})
	return extra{proto: idl.Cache, a: cache.Service(c, d.mux(name))}, nil
}

func newChrono(d *Daemon, name string, args any) (extra, error) {
	a := args.(config.ChronoArgs)
	c := chrono.New(chrono.Options{MaxTimers: a.MaxTimers, Log: d.serviceLog(name)})
	return extra{proto: idl.Chrono, a: chrono.Service(c, d.mux(name)), end: c.Close}, nil
}

func newUniresis(d *Daemon, name string, args any) (extra, error) {
	a := args.(config.UniresisArgs)
	n := uniresis.Node{UUID: d.id, CPUs: runtime.NumCPU(), Memory: config.ThisHost().Memory}.Restrict(a.CPU, a.Memory)
	var beacon *uniresis.Beacon
	return extra{proto: idl.Uniresis, a: uniresis.Service(n, d.mux(name)),
		start: func(context.Context) error {
			n.Hostname, n.Endpoints = d.locator.Host(), d.locatorEndpoints()
			beacon = uniresis.Tell(holder{d.unicorn}, a.Prefix, n, d.serviceLog(name))
			return nil
		},
		end: func() error {
			if beacon == nil {
				return nil
			}
			return beacon.Close()
		},
	}, nil
}

// locatorEndpoints is where other nodes find the locator, once it is registered.
func (d *Daemon) locatorEndpoints() []netip.AddrPort {
	if s, err := d.locator.Resolve(locatorName, ""); err == nil {
		return s.Endpoints
	}
	return nil
}

// serviceLog is the runtime's log for one service.
func (d *Daemon) serviceLog(name string) *slog.Logger { return d.log.With("service", name) }

// holder makes ephemeral nodes for uniresis.
type holder struct{ store unicorn.Store }

func (h holder) Hold(ctx context.Context, path string, value []byte) (uniresis.Held, error) {
	held, err := h.store.Hold(ctx, path, value)
	if err != nil {
		return nil, err // not a nil *unicorn.Held, which would not be nil
	}
	return held, nil
}
