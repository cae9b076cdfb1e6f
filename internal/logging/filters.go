package logging

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cocaine/cocaine-go/internal/logging/filter"
)

const (
	// MaxFilters is how many filters all loggers of a node have together.
	MaxFilters = 1024
	// maxLoggerName is the length of the longest name of a logger that has filters.
	maxLoggerName = 256

	// coreLogger and defaultLogger are listed whether they have filters or not.
	coreLogger    = "core"
	defaultLogger = "default"
)

// ErrTooManyFilters refuses a filter over MaxFilters.
var ErrTooManyFilters = errors.New("too many filters")

// Dispositions of a filter: where it holds.
const (
	onNode    = 0
	onCluster = 1
)

// forever is the deadline of filters that do not end.
const forever = math.MaxInt64

// namedFilter is a filter of a logger, for a time.
type namedFilter struct {
	id          uint64
	logger      string
	filter      *filter.Filter
	deadline    int64 // Unix seconds; it has ended after them
	disposition int
}

func (f *namedFilter) ended(now int64) bool { return now > f.deadline }

// filters decide which records are kept. Of the loggers that have a filter, the one
// whose name is the longest beginning of a record's source decides, or else the one
// called default: the record is kept if one of the filters accepts it. A filter that
// has ended counts no more, and is forgotten when the next change comes.
//
// Records are judged by a table that never changes; a change makes another.
type filters struct {
	mu    sync.Mutex
	byID  map[uint64]*namedFilter
	table atomic.Pointer[filterTable]
}

// filterTable is what records are judged by.
type filterTable struct {
	loggers map[string][]*namedFilter
	lengths []int // of the loggers' names, the longest first, each once
}

func newFilters(defaults []*filter.Filter) *filters {
	f := &filters{byID: make(map[uint64]*namedFilter)}
	for _, d := range defaults {
		f.addLocked(&namedFilter{logger: defaultLogger, filter: d, deadline: forever})
	}
	f.rebuildLocked()
	return f
}

// accept judges a record of a logger.
func (f *filters) accept(logger string, r *filter.Record) bool {
	now := time.Now().Unix()
	t := f.table.Load()
	for _, n := range t.lengths {
		if n > len(logger) {
			continue
		}
		if there, accepted := judge(t.loggers[logger[:n]], r, now); there {
			return accepted
		}
	}
	_, accepted := judge(t.loggers[defaultLogger], r, now)
	return accepted
}

// judge reports whether any of the filters counts, and whether one accepts the record.
func judge(fs []*namedFilter, r *filter.Record, now int64) (there, accepted bool) {
	for _, f := range fs {
		if f.ended(now) {
			continue
		}
		there = true
		if f.filter.Accept(r) {
			return true, true
		}
	}
	return there, false
}

// add adds a filter and returns its id, which it gives it unless there is one.
func (f *filters) add(n *namedFilter) (uint64, error) {
	if n.logger == "" || len(n.logger) > maxLoggerName {
		return 0, fmt.Errorf("the name of a logger has 1 to %d bytes, this one has %d", maxLoggerName, len(n.logger))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sweepLocked()
	if len(f.byID) >= MaxFilters {
		return 0, fmt.Errorf("%w: there are %d already", ErrTooManyFilters, len(f.byID))
	}
	f.addLocked(n)
	f.rebuildLocked()
	return n.id, nil
}

func (f *filters) addLocked(n *namedFilter) {
	for n.id == 0 || f.byID[n.id] != nil {
		n.id = rand.Uint64N(math.MaxInt64) // some languages have nothing larger
	}
	f.byID[n.id] = n
}

// remove removes a filter and returns it, nil if there is none.
func (f *filters) remove(id uint64) *namedFilter {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.byID[id]
	delete(f.byID, id)
	f.sweepLocked()
	f.rebuildLocked()
	if n == nil || n.ended(time.Now().Unix()) {
		return nil
	}
	return n
}

// replaceCluster makes the filters of the cluster these, as far as they fit.
func (f *filters) replaceCluster(all []*namedFilter) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sweepLocked()
	maps.DeleteFunc(f.byID, func(_ uint64, n *namedFilter) bool { return n.disposition == onCluster })
	for _, n := range all {
		if len(f.byID) < MaxFilters && f.byID[n.id] == nil {
			f.byID[n.id] = n
		}
	}
	f.rebuildLocked()
}

// list gives the filters that hold, by logger and id.
func (f *filters) list() []*namedFilter {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sweepLocked()
	f.rebuildLocked()
	return slices.SortedFunc(maps.Values(f.byID), func(a, b *namedFilter) int {
		return cmp.Or(cmp.Compare(a.logger, b.logger), cmp.Compare(a.id, b.id))
	})
}

// loggers gives the names of loggers that have filters, and of those that always are.
func (f *filters) loggers() []string {
	names := []string{coreLogger, defaultLogger}
	for _, n := range f.list() {
		names = append(names, n.logger)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (f *filters) sweepLocked() {
	now := time.Now().Unix()
	maps.DeleteFunc(f.byID, func(_ uint64, n *namedFilter) bool { return n.ended(now) })
}

func (f *filters) rebuildLocked() {
	t := &filterTable{loggers: make(map[string][]*namedFilter)}
	for _, n := range f.byID {
		t.loggers[n.logger] = append(t.loggers[n.logger], n)
	}
	for name := range t.loggers {
		t.lengths = append(t.lengths, len(name))
	}
	slices.Sort(t.lengths)
	t.lengths = slices.Compact(t.lengths)
	slices.Reverse(t.lengths)
	f.table.Store(t)
}
