package daemon_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// A target is a service that hostile peers visit.
type target struct {
	Name    string
	Address string
	Request []byte // a frame that it answers
	// Method and Args are of a call whose answer is much longer than itself.
	Method uint64
	Args   []byte
}

// large is a call whose answer is much longer than itself.
func (t *target) large(b []byte, channel uint64) []byte {
	return append(wire.AppendHead(b, channel, t.Method), t.Args...)
}

// A siege is what the test asks the process of the hostile peers for, one after the
// other. The answer is a line: nothing, or what the services did that they must not.
type siege struct {
	Kind    string
	Visits  int
	Pace    time.Duration // of the slow ones, from byte to byte
	Targets []*target
}

// A visit is one connection of a hostile peer. It closes the connection, and fails
// only if the service does what it must not.
type visit func(conn *net.TCPConn, t *target, s *siege, r *rand.Rand) error

// hostile are the kinds of peers that a service has to survive, and how many of a
// kind there are at a time.
var hostile = []struct {
	name   string
	atOnce int
	visit  visit
}{
	{"garbage", 32, func(conn *net.TCPConn, t *target, _ *siege, r *rand.Rand) error {
		p := make([]byte, 1+r.IntN(4096))
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		p[0] = 0xc1 // which no msgpack value begins with
		return sendAndSeeClosed(conn, p)
	}},
	{"truncated", 32, func(conn *net.TCPConn, t *target, _ *siege, r *rand.Rand) error {
		_, err := conn.Write(t.Request[:1+r.IntN(len(t.Request)-1)])
		return tolerate(err)
	}},
	{"oversize", 32, func(conn *net.TCPConn, t *target, _ *siege, r *rand.Rand) error {
		p := wire.AppendHead(nil, 1, 0)
		p = append(msgpack.AppendArray(p, 1), 0xdb, 0xff, 0xff, 0xff, 0xff) // a string of 4 GiB
		return sendAndSeeClosed(conn, p)
	}},
	{"deep", 32, func(conn *net.TCPConn, t *target, _ *siege, r *rand.Rand) error {
		p := wire.AppendHead(nil, 1, 0)
		for range 10000 {
			p = msgpack.AppendArray(p, 1)
		}
		return sendAndSeeClosed(conn, p)
	}},
	{"idle", 2500, func(conn *net.TCPConn, t *target, s *siege, r *rand.Rand) error {
		_, err := conn.Write(t.Request[:1+r.IntN(len(t.Request)-1)])
		time.Sleep(5 * s.Pace) // to wait is what this peer is for
		return tolerate(err)
	}},
	{"slow", 2500, func(conn *net.TCPConn, t *target, s *siege, r *rand.Rand) error {
		for i := range t.Request {
			if _, err := conn.Write(t.Request[i : i+1]); err != nil {
				return err
			}
			time.Sleep(s.Pace) // to be slow is what this peer is for
		}
		return answered(conn)
	}},
	{"never reading", 32, func(conn *net.TCPConn, t *target, _ *siege, r *rand.Rand) error {
		_ = conn.SetReadBuffer(4 << 10)
		f := flood{conn: conn, t: t}
		conn.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
		for range 4 {
			if f.write() != nil {
				break // the service has stopped reading: nobody takes its answers
			}
		}
		return nil
	}},
	{"cut off", 32, func(conn *net.TCPConn, t *target, _ *siege, r *rand.Rand) error {
		_ = conn.SetReadBuffer(4 << 10)
		f := flood{conn: conn, t: t}
		return f.cutOff()
	}},
}

// runHostile is the process of the hostile peers. It leaves the processors to the
// runtime, as peers on other machines do.
func runHostile() int {
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, 19) // else the load gets less, which the test sees
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var s siege
		if err := in.Decode(&s); err != nil {
			return 0 // the test is over
		}
		said := ""
		if err := s.lay(); err != nil {
			said = err.Error()
		}
		if out.Encode(said) != nil {
			return 1
		}
	}
}

// lay has the peers visit the targets in turn.
func (s *siege) lay() error {
	for _, kind := range hostile {
		if kind.name == s.Kind {
			return s.besiege(kind.visit, min(kind.atOnce, s.Visits))
		}
	}
	return fmt.Errorf("there is no kind %q", s.Kind)
}

func (s *siege) besiege(v visit, atOnce int) error {
	var wg sync.WaitGroup
	var next atomic.Int64
	failed := make(chan error, atOnce)
	for i := range atOnce {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			for n := next.Add(1); n <= int64(s.Visits); n = next.Add(1) {
				x := s.Targets[int(n)%len(s.Targets)]
				if err := s.pay(x, v, r); err != nil {
					failed <- fmt.Errorf("%s: visit %d: %w", x.Name, n, err)
					return
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	return <-failed
}

// pay is one visit.
func (s *siege) pay(x *target, v visit, r *rand.Rand) error {
	conn, err := net.Dial("tcp", x.Address)
	if err != nil {
		return err
	}
	defer conn.Close()
	tcp := conn.(*net.TCPConn)
	tcp.SetLinger(0) // a port of ours must not be kept for those who come later
	tcp.SetDeadline(time.Now().Add(time.Minute + 100*s.Pace))
	return v(tcp, x, s, r)
}

// A flood is a peer that asks and does not listen.
type flood struct {
	conn    *net.TCPConn
	t       *target
	channel uint64
	rest    []byte // of what could not be written yet
}

// write asks some hundred times.
func (f *flood) write() error {
	for len(f.rest) < 16<<10 {
		f.channel++
		f.rest = f.t.large(f.rest, f.channel)
	}
	n, err := f.conn.Write(f.rest)
	f.rest = f.rest[:copy(f.rest, f.rest[n:])]
	return err
}

// cutOff waits until the service has had enough.
func (f *flood) cutOff() error {
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); {
		f.conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		err := f.write()
		if e, ok := errors.AsType[net.Error](err); err != nil && (!ok || !e.Timeout()) {
			return nil
		}
	}
	return errors.New("the connection stays open though nobody reads")
}

// tolerate lets pass what comes of being cut off, or of having written enough.
func tolerate(err error) error {
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return nil
	}
	return err
}

// sendAndSeeClosed sends what the service must not put up with.
func sendAndSeeClosed(conn *net.TCPConn, p []byte) error {
	if _, err := conn.Write(p); err != nil {
		return tolerate(err)
	}
	_, err := io.Copy(io.Discard, conn)
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return errors.New("the connection stays open")
	}
	return nil
}

// answered waits for a whole frame.
func answered(conn *net.TCPConn) error {
	var have []byte
	scanner := wire.NewScanner(wire.Limits{})
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		have = append(have, buf[:n]...)
		if _, _, ferr := scanner.Next(have); ferr == nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("no answer: %w", err)
		}
	}
}
