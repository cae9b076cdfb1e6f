package cocaine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/faultnet"
	"github.com/cocaine/cocaine-go/internal/idl"
)

// What a call is.
type shape int

const (
	shapeGet        shape = iota // storage.read, a value
	shapeFuture                  // the same in futures
	shapeIdempotent              // the same, which may be repeated
	shapeExec                    // storage.write, an answer without a value
	shapeMute                    // logging.emit, no answer
	shapeChunks                  // unicorn.subscribe, a stream to the caller
	shapeLeave                   // the same, left early
	shapeHold                    // unicorn.lock, a stream that the caller ends
	shapeInvoke                  // a typed handler of a worker
	shapeRetry                   // the same, repeated when refused
	shapeStream                  // a worker's handler of a stream, chunks both ways
	shapeScript                  // the same with an app that is no worker
	shapes
)

var shapeNames = [shapes]string{"get", "future", "idempotent", "exec", "mute", "chunks", "leave", "hold", "invoke", "retry", "stream", "script"}

func (s shape) String() string { return shapeNames[s] }

// callee is the service and the method that errors must name.
func (s shape) callee() (service, method string) {
	switch s {
	case shapeExec:
		return "storage", "write"
	case shapeMute:
		return "logging", "emit"
	case shapeChunks, shapeLeave:
		return "unicorn", "subscribe"
	case shapeHold:
		return "unicorn", "lock"
	case shapeInvoke, shapeRetry:
		return "app", "value"
	case shapeStream:
		return "app", "stream"
	case shapeScript:
		return "script", "stream"
	}
	return "storage", "read"
}

// What the caller's context does.
type ending int

const (
	endsNever    ending = iota
	endsLate            // a deadline
	endsCanceled        // a cancel, with a cause
)

// How the service behaves.
type manner int

const (
	mannerPrompt manner = iota
	mannerSlow
	mannerFailing
	mannerSilent // for long; only where the caller's context ends
)

// A plan is what becomes of a call if nothing breaks. It follows from the seed and
// the number.
type plan struct {
	shape
	ending
	manner
	after  time.Duration // of the ending
	takes  time.Duration // of the service, when it is slow
	chunks int
}

// attempts is how often a call may be made that may be repeated.
const chaosAttempts = 4

var (
	errChaos      = errors.New("the caller has lost interest")
	errServiceEnd = cocaine.Errorf(cocaine.CategoryUser, 1, "the service was left alone, or has to stop")
)

// failure is how a call fails whose service is to fail.
func failure(id uint64) *cocaine.Error {
	return cocaine.Errorf(cocaine.CategoryUser, 100+int(id%1000), "call %d was to fail", id)
}

// answer is the value of a call.
func answer(id uint64) uint64 { return id*0x9e3779b97f4a7c15 | 1 }

func formatID(id uint64) []byte { return strconv.AppendUint(nil, id, 10) }

func parseID(b []byte) uint64 {
	id, err := strconv.ParseUint(string(b), 10, 64)
	if err != nil {
		return 0 // nobody's number: deliver complains
	}
	return id
}

type (
	chaosIn  struct{ ID uint64 }
	chaosOut struct{ Answer uint64 }
)

// A ledger has a line for each call: how often it was delivered, how often it
// ended, and how. Numbers begin with 1.
type ledger struct {
	seed      uint64
	delivered []atomic.Uint32
	ended     []atomic.Uint32
	outcomes  []outcome // written by the caller before ended
	finished  atomic.Int64

	mu       sync.Mutex
	troubles []string // the first few
	trouble  int
}

func newLedger(seed uint64, calls int) *ledger {
	return &ledger{seed: seed, delivered: make([]atomic.Uint32, calls+1), ended: make([]atomic.Uint32, calls+1), outcomes: make([]outcome, calls+1)}
}

func (l *ledger) complain(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.trouble++; l.trouble <= 20 {
		l.troubles = append(l.troubles, fmt.Sprintf(format, args...))
	}
}

func (l *ledger) plan(id uint64) plan {
	r := rand.New(rand.NewPCG(faultnet.Sub(l.seed, int(id)), 5))
	p := plan{shape: shape(r.IntN(int(shapes))), chunks: 1 + r.IntN(5)}
	switch n := r.IntN(10); {
	case n < 3:
		p.ending, p.after = endsLate, time.Duration(r.IntN(1+r.IntN(150_000)))*time.Microsecond
	case n < 5:
		p.ending, p.after = endsCanceled, time.Duration(r.IntN(1+r.IntN(150_000)))*time.Microsecond
	}
	switch n := r.IntN(100); {
	case n < 5:
		p.manner = mannerFailing
	case n < 15:
		p.manner, p.takes = mannerSlow, time.Duration(r.IntN(8_000))*time.Microsecond
	case n < 20 && p.ending != endsNever:
		p.manner, p.takes = mannerSilent, 100*time.Millisecond
	}
	return p
}

// deliver notes that a service has got a call.
func (l *ledger) deliver(id uint64) {
	if id == 0 || id >= uint64(len(l.delivered)) {
		l.complain("a service got a call with the number %d", id)
		return
	}
	l.delivered[id].Add(1)
}

// serve is what every service does with a call.
func (l *ledger) serve(ctx context.Context, id uint64) (uint64, error) {
	l.deliver(id)
	p := l.plan(id)
	switch p.manner {
	case mannerFailing:
		return 0, failure(id)
	case mannerSlow, mannerSilent:
		timer := time.NewTimer(p.takes)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return 0, errServiceEnd
		}
	}
	return answer(id), nil
}

// An outcome is how a call ended.
type outcome uint8

