package jetstream

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/nats-io/nats.go"
	nats_js "github.com/nats-io/nats.go/jetstream"
)

// Errors to match with errors.Is.
var (
	// ErrInUse means that another runtime owns the state directory.
	ErrInUse = errors.New("in use by another runtime")
	// ErrDamaged means that the state directory holds data that cannot be recovered.
	ErrDamaged = errors.New("state is damaged")
	// ErrExists means that the key to be created is there already.
	ErrExists = errors.New("key exists")
	// ErrConflict means that the key's revision is not the expected one.
	ErrConflict = errors.New("revision has changed")
	// ErrClosed means that the State was closed, or that its connection to an
	// external engine is gone for good.
	ErrClosed = errors.New("state is closed")
	// ErrNotFound is what Get of a missing key or blob wraps. It is fs.ErrNotExist.
	ErrNotFound = fs.ErrNotExist
)

var errBadName = errors.New("it is not made of letters, digits, '-' and '_'")

// cannot wraps the cause of a failed operation with what was being done, and
// turns the client library's errors into this package's.
func cannot(verb, object string, err error) error {
	return fmt.Errorf("cannot %s %s: %w", verb, object, translate(err))
}

func translate(err error) error {
	var sentinel error
	switch {
	case errors.Is(err, nats_js.ErrKeyNotFound), errors.Is(err, nats_js.ErrKeyDeleted), errors.Is(err, nats_js.ErrMsgNotFound):
		sentinel = ErrNotFound
	case isWrongRevision(err):
		sentinel = ErrConflict
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining):
		sentinel = ErrClosed
	case errors.Is(err, nats.ErrTimeout):
		// The library's own time-out and the context's are the same to a caller.
		sentinel = context.DeadlineExceeded
	default:
		return err
	}
	return &translated{sentinel: sentinel, cause: err}
}

// translated reads as one of our errors and still matches its cause.
type translated struct{ sentinel, cause error }

func (t *translated) Error() string   { return t.sentinel.Error() }
func (t *translated) Unwrap() []error { return []error{t.sentinel, t.cause} }

// wrongSequenceReplicated is the code by which a replicated stream reports that
// the last sequence of a subject is not the expected one.
const wrongSequenceReplicated nats_js.ErrorCode = 10164

func isWrongRevision(err error) bool {
	var api *nats_js.APIError
	if !errors.As(err, &api) {
		return false
	}
	return api.ErrorCode == nats_js.JSErrCodeStreamWrongLastSequence || api.ErrorCode == wrongSequenceReplicated
}
