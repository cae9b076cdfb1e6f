package cocaine_test

import (
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/standin"
)

// probes are the settings of a socket's keep-alive probes: whether there are any,
// and seconds, seconds and how many.
type probes struct{ on, idle, interval, count int }

func probesOf(t *testing.T, conn net.Conn) (p probes) {
	t.Helper()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	read := func(fd uintptr, level, option int, into *int) {
		if *into, err = syscall.GetsockoptInt(int(fd), level, option); err != nil {
			t.Error(err)
		}
	}
	if err := raw.Control(func(fd uintptr) {
		read(fd, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, &p.on)
		read(fd, syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, &p.idle)
		read(fd, syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, &p.interval)
		read(fd, syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, &p.count)
	}); err != nil {
		t.Fatal(err)
	}
	return p
}

// The connections that a client lives on, to the locator and to a service, are probed
// as the options say.
func TestKeepAlive(t *testing.T) {
	for name, c := range map[string]struct {
		option net.KeepAliveConfig
		want   probes
	}{
		"defaults": {net.KeepAliveConfig{}, probes{1, 10, 5, 5}},
		"others":   {net.KeepAliveConfig{Enable: true, Idle: 33 * time.Second, Interval: 7 * time.Second, Count: 4}, probes{1, 33, 7, 4}},
		"not set":  {net.KeepAliveConfig{Enable: true, Idle: 33 * time.Second}, probes{1, 33, 15, 9}}, // Go's own
	} {
		t.Run(name, func(t *testing.T) {
			r := standin.New(t)
			r.Serve("node", standin.NodeList())
			conns := make(chan net.Conn, 2)
			client := newClient(t, r, func(o *cocaine.Options) { o.KeepAlive = c.option })
			cocaine.TapDial(client, func(conn net.Conn) { conns <- conn })
			if err := client.Service("node").Connect(patient(t)); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if got := probesOf(t, await(t, conns, "a connection")); got != c.want {
					t.Errorf("got %+v, want %+v", got, c.want)
				}
			}
		})
	}
}

// Probes can be had without.
func TestKeepAliveOff(t *testing.T) {
	r := standin.New(t)
	conns := make(chan net.Conn, 1)
	client := newClient(t, r, func(o *cocaine.Options) { o.KeepAlive = net.KeepAliveConfig{Idle: -1} })
	cocaine.TapDial(client, func(conn net.Conn) { conns <- conn })
	if err := client.Service("locator").Connect(patient(t)); err != nil {
		t.Fatal(err)
	}
	if got := probesOf(t, await(t, conns, "a connection")); got.on != 0 {
		t.Errorf("got %+v, want no probes", got)
	}
}
