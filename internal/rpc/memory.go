package rpc

import (
	"errors"
	"sync/atomic"
)

// ErrMemory is why a session ended whose peer sent a large frame when Memory was
// used up.
var ErrMemory = errors.New("too much memory is taken by all connections")

// spare is what each session may take of each kind of memory without counting: its
// read buffer, its output, the arguments and the answer of a call.
const spare = 64 << 10

// Memory bounds what all sessions that share it take together for their peers, beyond
// what is spare: frames that are read by half, calls under way, answers and other
// output that nobody takes. It is what keeps a limit for each connection from being
// multiplied by the number of connections. All methods may be called on nil, which
// bounds nothing, and by any number of goroutines.
//
// When it is used up, whoever sends a large frame is cut off, large calls are refused,
// and output beyond what is spare makes those wait who feed it. Small requests and
// their answers go on as before. What is there already is not dropped, so an answer
// may take it over the limit.
type Memory struct {
	limit int64
	used  atomic.Int64
}

// NewMemory makes a Memory of so many bytes.
func NewMemory(limit int64) *Memory { return &Memory{limit: limit} }

// Used is how many bytes are taken.
func (m *Memory) Used() int64 {
	if m == nil {
		return 0
	}
	return m.used.Load()
}

// take takes n bytes, unless that is over the limit.
func (m *Memory) take(n int) bool {
	if m == nil || n <= 0 {
		return true
	}
	if m.used.Add(int64(n)) <= m.limit {
		return true
	}
	m.used.Add(-int64(n))
	return false
}

// add takes n bytes that are there already, or gives some back.
func (m *Memory) add(n int) {
	if m != nil && n != 0 {
		m.used.Add(int64(n))
	}
}

// tight reports whether nothing is left.
func (m *Memory) tight() bool { return m != nil && m.used.Load() >= m.limit }
