package tool

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
)

// proxyGroup is of v0.11 only. Its proxy was a program of its own that the tool
// started.
func (t *tool) proxyGroup() *cobra.Command {
	return t.group("proxy", "Start and stop the HTTP proxy of v0.11 (not supported)",
		t.proxyCommand("start", true), t.proxyCommand("stop", false), t.proxyCommand("status", false))
}

func (t *tool) proxyCommand(use string, starts bool) *cobra.Command {
	var config, pidfile string
	var port, count int
	var daemon bool
	options := []option{text(&pidfile, "pidfile", "", "/var/run/cocaine-python-proxy.pid", "`file` with the id of its process")}
	if starts {
		options = append(options,
			whole(&port, "port", "", 8080, "`port` to listen on"), whole(&count, "count", "", 0, "`number` of processes"),
			text(&config, "config", "", "/etc/cocaine/cocaine-tornado-proxy.conf", "its configuration `file`"),
			toggle(&daemon, "daemon", "", "go to the background"))
	}
	return t.command(use, "Not supported", func(context.Context, *operation) error {
		return hinted(errors.New("cannot run proxy "+use+": the proxy is no program of its own any more"), "cocaine help lists what there is")
	}, options...)
}
