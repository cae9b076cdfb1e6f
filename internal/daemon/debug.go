package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"runtime"
	"time"
)

// ErrNotLoopback refuses debug pages on an address that other machines may reach:
// profiles tell too much, and are not protected by anything.
var ErrNotLoopback = errors.New("only loopback addresses are allowed")

// listenDebug binds the address of the debug pages.
func (d *Daemon) listenDebug() error {
	if d.o.DebugAddr == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(d.o.DebugAddr)
	if err != nil {
		return fmt.Errorf("cannot serve debug pages: %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("cannot serve debug pages on %s: %w", d.o.DebugAddr, ErrNotLoopback)
	}
	if d.debug, err = net.Listen("tcp", d.o.DebugAddr); err != nil {
		return fmt.Errorf("cannot serve debug pages: %w", err)
	}
	d.onStop("debug listener", func(context.Context) error {
		d.debug.Close() // by the server, if it was started
		return nil
	})
	return nil
}

// serveDebug serves counters and profiles over HTTP.
func (d *Daemon) serveDebug() {
	if d.debug == nil {
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/vars", d.vars)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	d.log.Info("debug pages", "url", "http://"+d.DebugAddr()+"/debug/vars")
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := srv.Serve(d.debug); !errors.Is(err, http.ErrServerClosed) {
			d.log.Error("debug pages are lost", "cause", err)
		}
	}()
	d.onStop("debug pages", func(context.Context) error {
		err := srv.Close()
		<-done
		return err
	})
}

// DebugAddr is where counters and profiles are served; empty if they are not.
func (d *Daemon) DebugAddr() string {
	if d.debug == nil {
		return ""
	}
	return d.debug.Addr().String()
}

// vars writes the counters as the expvar package does, without its global state.
func (d *Daemon) vars(w http.ResponseWriter, _ *http.Request) {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	doc := d.counters()
	doc["memstats"] = mem
	doc["goroutines"] = runtime.NumGoroutine()
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(doc) // the reader has gone
}
