package locator_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// patience bounds every wait of a test that goes well.
const patience = 20 * time.Second

// conversation plays a file of testdata against the service at addr. Its lines:
//
//	# comment
//	NAME> HEX                  connection NAME sends these bytes
//	NAME< HEX                  it receives exactly this frame, next on the frame's channel
//	NAME! CHANNEL CAT CODE T   it receives this error, whose text contains T
//	NAME.                      it is closed by the client
//	@HOOK                      the hook is called
//
// A connection is opened by its first line. Frames of different channels may
// arrive in any order, as the protocol has it.
func conversation(t *testing.T, addr, file string, hooks map[string]func()) {
	t.Helper()
	script, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	peers := map[string]*peer{}
	for i, line := range strings.Split(string(script), "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		if hook, ok := strings.CutPrefix(line, "@"); ok {
			hooks[hook]()
			continue
		}
		at := strings.IndexAny(line, "<>!.")
		if at < 0 {
			t.Fatalf("%s:%d: no such command", file, i+1)
		}
		name, rest := line[:at], strings.TrimSpace(line[at+1:])
		p := peers[name]
		if p == nil {
			p = dialPeer(t, addr)
			peers[name] = p
		}
		where := file + ":" + strconv.Itoa(i+1)
		switch line[at] {
		case '>':
			p.send(unhex(t, rest))
		case '<':
			want := unhex(t, rest)
			if got := p.frameOn(channelOf(t, want)); !bytes.Equal(got, want) {
				t.Fatalf("%s: received\n%x, want\n%x", where, got, want)
			}
		case '!':
			f := strings.SplitN(rest, " ", 4)
			channel := number(t, f[0])
			wantError(t, where, p.frameOn(uint64(channel)), channel, number(t, f[1]), number(t, f[2]), f[3])
		case '.':
			p.conn.Close()
		}
	}
}

func wantError(t *testing.T, where string, frame []byte, channel, category, code int, text string) {
	t.Helper()
	f := parse(t, frame)
	if f.Channel != uint64(channel) || f.Type != idl.Error {
		t.Fatalf("%s: received message %d on channel %d, want an error on channel %d", where, f.Type, f.Channel, channel)
	}
	e, err := rpc.DecodeError(f.Args)
	if err != nil {
		t.Fatal(err)
	}
	if e.Category != category || e.Code != code || !strings.Contains(e.Message, text) {
		t.Fatalf("%s: received error %v, want [%d, %d] about %q", where, e, category, code, text)
	}
}

// peer is a client that knows nothing but bytes.
type peer struct {
	t     *testing.T
	conn  net.Conn
	scan  wire.Scanner
	buf   []byte
	later map[uint64][][]byte // frames read while looking for another channel's
}

func dialPeer(t *testing.T, addr string) *peer {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return newPeer(t, conn)
}

func newPeer(t *testing.T, conn net.Conn) *peer {
	return &peer{t: t, conn: conn, scan: wire.NewScanner(wire.Limits{}), later: map[uint64][][]byte{}}
}

func (p *peer) send(b []byte) {
	p.t.Helper()
	if _, err := p.conn.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

// frameOn receives the bytes of the next frame of a channel.
func (p *peer) frameOn(channel uint64) []byte {
	p.t.Helper()
	for {
		if q := p.later[channel]; len(q) > 0 {
			p.later[channel] = q[1:]
			return q[0]
		}
		frame := p.frame()
		got := channelOf(p.t, frame)
		p.later[got] = append(p.later[got], frame)
	}
}

func channelOf(t *testing.T, frame []byte) uint64 {
	t.Helper()
	return parse(t, frame).Channel
}

func parse(t *testing.T, frame []byte) wire.Frame {
	t.Helper()
	f, _, err := wire.Parse(frame, wire.Limits{})
	if err != nil {
		t.Fatalf("%x is no frame: %v", frame, err)
	}
	return f
}

// frame receives the bytes of one frame.
func (p *peer) frame() []byte {
	p.t.Helper()
	chunk := make([]byte, 256<<10)
	for {
		_, n, err := p.scan.Next(p.buf)
		if err == nil {
			frame := p.buf[:n:n]
			p.buf = p.buf[n:]
			return frame
		}
		if !errors.Is(err, wire.ErrShort) {
			p.t.Fatalf("received %x: %v", p.buf, err)
		}
		if err := p.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			p.t.Fatal(err)
		}
		n, err = p.conn.Read(chunk)
		if err != nil {
			p.t.Fatalf("waiting for a frame, with %d bytes of it here: %v", len(p.buf), err)
		}
		p.buf = append(p.buf, chunk[:n]...)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return b
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
