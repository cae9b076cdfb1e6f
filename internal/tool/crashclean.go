package tool

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

func (t *tool) crashlogRemove() *cobra.Command {
	var name, timestamp string
	return t.command("remove", "Remove crashlogs of an app, all unless -t is given", func(ctx context.Context, o *operation) error {
		found, err := o.crashes(ctx, name)
		if err != nil {
			return err
		}
		return o.removeCrashes(ctx, pick(found, timestamp), false)
	}, t.crashlogName(&name), text(&timestamp, "timestamp", "t", "", "`microseconds` since 1970, as list shows them"))
}

func (t *tool) crashlogRemoveAll() *cobra.Command {
	var name string
	return t.command("removeall", "Remove all crashlogs of an app", func(ctx context.Context, o *operation) error {
		found, err := o.crashes(ctx, name)
		if err != nil {
			return err
		}
		return o.removeCrashes(ctx, found, false)
	}, t.crashlogName(&name))
}

func (t *tool) crashlogClean() *cobra.Command {
	var name, timestamp string
	var keep int
	return t.command("clean", "Remove the older crashlogs of an app", func(ctx context.Context, o *operation) error {
		found, err := o.crashes(ctx, name)
		if err != nil {
			return err
		}
		if timestamp == "" {
			return o.removeCrashes(ctx, found[:max(0, len(found)-max(keep, 0))], true)
		}
		before, err := parseTime(timestamp)
		if err != nil {
			return err
		}
		return o.removeCrashes(ctx, slices.DeleteFunc(found, func(c crash) bool { return c.at >= before }), true)
	}, t.crashlogName(&name), whole(&keep, "size", "s", 1000, "how `many` to leave, the latest"),
		text(&timestamp, "timestamp", "t", "", "remove those before this `time`: microseconds, or 2006-01-02T15:04:05"))
}

func (t *tool) crashlogCleanRange() *cobra.Command {
	var from, upTo string
	return t.command("cleanrange", "Remove the crashlogs of all apps from one day to another", func(ctx context.Context, o *operation) error {
		now := time.Now()
		first, err := parseDay(from, now)
		if err != nil {
			return err
		}
		last, err := parseDay(upTo, now)
		if err != nil {
			return err
		}
		for day := first; !day.After(last); day = day.AddDate(0, 0, 1) {
			found, err := o.crashes(ctx, dayTag(day))
			if err != nil {
				return err
			}
			o.log(info, "%s has %d crashlogs", dayTag(day), len(found))
			if err := o.removeCrashes(ctx, found, false); err != nil {
				return err
			}
		}
		return nil
	}, required(&from, "from_day", "", "first `day`: today, yesterday, D, D-M or D-M-Y"),
		text(&upTo, "up_to_day", "", "yesterday", "last `day`"), within(patient))
}

// removeCrashes goes on after a crashlog that cannot be removed.
func (o *operation) removeCrashes(ctx context.Context, found []crash, tell bool) error {
	var errs []error
	for _, c := range found {
		if tell {
			if err := o.printf("removing %s\n", c.key()); err != nil {
				return err
			}
		}
		if err := o.remove(ctx, crashlogs, c.key()); err != nil {
			errs = append(errs, cannot(err, "remove crashlog %s", c.key()))
			if ctx.Err() != nil {
				break
			}
		}
	}
	return errors.Join(errs...)
}

// parseTime reads a time in microseconds since 1970, or as a date in local time.
func parseTime(s string) (int64, error) {
	if us, err := strconv.ParseInt(s, 10, 64); err == nil {
		return us, nil
	}
	at, err := time.ParseInLocation("2006-01-02T15:04:05", s, time.Local)
	if err != nil {
		return 0, invalidf("cannot read the time %q: want microseconds since 1970, or 2006-01-02T15:04:05", s)
	}
	return at.UnixMicro(), nil
}
