// Package logtest keeps what a test's program logs.
package logtest

import (
	"strings"
	"sync"
)

// A Buffer is a writer for a log that is read while it is written. Any number of
// goroutines may use it. The zero Buffer is empty.
type Buffer struct {
	mu sync.Mutex
	b  strings.Builder
}

// Write appends to the buffer. It implements io.Writer, and never fails.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String gives everything that was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
