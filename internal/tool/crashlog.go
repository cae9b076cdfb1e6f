package tool

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocaine/cocaine-go"
)

const crashlogs = "crashlogs"

// A crash is the key of a crashlog: when the worker died, in microseconds since
// 1970, and its uuid.
type crash struct {
	at     int64
	worker string
}

func parseCrash(key string) (crash, bool) {
	at, worker, ok := strings.Cut(key, ":")
	us, err := strconv.ParseInt(at, 10, 64)
	return crash{us, worker}, ok && err == nil
}

func (c crash) key() string { return fmt.Sprintf("%d:%s", c.at, c.worker) }

// when is the time as the original writes it, in local time.
func (c crash) when() string { return time.UnixMicro(c.at).Format(time.ANSIC) }

func (t *tool) crashlogGroup() *cobra.Command {
	return t.group("crashlog", "Show and remove what crashed workers printed",
		t.crashlogStatus(), t.crashlogList(), t.crashlogView(), t.crashlogRemove(), t.crashlogRemoveAll(), t.crashlogClean(), t.crashlogCleanRange())
}

func (t *tool) crashlogName(name *string) option {
	return func(c *cobra.Command, s *spec) {
		required(name, "name", "n", "`name` of the app")(c, s)
		t.completeNames(c, manifests())
	}
}

// crashes finds crashlogs, the oldest first.
func (o *operation) crashes(ctx context.Context, tags ...string) ([]crash, error) {
	keys, err := o.find(ctx, crashlogs, tags...)
	if err != nil {
		return nil, cannot(err, "list the crashlogs")
	}
	var found []crash
	for _, key := range keys {
		if c, ok := parseCrash(key); ok {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b crash) int { return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.worker, b.worker)) })
	return found, nil
}

// pick keeps the crashes of a time, all if it is empty.
func pick(found []crash, timestamp string) []crash {
	if timestamp == "" {
		return found
	}
	return slices.DeleteFunc(found, func(c crash) bool { return strconv.FormatInt(c.at, 10) != timestamp })
}

func (t *tool) crashlogList() *cobra.Command {
	var name, day string
	return t.command("list", "Show the crashlogs of an app", func(ctx context.Context, o *operation) error {
		tags := []string{name}
		if day != "" {
			date, err := parseDay(day, time.Now())
			if err != nil {
				return err
			}
			tags = append(tags, dayTag(date))
		}
		found, err := o.crashes(ctx, tags...)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			o.log(info, "there are no crashlogs of %s", name)
			return nil
		}
		o.log(info, "%s", strings.TrimRight(centre("Timestamp", 20)+" "+centre("Time", 26)+" "+centre("UUID", 36), " "))
		for _, c := range found {
			line := centre(strconv.FormatInt(c.at, 10), 20) + " " + centre(c.when(), 26) + " " + centre(c.worker, 36)
			if err := o.print(line + "\n"); err != nil {
				return err
			}
		}
		return nil
	}, t.crashlogName(&name), text(&day, "day", "d", "", "`day`: today, yesterday, D, D-M or D-M-Y"))
}

func (t *tool) crashlogStatus() *cobra.Command {
	return t.command("status", "Show which apps have crashlogs", func(ctx context.Context, o *operation) error {
		apps, err := o.names(ctx, manifests())
		if err != nil {
			return err
		}
		type row struct {
			app   string
			total int
			last  crash
		}
		var rows []row
		for _, app := range apps {
			found, err := o.crashes(ctx, app)
			if err != nil {
				return err
			}
			if len(found) > 0 {
				rows = append(rows, row{app, len(found), found[len(found)-1]})
			}
		}
		if len(rows) == 0 {
			return o.print("There are no applications with crashlogs\n")
		}
		slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.last.at, b.last.at) })
		o.log(info, "%s", centre("Application", 20)+" "+centre("Total", 10)+" "+centre("Last", 26)+" "+centre("UUID", 36))
		for _, r := range rows {
			if err := o.printf("%-20s|%s|%s|%s\n", r.app, centre(strconv.Itoa(r.total), 10), centre(r.last.when(), 26), centre(r.last.worker, 38)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *tool) crashlogView() *cobra.Command {
	var name, timestamp string
	return t.command("view", "Show what a worker printed before it crashed, the last one unless -t is given",
		func(ctx context.Context, o *operation) error {
			found, err := o.crashes(ctx, name)
			if err != nil {
				return err
			}
			if found = pick(found, timestamp); timestamp == "" && len(found) > 1 {
				found = found[len(found)-1:]
			}
			if len(found) == 0 {
				return &failure{err: fmt.Errorf("cannot view a crashlog of %s: there is none", name), hint: "crashlog list -n " + name}
			}
			for _, c := range found {
				if err := o.printCrash(ctx, c); err != nil {
					return err
				}
			}
			return nil
		}, t.crashlogName(&name), text(&timestamp, "timestamp", "t", "", "`microseconds` since 1970, as list shows them"))
}

func (o *operation) printCrash(ctx context.Context, c crash) error {
	blob, err := o.read(ctx, crashlogs, c.key())
	if err != nil {
		return cannot(err, "view crashlog %s", c.key())
	}
	var lines []string
	if err := cocaine.Raw(blob).Decode(&lines); err != nil {
		return fmt.Errorf("cannot view crashlog %s: its record is damaged: %w", c.key(), err)
	}
	return o.print(o.printable(strings.Join(lines, "\n")) + "\n")
}

// centre puts text in the middle of a column; a space that does not divide goes to
// the right.
func centre(text string, width int) string {
	room := max(0, width-len(text))
	return strings.Repeat(" ", room/2) + text + strings.Repeat(" ", room-room/2)
}
