package isolatetest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds every wait of the suite; it is spent only by a test that fails.
const patience = 20 * time.Second

// Lifeline is where workers of a test report, and what they are held by.
type Lifeline struct {
	t        testing.TB
	listener net.Listener
	born     chan *Life
	serving  sync.WaitGroup
	mu       sync.Mutex
	conns    []net.Conn
}

// Life is one process that reported.
type Life struct {
	Mode string
	PID  int
	Gone chan struct{} // closed at its end
}

// NewLifeline opens a lifeline that breaks when the test ends.
func NewLifeline(t testing.TB) *Lifeline {
	t.Helper()
	dir, err := os.MkdirTemp("", "life") // short: a socket's path is limited
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	l := &Lifeline{t: t, listener: listener, born: make(chan *Life, 1000)}
	l.serving.Go(l.serve)
	t.Cleanup(func() {
		l.Break()
		os.RemoveAll(dir)
	})
	return l
}

// Env makes a worker hold the lifeline.
func (l *Lifeline) Env() string { return lifelineVariable + "=" + l.listener.Addr().String() }

// Break ends the processes that hold the lifeline.
func (l *Lifeline) Break() {
	l.listener.Close()
	l.mu.Lock()
	for _, c := range l.conns {
		c.Close()
	}
	l.conns = nil
	l.mu.Unlock()
	l.serving.Wait()
}

// Next waits for the next process to report.
func (l *Lifeline) Next() *Life {
	l.t.Helper()
	select {
	case life := <-l.born:
		return life
	case <-time.After(patience):
		l.t.Fatal("no worker reported")
		return nil
	}
}

// AwaitEnd waits for the end of a process.
func (l *Lifeline) AwaitEnd(life *Life) {
	l.t.Helper()
	select {
	case <-life.Gone:
	case <-time.After(patience):
		l.t.Fatalf("process %d (%s) is still alive", life.PID, life.Mode)
	}
}

func (l *Lifeline) serve() {
	for {
		conn, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.mu.Lock()
		l.conns = append(l.conns, conn)
		l.mu.Unlock()
		l.serving.Go(func() { l.watch(conn) })
	}
}

func (l *Lifeline) watch(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	line, err := r.ReadString('\n')
	if err != nil {
		return
	}
	mode, pid, _ := strings.Cut(strings.TrimSpace(line), " ")
	number, _ := strconv.Atoi(pid)
	life := &Life{Mode: mode, PID: number, Gone: make(chan struct{})}
	defer close(life.Gone)
	l.born <- life
	fmt.Fprintln(conn, "seen")
	io.Copy(io.Discard, r)
}
