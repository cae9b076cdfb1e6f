package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
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
	fl.BoolVar(&f.insecure, "insecure", false, "permit listening where other machines can reach it (network.insecure)")
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
	if err != nil {
		return nil, &failure{err: err, hint: "cocaine config explain", code: Usage}
	}
	return conf, nil
}

func (a *app) server(cmd *cobra.Command, f *serverFlags) error {
	conf, err := a.load(cmd, f)
	if err != nil {
		return err
	}
	debug := f.debug
	if debug == "" {
		debug = a.getenv("COCAINE_DEBUG_ADDR")
	}
	return a.serve(cmd.Context(), daemon.Options{Config: conf, Version: version(), Log: a.logger(conf), DebugAddr: debug}, nil)
}

// serve runs a daemon until ctx ends. ready, if not nil, is called once it serves
// and may do more before serve waits.
func (a *app) serve(ctx context.Context, o daemon.Options, ready func(*daemon.Daemon) error) error {
	d, err := daemon.New(ctx, o)
	if err != nil {
		return explainStart(err, o.Config)
	}
	if err := d.Start(ctx); err != nil {
		return explainStart(err, o.Config)
	}
	fmt.Fprintf(a.env.Stderr, "ready: locator %s\n", d.Addr())
	if ready != nil {
		if err := ready(d); err != nil {
			return errors.Join(err, a.stop(d, o.Config.Node.Grace))
		}
	}
	<-ctx.Done()
	fmt.Fprintln(a.env.Stderr, "stopping: finishing running requests")
	return a.stop(d, o.Config.Node.Grace)
}

func (a *app) stop(d *daemon.Daemon, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	return d.Stop(ctx)
}

// explainStart adds a next step to what commonly goes wrong.
func explainStart(err error, conf *config.Config) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return hinted(err, "another runtime may be running: cocaine doctor; or choose another port: --locator-port N")
	case errors.Is(err, jetstream.ErrInUse):
		return &failure{err: err, hint: "stop the other runtime, or use another directory: --dir DIR", code: Conflict}
	case errors.Is(err, os.ErrPermission):
		return hinted(err, "use a directory you may write to: --dir DIR (now %s)", conf.Paths.State)
	}
	return err
}

// logger writes the runtime's own log to standard error.
func (a *app) logger(conf *config.Config) *slog.Logger {
	level := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo,
		"warning": slog.LevelWarn, "error": slog.LevelError}[conf.Logging.Severity]
	o := &slog.HandlerOptions{Level: level}
	if conf.Logging.Format == "json" {
		return slog.New(slog.NewJSONHandler(a.env.Stderr, o))
	}
	return slog.New(slog.NewTextHandler(a.env.Stderr, o))
}
