package rpc_test

import (
	"fmt"
	"slices"
	"sync"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// recorder is an Acceptor that writes down what happens on its channels. A close
// message ends a channel's receiving half, as do a first frame of type close and
// an error.
type recorder struct {
	// hook, if not nil, is called for every frame with the recorder unlocked.
	hook func(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame)

	mu   sync.Mutex
	log  []string
	ends map[uint64]int // how often a channel's receiving half has ended
}

// recorded is the Receiver of one channel of a recorder.
type recorded struct {
	r       *recorder
	session *rpc.Session
	channel uint64
}

func (r *recorder) Accept(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame) rpc.Receiver {
	r.frame("accept", channel, f)
	if r.hook != nil {
		r.hook(b, s, channel, f)
	}
	if f.Type == idl.Close {
		r.ended(channel)
		return nil
	}
	return &recorded{r, s, channel}
}

func (c *recorded) Receive(b *rpc.Batch, f *rpc.Frame) bool {
	c.r.frame("receive", c.channel, f)
	if c.r.hook != nil {
		c.r.hook(b, c.session, c.channel, f)
	}
	if f.Type == idl.Write {
		return false
	}
	c.r.ended(c.channel)
	return true
}

func (c *recorded) Lost(_ *rpc.Batch, err error) {
	c.r.note("lost %d %v", c.channel, err)
	c.r.ended(c.channel)
}

func (r *recorder) frame(what string, channel uint64, f *rpc.Frame) {
	w := wire.Frame{Channel: channel, Type: f.Type, Args: f.Args}
	if len(f.Headers) > 0 {
		r.note("%s %v %v", what, w, f.Headers)
		return
	}
	r.note("%s %v", what, w)
}

func (r *recorder) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, fmt.Sprintf(format, args...))
}

func (r *recorder) ended(channel uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ends == nil {
		r.ends = make(map[uint64]int)
	}
	r.ends[channel]++
}

// take returns what was written down since the last call.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	log := slices.Clone(r.log)
	r.log = nil
	return log
}
