package locator

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/timing"
)

// publisher serves the publish method. It works on the reader goroutine, since
// it never blocks: a publication costs no goroutine however long it lives, and
// a resolve that was sent after it finds it.
type publisher struct {
	l     *Locator
	timer *timing.Timer
}

// Timer implements rpc.Timed.
func (p publisher) Timer() *timing.Timer { return p.timer }

// Accept registers an external service, which lives as long as the channel.
func (p publisher) Accept(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame) rpc.Receiver {
	trace, err := rpc.ParseTrace(f.Headers)
	var service Service
	if err == nil {
		service, err = decodePublish(f.Args)
	}
	if err != nil {
		return p.refuse(b, s, channel, trace, rpc.Errorf(idl.CategoryDispatch, idl.DispatchBadArgs,
			"cannot decode arguments of publish: %v", err))
	}
	r, err := p.l.Publish(service)
	if err != nil {
		return p.refuse(b, s, channel, trace, rpc.AsError(coded(err)))
	}
	p.l.log.Info("external service published", "service", service.Name, "endpoints", service.Endpoints, "peer", s.RemoteAddr())
	_ = s.Send(b, channel, idl.Value, nil, trace.Append(nil)) // if the session ended, Lost follows
	pub := &publication{r: r, session: s, channel: channel, began: b.Now(), timer: p.timer}
	if !p.l.addChannel(pub) {
		p.timer.Add(0)
		return nil
	}
	return pub
}

// refuse answers with an error and is done with the channel: a client that was
// told no has nothing to discard.
func (p publisher) refuse(b *rpc.Batch, s *rpc.Session, channel uint64, trace rpc.Trace, e *rpc.Error) rpc.Receiver {
	p.timer.Add(0)
	_ = s.Send(b, channel, idl.Error, rpc.AppendError(nil, e), trace.Append(nil)) // it may be gone: nobody left to tell
	return nil                                                                    // a discard that still comes is a late frame
}

// publication is the channel of a published service.
type publication struct {
	r       *Registration
	session *rpc.Session
	channel uint64
	began   time.Time
	timer   *timing.Timer
}

// Receive takes the publisher's discard. Anything else is a mistake that costs
// an error message, not the registration.
func (p *publication) Receive(b *rpc.Batch, f *rpc.Frame) (done bool) {
	if f.Type != idl.LocatorDiscard {
		p.session.Violation(b, p.channel, rpc.Errorf(idl.CategoryDispatch, idl.DispatchUnbound,
			"message %d is not allowed on the channel of published service %q", f.Type, p.r.name))
		return false
	}
	p.withdraw("discarded")
	return true
}

// Lost says that the publisher went away or revoked the channel.
func (p *publication) Lost(_ *rpc.Batch, err error) { p.withdraw(err.Error()) }

func (p *publication) withdraw(why string) {
	p.timer.Add(time.Since(p.began))
	p.r.Remove()
	p.r.l.removeChannel(p)
	p.r.l.log.Info("external service unpublished", "service", p.r.name, "cause", why)
}

// addChannel reports false when the locator was closed.
func (l *Locator) addChannel(p *publication) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if isDone(l.done) {
		return false
	}
	l.channels[p] = struct{}{}
	return true
}

func (l *Locator) removeChannel(p *publication) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.channels, p)
}

// takeChannels empties the list of those who publish.
func (l *Locator) takeChannels() []*publication {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := slices.Collect(maps.Keys(l.channels))
	clear(l.channels)
	return all
}

// decodePublish reads the arguments of publish: name, endpoints, and maybe
// [version, graph]. Nothing of the result aliases args.
func decodePublish(args []byte) (Service, error) {
	r := msgpack.NewReader(args)
	n := r.Array()
	s := Service{Name: r.String()}
	var err error
	if s.Endpoints, err = idl.ReadEndpoints(&r, maxEndpoints); err != nil {
		return Service{}, err
	}
	if n > 2 {
		s.Version, s.Graph, err = readInfo(&r)
	}
	if err != nil {
		return Service{}, err
	}
	return s, r.Err()
}

// readInfo reads [version, graph]. The graph is encoded anew: a publisher may
// write the newer msgpack dialect, which old clients cannot read.
func readInfo(r *msgpack.Reader) (version int, graph []byte, err error) {
	if m := r.Array(); m != 2 && r.Err() == nil {
		return 0, nil, fmt.Errorf("protocol of %d elements, want version and graph", m)
	}
	v := r.Uint()
	if v > math.MaxInt32 {
		return 0, nil, fmt.Errorf("version %d is out of range", v)
	}
	g, err := idl.ReadGraph(r)
	if err != nil {
		return 0, nil, err
	}
	return int(v), g.Append(nil), nil
}
