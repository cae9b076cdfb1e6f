package node

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/cocaine/cocaine-go/internal/engine"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// Collections of crash records: the lines alone, as the original kept them, and
// the whole record as JSON.
const (
	crashlogs = "crashlogs"
	crashes   = "crashes"
)

// crashed records a crash. It runs on the dead worker's supervisor goroutine.
func (n *Node) crashed(c engine.Crash) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	key := fmt.Sprintf("%d:%s", c.Time.UnixMicro(), c.Worker)
	tags := []string{c.App, "cocaine-" + c.Time.Format(time.DateOnly)}
	if len(c.Lines) > 0 {
		record := msgpack.AppendArray(nil, len(c.Lines))
		for _, line := range c.Lines {
			record = msgpack.AppendString(record, line)
		}
		n.store(ctx, crashlogs, key, record, tags)
	}
	if record, err := json.Marshal(c); err == nil {
		n.store(ctx, crashes, key, record, tags)
	}
	n.trim(ctx, c.App)
	if n.o.Crashed != nil {
		n.o.Crashed(c)
	}
}

func (n *Node) store(ctx context.Context, collection, key string, record []byte, tags []string) {
	if err := n.o.Storage.Write(ctx, collection, key, record, tags); err != nil {
		n.log.Error("cannot write crash record", "key", key, "cause", err)
	}
}

// trim removes the oldest records of an app beyond the limit. Keys start with
// the time, so they sort by age.
func (n *Node) trim(ctx context.Context, app string) {
	for _, collection := range []string{crashlogs, crashes} {
		keys, err := n.o.Storage.Find(ctx, collection, []string{app})
		if err != nil {
			n.log.Error("cannot list crash records", "cause", err)
			continue
		}
		slices.Sort(keys)
		for len(keys) > n.o.CrashLimit {
			if err := n.o.Storage.Remove(ctx, collection, keys[0]); err != nil {
				n.log.Error("cannot remove crash record", "key", keys[0], "cause", err)
				return
			}
			keys = keys[1:]
		}
	}
}

// Crashes are the latest crashes of an app, the newest first.
func (n *Node) Crashes(ctx context.Context, app string, limit int) ([]engine.Crash, error) {
	keys, err := n.o.Storage.Find(ctx, crashes, []string{app})
	if err != nil {
		return nil, fmt.Errorf("cannot list crashes of app %q: %w", app, err)
	}
	slices.Sort(keys)
	slices.Reverse(keys)
	var list []engine.Crash
	for _, key := range keys[:min(len(keys), limit)] {
		record, err := n.o.Storage.Read(ctx, crashes, key)
		if err != nil {
			continue // trimmed meanwhile
		}
		var c engine.Crash
		if err := json.Unmarshal(record, &c); err != nil {
			return nil, fmt.Errorf("cannot read crash %q: %w", key, err)
		}
		list = append(list, c)
	}
	return list, nil
}
