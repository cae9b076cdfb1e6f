package locator_test

import (
	"bytes"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/locator"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// narrow connects a client to the locator in such a way that exactly one
// message is on its way to a client that does not read, and one more in the
// hand of the stream's goroutine.
func narrow(t *testing.T, l *locator.Locator) *peer {
	t.Helper()
	client, server := net.Pipe()
	s := rpc.Start(server, rpc.SessionOptions{Acceptor: l.Mux(rpc.MuxOptions{}), Buffer: 1, Stall: 24 * time.Hour})
	t.Cleanup(func() {
		client.Close()
		s.Close()
		s.Wait()
	})
	return newPeer(t, client)
}

// settle waits until the locator has nothing to do.
func settle() { synctest.Wait() }

func TestUndeliveredChangesCoalesce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, locator.Options{Announce: true})
		old := expose(t, l, service("old", "127.0.0.1:1"))
		p := narrow(t, l)
		p.send(append([]byte{0x93, 1, idl.LocatorConnect}, one("peer")...))
		v := view{}
		v.read(t, rpc.Message{Args: p.args(1)})

		step := func(name string, port int) *locator.Registration {
			defer settle()
			return expose(t, l, service(name, fmt.Sprint("127.0.0.1:", port)))
		}
		drop := func(r *locator.Registration) {
			r.Remove()
			settle()
		}
		a := step("a", 1) // on its way
		b := step("b", 1) // in hand
		drop(a)           // waits
		drop(b)           // waits
		a = step("a", 2)  // in place of a's removal
		for range 1000 {  // came and went: nothing to tell
			drop(step("passing", 1))
		}
		c := step("c", 1) // waits
		drop(c)           // forgotten
		drop(a)           // in place of a
		step("a", 3)      // in place of a
		c = step("c", 2)  // waits
		drop(old)         // waits
		b = step("b", 2)  // in place of b's removal
		drop(b)           // in place of b
		_ = c

		var got []string
		for range 6 {
			before := fmt.Sprint(v)
			args := p.args(1)
			v.read(t, rpc.Message{Args: args})
			got = append(got, before+" -> "+fmt.Sprint(v))
		}
		want := []string{
			"old -> a old",
			"a old -> a b old",
			"a b old -> a b old", // a at port 3
			"a b old -> a old",
			"a old -> a c old",
			"a c old -> a c",
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("the peer saw\n%q, want\n%q", got, want)
		}
		for name, port := range map[string]byte{"a": 3, "c": 2} {
			if want := fmt.Sprintf("%x", append([]byte{0x92, 0xa9}, "127.0.0.1"+string(port)...)); v[name] != want {
				t.Errorf("the peer knows %s at %s, want %s", name, v[name], want)
			}
		}
		// That was all.
		step("end", 1)
		v.read(t, rpc.Message{Args: p.args(1)})
		if v.String() != "a c end" {
			t.Errorf("in the end the peer believes in %s", v)
		}
	})
}

func TestLatestTableWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &records{}
		l := open(t, locator.Options{Storage: st})
		p := narrow(t, l)
		p.send(append([]byte{0x93, 1, idl.LocatorRouting}, one("router")...))
		if got := p.args(1); !bytes.Equal(got, []byte{0x91, 0x80}) {
			t.Fatalf("the first table is %x, want an empty one", got)
		}
		member := func(i int) string { return fmt.Sprintf("member%d", i) }
		for i := range 10 {
			st.store("grp", weights(map[string]uint64{member(i): 1}))
			if err := l.Refresh(t.Context(), []string{"grp"}); err != nil {
				t.Fatal(err)
			}
			settle()
		}
		for _, i := range []int{0, 1, 9} { // on its way, in hand, the latest
			if got := p.args(1); !bytes.Contains(got, []byte(member(i))) {
				t.Errorf("received %.100q, want the table with %s", got, member(i))
			}
		}
		settle()
		p.send([]byte{0x93, 2, idl.LocatorUUID, 0x90})
		if got := p.frame(); channelOf(t, got) != 2 {
			t.Errorf("another table: %.100q", got)
		}
	})
}

func TestRevokedFollower(t *testing.T) {
	l := open(t, locator.Options{Announce: true})
	p := dialPeer(t, serve(t, l, rpc.ServerOptions{}))
	for i, method := range []byte{idl.LocatorConnect, idl.LocatorRouting} {
		follow, revoke := byte(2*i+1), byte(2*i+2)
		p.send(append([]byte{0x93, follow, method}, one("x")...))
		p.args(uint64(follow))
		p.send([]byte{0x93, revoke, 0xcd, 0xff, 0xff, 0x92, follow, 0x92, 42, 7})
		if f := parse(t, p.frameOn(uint64(revoke))); f.Type != idl.Value {
			t.Errorf("revoke was answered with message %d", f.Type)
		}
		wantError(t, "revoked stream", p.frameOn(uint64(follow)), int(follow), 42, 7, "")
	}
}
