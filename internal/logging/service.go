package logging

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// ServiceOptions configure the service.
type ServiceOptions struct {
	// Verbosity is the least severity that is taken, Debug .. Error.
	Verbosity int
	// Stats, if not nil, counts what is emitted.
	Stats *Stats
	// Mux is for what all services have in common.
	Mux rpc.MuxOptions
}

// Stats counts the calls of emit.
type Stats struct {
	Emitted   atomic.Uint64 // went to the sink
	Filtered  atomic.Uint64 // were below the verbosity
	Malformed atomic.Uint64 // had arguments that do not decode
}

// Service is the service `logging` over a sink (docs/PROTOCOL.md, logging).
// set_verbosity is declared and not served, as in the original: one client must
// not silence the others.
func Service(sink Sink, o ServiceOptions) *rpc.Mux {
	s := &service{sink: sink, verbosity: clamp(o.Verbosity), stats: o.Stats}
	if s.stats == nil {
		s.stats = new(Stats)
	}
	m := rpc.NewMux(idl.Logging, o.Mux)
	m.Mute("emit", s.emit)
	m.Inline("verbosity", s.askVerbosity)
	return m
}

type service struct {
	sink      Sink
	verbosity int
	stats     *Stats
}

func (s *service) askVerbosity(context.Context, *rpc.Call) ([]byte, error) {
	return msgpack.AppendInt(msgpack.AppendArray(nil, 1), int64(s.verbosity)), nil
}

// emit has no answer: what is wrong with its arguments the Mux logs.
func (s *service) emit(_ context.Context, c *rpc.Call) error {
	r, err := readEmit(c)
	if err != nil {
		s.stats.Malformed.Add(1)
		return rpc.BadArgs(c, err)
	}
	// A verbose trace lifts the threshold (docs/PROTOCOL.md, Tracing).
	if r.Severity < s.verbosity && !c.Trace.Verbose {
		s.stats.Filtered.Add(1)
		return nil
	}
	r.Severity = clamp(r.Severity)
	s.stats.Emitted.Add(1)
	s.sink.Emit(r)
	return nil
}

func readEmit(c *rpc.Call) (Record, error) {
	r := c.Reader()
	rec := Record{Time: time.Now(), Severity: readSeverity(&r), Source: r.String()}
	err := rec.readRest(&r, c.NArgs-2, c.Trace)
	return rec, err
}

// readNamed reads a record of a logger whose name is known: n arguments.
func readNamed(r *msgpack.Reader, n int, source string, trace rpc.Trace) (Record, error) {
	rec := Record{Time: time.Now(), Severity: readSeverity(r), Source: source}
	err := rec.readRest(r, n-1, trace)
	return rec, err
}

// readSeverity reads a severity, as far off as it may be: the caller puts that right.
func readSeverity(r *msgpack.Reader) int { return int(min(max(r.Int(), -1), Error+1)) }

// readRest reads the message and the attributes, if there are any: n arguments.
func (rec *Record) readRest(r *msgpack.Reader, n int, trace rpc.Trace) error {
	rec.Message = r.String()
	if err := r.Err(); err != nil {
		return err
	}
	// Every framework names the app this way, and nothing else names it.
	if app, ok := strings.CutPrefix(rec.Source, "app/"); ok {
		rec.App = app
	}
	if n > 1 {
		var err error
		if rec.Attrs, err = readAttrs(r); err != nil {
			return err
		}
	}
	if trace.ID != 0 {
		rec.Attrs = append(rec.Attrs,
			Attr{"trace_id", fmt.Sprintf("%016x", trace.ID)},
			Attr{"span_id", fmt.Sprintf("%016x", trace.Span)},
			Attr{"parent_id", fmt.Sprintf("%016x", trace.Parent)})
	}
	return nil
}

// readAttrs reads a list of pairs. A map, which some expect to work, is an error,
// as in the original.
func readAttrs(r *msgpack.Reader) ([]Attr, error) {
	n := r.Array()
	var attrs []Attr
	for range n {
		if pair := r.Array(); r.Err() == nil && pair != 2 {
			return nil, fmt.Errorf("an attribute has %d elements, want a name and a value", pair)
		}
		a := Attr{Name: r.String()}
		switch r.Kind() {
		case msgpack.KindRaw:
			a.Value = r.String()
		case msgpack.KindFloat:
			a.Value = r.Float()
		case msgpack.KindInt:
			a.Value = r.Int()
		case msgpack.KindUint:
			a.Value = r.Uint()
		case msgpack.KindBool:
			a.Value = r.Bool()
		default:
			if r.Err() == nil {
				return nil, errors.New("the value of an attribute is neither text, number nor bool")
			}
		}
		if err := r.Err(); err != nil {
			return nil, err
		}
		if len(attrs) < MaxAttrs {
			attrs = append(attrs, a)
		}
	}
	return attrs, r.Err()
}
