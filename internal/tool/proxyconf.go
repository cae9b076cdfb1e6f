package tool

import (
	"context"

	"github.com/spf13/cobra"
)

// Where the HTTP proxies look for what to do with an app.
const (
	tracingPath  = "/zipkin_sampling"
	timeoutsPath = "/proxy_apps_timeouts"
)

func (t *tool) tracingGroup() *cobra.Command {
	return t.group("tracing", "Edit what share of the requests of an app is traced", t.tracingStore(), t.tracingRemove(), t.tracingView())
}

func (t *tool) tracingStore() *cobra.Command {
	var name string
	var value float64
	return t.command("store", "Set the share for an app", func(ctx context.Context, o *operation) error {
		if value < 0 || value > 100 {
			return invalidf("cannot set the share of %s: want 0 to 100 percent, have %v", name, value)
		}
		if _, err := o.change(ctx, tracingPath+"/"+name, func(any) any { return value }); err != nil {
			return cannot(err, "set the share of %s", name)
		}
		return nil
	}, required(&name, "name", "n", "`name` of the app"), fraction(&value, "value", "", 0, "`percent` of the requests"), given("value"))
}

func (t *tool) tracingRemove() *cobra.Command {
	var name string
	return t.command("remove", "Remove the share for an app", func(ctx context.Context, o *operation) error {
		return o.dropNode(ctx, tracingPath, name)
	}, required(&name, "name", "n", "`name` of the app"))
}

func (t *tool) tracingView() *cobra.Command {
	var name string
	return t.command("view", "Show the share for an app", func(ctx context.Context, o *operation) error {
		return o.viewNodes(ctx, tracingPath, name)
	}, text(&name, "name", "n", "", "`name` of the app; all unless given"))
}

func (t *tool) timeoutsGroup() *cobra.Command {
	return t.group("timeouts", "Edit how long requests through the HTTP proxy may take",
		t.timeoutsStore(), t.timeoutsRemove(), t.timeoutsDrop(), t.timeoutsView())
}

func (t *tool) timeoutsStore() *cobra.Command {
	var name, event string
	var value float64
	return t.command("store", "Set the time for an event of an app", func(ctx context.Context, o *operation) error {
		if value <= 0 {
			return invalidf("cannot set the time of %s: want seconds above 0, have %v", name, value)
		}
		now, err := o.change(ctx, timeoutsPath+"/"+name, func(old any) any {
			times, ok := old.(map[string]any)
			if !ok {
				times = make(map[string]any)
			}
			times[event] = value
			return times
		})
		if err != nil {
			return cannot(err, "set the time of %s", name)
		}
		return o.printJSON(now)
	}, required(&name, "name", "n", "`name` of the app"), eventOption(&event), fraction(&value, "value", "", 30, "`seconds`"))
}

// eventOption has to be given, but may be empty: that is all events of the app that
// have no time of their own.
func eventOption(event *string) option {
	return func(c *cobra.Command, s *spec) {
		c.Flags().StringVarP(event, "event", "e", "", "`name` of the event; an empty one stands for all others")
		s.checks = append(s.checks, func(c *cobra.Command) error {
			if !c.Flags().Changed("event") {
				return usagef("cannot run %s: the option --event is missing", c.CommandPath())
			}
			return nil
		})
	}
}

func (t *tool) timeoutsRemove() *cobra.Command {
	var name, event string
	return t.command("remove", "Remove the time for an event of an app", func(ctx context.Context, o *operation) error {
		path := timeoutsPath + "/" + name
		n, err := o.get(ctx, path)
		if err != nil {
			return cannot(err, "remove the time of %s", name)
		}
		times, _ := n.Value.(map[string]any)
		if _, ok := times[event]; !ok {
			return nil
		}
		delete(times, event)
		if err := o.put(ctx, path, times, n.Version); err != nil {
			return cannot(err, "remove the time of %s", name)
		}
		return nil
	}, required(&name, "name", "n", "`name` of the app"), eventOption(&event))
}

func (t *tool) timeoutsDrop() *cobra.Command {
	var name string
	return t.command("drop", "Remove all times of an app", func(ctx context.Context, o *operation) error {
		return o.dropNode(ctx, timeoutsPath, name)
	}, required(&name, "name", "n", "`name` of the app"))
}

func (t *tool) timeoutsView() *cobra.Command {
	var name string
	return t.command("view", "Show the times of an app", func(ctx context.Context, o *operation) error {
		return o.viewNodes(ctx, timeoutsPath, name)
	}, required(&name, "name", "n", "`name` of the app"))
}