const (
	pending outcome = iota
	answered
	failedAsPlanned
	deadlinePassed
	canceled
	closedByUs
	disconnected
	notConnected
	notResolved
	refused
	workerLost
	workerStopping
	serviceCanceled
	outcomes
)

var outcomeNames = [outcomes]string{
	"pending", "answered", "failed as planned", "deadline passed", "canceled", "closed by us", "disconnected",
	"not connected", "not resolved", "refused", "worker lost", "worker stopping", "ended at the service",
}

func (o outcome) String() string { return outcomeNames[o] }

// unsent reports whether no service can have got such a call.
func (o outcome) unsent() bool { return o == notConnected || o == notResolved || o == refused }

// coded are the outcomes that services and runtime tell by a code.
var coded = map[[2]int]outcome{
	{idl.CategoryOverseer, idl.OverseerQueueFull}: refused,         // the queue of the app is full
	{idl.CategoryNode, idl.NodeNotRunning}:        refused,         // it is being stopped
	{idl.CategoryStream, 2}:                       workerLost,      // end of file
	{idl.CategorySocket, 104}:                     workerLost,      // reset
	{idl.CategorySocket, 125}:                     workerLost,      // cancelled
	{idl.CategorySlave, idl.SlaveSealing}:         workerStopping,  // the worker takes no more
	{cocaine.CategoryUser, 1}:                     serviceCanceled, // the handler saw its context end
}

// deadlines are the codes by which a runtime says that the caller's time is up. It
// and the caller watch the same deadline, and either may be first.
var deadlines = map[[2]int]bool{
	{idl.CategoryNode, idl.NodeDeadline}:      true,
	{idl.CategoryNode, idl.NodeWorkerTimeout}: true,
	{idl.CategoryGeneric, idl.GenericTimeout}: true,
}

// judge tells how a call ended that returned err. An error that is not in the table
// is not among those that are documented.
func judge(ctx context.Context, id uint64, p plan, err error) (outcome, bool) {
	if err == nil {
		return answered, p.manner != mannerFailing || p.shape == shapeMute
	}
	var call *cocaine.CallError
	service, method := p.callee()
	if err == io.EOF || !errors.As(err, &call) || call.Service != service || call.Method != method {
		return pending, false
	}
	if e, ok := errors.AsType[*cocaine.ResolveError](err); ok {
		return notResolved, errors.Is(e, cocaine.ErrServiceNotFound) || errors.Is(e, cocaine.ErrDisconnected) ||
			errors.Is(e, cocaine.ErrClosed) || errors.Is(e, context.DeadlineExceeded) || isConnectError(e)
	}
	switch {
	case isConnectError(err):
		return notConnected, true
	case errors.Is(err, cocaine.ErrDisconnected):
		_, typed := errors.AsType[*cocaine.DisconnectedError](err)
		return disconnected, typed && !errors.Is(err, io.EOF)
	case errors.Is(err, cocaine.ErrClosed):
		return closedByUs, true
	case errors.Is(err, context.DeadlineExceeded):
		return deadlinePassed, p.ending == endsLate && ctx.Err() != nil
	case errors.Is(err, context.Canceled):
		return canceled, p.ending == endsCanceled && ctx.Err() != nil && errors.Is(err, errChaos)
	}
	e, ok := errors.AsType[*cocaine.Error](err)
	if !ok {
		return pending, false
	}
	code := [2]int{e.Category, e.Code}
	if errors.Is(err, failure(id)) {
		return failedAsPlanned, p.manner == mannerFailing
	}
	if deadlines[code] {
		return deadlinePassed, p.ending == endsLate
	}
	o, known := coded[code]
	return o, known
}

func isConnectError(err error) bool {
	_, ok := errors.AsType[*cocaine.ConnectError](err)
	return ok
}

// chain shows an error with all that it wraps.
func chain(err error) string {
	if err == nil {
		return "no error"
	}
	s := fmt.Sprintf("%T: %v", err, err)
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return s + "\n\t\t" + chain(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, part := range e.Unwrap() {
			s += "\n\t\t" + chain(part)
		}
	}
	return s
}

// end notes the end of a call.
func (l *ledger) end(ctx context.Context, id uint64, p plan, err error) {
	o, fits := judge(ctx, id, p, err)
	if !fits {
		l.complain("call %d %+v ended with what is not documented:\n\t\t%s", id, p, chain(err))
	}
	l.outcomes[id] = o
	if l.ended[id].Add(1) != 1 {
		l.complain("call %d %+v ended twice", id, p)
	}
	l.finished.Add(1)
}

// audit looks at all lines when nothing is under way any more. It returns how often
// each outcome was.
func (l *ledger) audit() (counts [outcomes]int) {
	for id := 1; id < len(l.ended); id++ {
		o, n := l.outcomes[id], l.delivered[id].Load()
		counts[o]++
		p := l.plan(uint64(id))
		limit := uint32(1)
		if p.shape == shapeIdempotent {
			limit = chaosAttempts
		}
		switch {
		case l.ended[id].Load() != 1:
			l.complain("call %d %+v ended %d times", id, p, l.ended[id].Load())
		case n > limit:
			l.complain("call %d %+v was delivered %d times, and ended as: %v", id, p, n, o)
		case n == 0 && (o == answered && p.shape != shapeMute || o == failedAsPlanned):
			l.complain("call %d %+v ended as: %v, but was never delivered", id, p, o)
		case n > 0 && o.unsent() && p.shape != shapeIdempotent:
			l.complain("call %d %+v ended as: %v, but was delivered", id, p, o)
		}
	}
	return counts
}
