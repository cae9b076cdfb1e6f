//go:build !linux

package process

import (
	"context"
	"errors"

	"github.com/cocaine/cocaine-go/internal/isolate"
)

// Isolate exists on Linux only; elsewhere New fails.
type Isolate struct{}

var _ isolate.SpoolingIsolate = (*Isolate)(nil)

// New fails: nothing else than Linux ends workers with the runtime.
func New(Options) (*Isolate, error) {
	return nil, errors.New("cannot set up process isolation: it needs Linux")
}

// Spawn is never reached.
func (*Isolate) Spawn(context.Context, isolate.Spawn) (isolate.Process, error) {
	return nil, errors.ErrUnsupported
}

// Spool is never reached.
func (*Isolate) Spool(context.Context, isolate.Spec) (string, error) {
	return "", errors.ErrUnsupported
}

// Spooler is never reached.
func (*Isolate) Spooler() *isolate.Spooler { return nil }

// Enforces is never reached.
func (*Isolate) Enforces() Enforcement { return Enforcement{} }

// Close is never reached.
func (*Isolate) Close() error { return nil }
