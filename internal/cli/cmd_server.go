package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocaine/cocaine-go/internal/config"
	"github.com/cocaine/cocaine-go/internal/daemon"
	"github.com/cocaine/cocaine-go/internal/jetstream"
)

// serverFlags are the flags that stand for settings of the configuration.
type serverFlags struct {
	file     string
	dir      string
	listen   string
	port     int
	insecure bool
	set      []string
	debug    string
}

func (a *app) cmdServer() *cobra.Command {
	var f serverFlags
	c := &cobra.Command{
		Use:     "server",
		Short:   "Run the runtime",
		GroupID: "start",
		Long: `Runs the runtime until SIGTERM or an interrupt, which drain: running requests are
finished, within node.grace, before the workers are told to go.

Settings come from flags, then COCAINE_* variables, then the file, then defaults:
cocaine config explain shows which.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.server(cmd, &f) },
	}
	fl := c.Flags()
	fl.StringVarP(&f.file, "config", "c", "", "configuration `file` (cocaine config init writes one)")
	fl.StringVar(&f.dir, "dir", "", "`directory` of everything that survives a restart (paths.state)")
	fl.StringVar(&f.listen, "listen", "", "IP `address` to listen on (network.endpoint)")
	fl.IntVar(&f.port, "locator-port", 0, "`port` of the locator (network.port)")
	fl.BoolVar(&f.insecure, "insecure", false, "permit listening where other machines can reach it without TLS and tokens (network.insecure)")
	fl.StringArrayVar(&f.set, "set", nil, "any setting, as `key=value`; may be repeated")
	fl.StringVar(&f.debug, "debug-addr", "", "loopback `address` for counters and profiles over HTTP (default $COCAINE_DEBUG_ADDR)")
	return c
}

// load reads the configuration of a server.
func (a *app) load(cmd *cobra.Command, f *serverFlags) (*config.Config, error) {
	set := make(map[string]string)
	for _, kv := range f.set {
		key, value, ok := strings.Cut(kv, "=")
		if !ok {
			return nil, usage(fmt.Errorf("cannot read --set %q: want key=value", kv), "cocaine config explain")
		}
		set[key] = value
	}
	changed := cmd.Flags().Changed
	if changed("dir") {
		set["paths.state"] = f.dir
		if _, ok := set["paths.runtime"]; !ok && len(f.dir)+len("/run") <= config.MaxRuntimePath {
			set["paths.runtime"] = f.dir + "/run"
		}
	}
	if changed("listen") {
		set["network.endpoint"] = f.listen
	}
	if changed("locator-port") {
		set["network.port"] = strconv.Itoa(f.port)
	}
	if changed("insecure") {
		set["network.insecure"] = strconv.FormatBool(f.insecure)
	}
	path := f.file
	if path == "" {
		path = config.Find(a.env.Host)
	}
	conf, err := config.Load(path, a.env.Host, set)
	switch {
	case err == nil:
		return conf, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, hinted(err, "cocaine config init %s", path)
	case errors.Is(err, fs.ErrPermission):
		return nil, hinted(err, "ls -l %s", path)
	}
	return nil, usage(err, "cocaine config explain")
}

func (a *app) server(cmd *cobra.Command, f *serverFlags) error {
	conf, err := a.load(cmd, f)
	if err != nil {
		return err
	}
	for _, n := range conf.Notes() {
		a.screen.say("%s", printable(n.String()))
	}
	debug := f.debug
	if debug == "" {
		debug = a.env.getenv("COCAINE_DEBUG_ADDR")
	}
	return a.serve(cmd.Context(), daemon.Options{Config: conf, Version: version(), Log: a.logger(conf), DebugAddr: debug}, nil)
}

// serve runs a daemon until ctx ends, or as long as meanwhile, if it is not nil,
// does.
func (a *app) serve(ctx context.Context, o daemon.Options, meanwhile func(*daemon.Daemon) error) error {
	d, err := daemon.New(ctx, o)
	if err == nil {
		err = d.Start(ctx)
	}
	if err != nil {
		return explainStart(err, o.Config)
	}
	if meanwhile != nil {
		err = meanwhile(d)
	} else {
		<-ctx.Done()
	}
	return errors.Join(err, a.drain(d, o.Config.Node.Grace))
}

// drain stops a daemon. A second signal cuts short what still runs.
func (a *app) drain(d *daemon.Daemon, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, endSignals()...)
	defer stop()
	return d.Stop(ctx)
}

// explainStart adds a next step to what commonly goes wrong.
func explainStart(err error, conf *config.Config) error {
	switch {
	case errors.Is(err, daemon.ErrNotLoopback):
		return usage(err, "--debug-addr 127.0.0.1:0")
	case errors.Is(err, syscall.EADDRINUSE):
		return hinted(err, "cocaine doctor tells who listens there; --locator-port 0 takes any free port")
	case errors.Is(err, daemon.ErrInUse), errors.Is(err, jetstream.ErrInUse):
		return coded(Conflict, err, "cocaine server --dir DIR keeps its state elsewhere; or stop the other runtime")
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return coded(Denied, err, "cocaine server --dir DIR, with a directory that you may write to")
	case errors.Is(err, syscall.ENOTDIR):
		return hinted(err, "cocaine server --dir DIR, with a path whose parts are directories")
	}
	return err
}

// logger writes the runtime's own log to standard error.
func (a *app) logger(conf *config.Config) *slog.Logger {
	level := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo,
		"warning": slog.LevelWarn, "error": slog.LevelError}[conf.Logging.Severity]
	o := &slog.HandlerOptions{Level: level}
	if conf.Logging.Format == "json" {
		return slog.New(slog.NewJSONHandler(a.screen, o))
	}
	return slog.New(slog.NewTextHandler(a.screen, o))
}
