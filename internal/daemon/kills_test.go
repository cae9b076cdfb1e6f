package daemon_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go"
)

// livesOfRuntime is how many times the runtime is killed: 8, or what the environment
// says (make kills: 100, which takes minutes).
func livesOfRuntime(t *testing.T) int {
	v := os.Getenv("COCAINE_TEST_KILLS")
	if v == "" {
		return 8
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("cannot read COCAINE_TEST_KILLS: %v", err)
	}
	return n
}

// killMark marks the processes of TestKilledRuntime: what they start inherits it.
const killMark = "DAEMON_TEST_KILLS"

// TestKilledRuntime kills the runtime, the real program, at random moments while
// clients write, overwrite, remove, start and stop. Whatever was acknowledged is there
// when it comes back on the same directory, what ran runs again, and of the workers of
// the dead one nothing is left.
func TestKilledRuntime(t *testing.T) {
	lives := livesOfRuntime(t)
	dir := directory(t)
	program := filepath.Join(dir, "cocaine")
	if out, err := exec.Command("go", "build", "-o", program, "../../cmd/cocaine").CombinedOutput(); err != nil {
		t.Fatalf("cannot build cocaine: %v\n%s", err, out)
	}
	r := &killedRuntime{program: program, dir: filepath.Join(dir, "s"), mark: killMark + "=" + dir}
	ledger := newLedger()
	began := time.Now()
	for life := range lives {
		r.start(t)
		c := dialUnclosed(t, r.locator)
		if life == 0 {
			for _, name := range []string{"echo", "other"} {
				a := newApp(name)
				a.mark = r.mark
				a.deploy(t, c)
			}
			ledger.begin("other", running)
			ledger.acknowledge("other")
		}
		ledger.check(t, c)
		awaitEcho(t, c)
		acks := ledger.write(t, c, r)
		c.Close()
		r.awaitNoProcess(t)
		if t.Failed() {
			t.Fatalf("in life %d", life+1)
		}
		if (life+1)%10 == 0 {
			t.Logf("killed %d times in %v, %d acknowledgements, %d of them in the last life", life+1,
				time.Since(began).Round(time.Second), ledger.acks, acks)
		}
	}
	r.start(t)
	c := dialUnclosed(t, r.locator)
	ledger.check(t, c)
	awaitEcho(t, c)
	c.Close()
	r.kill(t)
	r.awaitNoProcess(t)
	t.Logf("%d acknowledged operations in %d lives, %v", ledger.acks, lives, time.Since(began).Round(time.Second))
}

// dialUnclosed gives a client that the test closes itself, in every life.
func dialUnclosed(t *testing.T, locator string) *cocaine.Client {
	t.Helper()
	c, err := cocaine.New(cocaine.Options{Locators: []string{locator}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// awaitEcho waits until the app that was never stopped answers.
func awaitEcho(t *testing.T, c *cocaine.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		err := echo(ctx, c, "echo", "are you there")
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("the app that ran does not run again: %v", err)
		}
		time.Sleep(5 * time.Millisecond) // it is being started
	}
}

// killedRuntime is the process of the runtime in its present life.
type killedRuntime struct {
	program, dir, mark string

	cmd     *exec.Cmd
	locator string
	said    chan string // all that it had to say
}

var readyWhere = regexp.MustCompile(`msg=ready .*locator=(\S+)`)

func (r *killedRuntime) start(t *testing.T) {
	t.Helper()
	r.cmd = exec.Command(r.program, "server", "--dir", r.dir, "--locator-port", "0")
	r.cmd.Env = append(os.Environ(), r.mark)
	stderr, err := r.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cmd := r.cmd
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it is dead, unless the test has failed
	var said strings.Builder
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		if m := readyWhere.FindStringSubmatch(lines.Text()); m != nil {
			r.locator = m[1]
			r.said = make(chan string, 1)
			go func() {
				rest, _ := io.ReadAll(stderr) // until it is killed
				r.said <- said.String() + string(rest)
			}()
			return
		}
	}
	t.Fatalf("the runtime does not start: %v\n%s", r.cmd.Wait(), said.String())
}

// kill ends the life of the runtime.
func (r *killedRuntime) kill(t *testing.T) {
	t.Helper()
	if err := r.cmd.Process.Kill(); err != nil {
		t.Errorf("the runtime died by itself: %v", err)
	}
	said := <-r.said
	if err := r.cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the runtime ended with %v\n%s", err, said)
	}
}

// awaitNoProcess waits until no worker of the runtime is left.
func (r *killedRuntime) awaitNoProcess(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		left := processesOf(r.mark)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("processes of the runtime that was killed are left: %v", left)
		}
	}
}

// processesOf are the processes that have a variable in their environment.
func processesOf(mark string) (pids []string) {
	environs, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return nil
	}
	for _, path := range environs {
		env, err := os.ReadFile(path)
		if err == nil && slices.Contains(strings.Split(string(env), "\x00"), mark) {
			pids = append(pids, filepath.Base(filepath.Dir(path)))
		}
	}
	return pids
}

// A ledger knows what may be found of each key: what the last acknowledged operation
// left, or what one that was not acknowledged would have. The key of an app stands for
// its being started and stopped.
type ledger struct {
	mu      sync.Mutex
	acked   map[string]int // by key: the number of the operation
	pending map[string]int
	next    int
	acks    int
}

// gone is what a key has that was removed, and an app that is stopped; running is what
// one has that was started.
const (
	gone    = 0
	running = 1
)

func newLedger() *ledger {
	return &ledger{acked: make(map[string]int), pending: make(map[string]int), next: 2}
}

func (l *ledger) begin(key string, what int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending[key] = what
}

// number begins a write and gives the number of it.
func (l *ledger) number(key string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	l.pending[key] = l.next
	return l.next
}

func (l *ledger) acknowledge(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked[key] = l.pending[key]
	delete(l.pending, key)
	l.acks++
}

// killedWriters is how many write at once.
const killedWriters = 4

// write has clients write until the runtime is killed, at a moment that nobody
// chooses. It returns how much was acknowledged.
func (l *ledger) write(t *testing.T, c *cocaine.Client, r *killedRuntime) int {
	t.Helper()
	before := l.acks
	var wg sync.WaitGroup
	var dying atomic.Bool
	until := func(f func(ctx context.Context) error) {
		wg.Go(func() {
			for {
				if err := f(context.Background()); err != nil {
					if !dying.Load() {
						t.Errorf("a runtime that lives answers: %v", err)
					}
					return
				}
			}
		})
	}
	for w := range killedWriters {
		until(func(ctx context.Context) error { return l.change(ctx, c, fmt.Sprintf("w%d.k%d", w, rand.IntN(5))) })
	}
	until(func(ctx context.Context) error { return l.toggle(ctx, c) })
	until(func(ctx context.Context) error { return echo(ctx, c, "echo", "under load") })
	time.Sleep(50*time.Millisecond + rand.N(400*time.Millisecond)) // the moment is what is tested
	dying.Store(true)
	r.kill(t)
	wg.Wait()
	return l.acks - before
}

// change writes, overwrites or removes a key.
func (l *ledger) change(ctx context.Context, c *cocaine.Client, key string) error {
	size := []int{20, 2000, 70_000, 600_000, -1}[rand.IntN(5)]
	var err error
	if size < 0 {
		l.begin(key, gone)
		err = c.Storage().Remove(ctx, "kills", key)
	} else {
		n := l.number(key)
		err = c.Storage().Write(ctx, "kills", key, valueOf(key, n, size), "all")
	}
	if err == nil {
		l.acknowledge(key)
	}
	return err
}

// toggle stops the other app, or starts it.
func (l *ledger) toggle(ctx context.Context, c *cocaine.Client) error {
	l.mu.Lock()
	was := l.acked["other"]
	l.mu.Unlock()
	var err error
	if was == running {
		l.begin("other", gone)
		err = c.Node().Pause(ctx, "other")
	} else {
		l.begin("other", running)
		err = c.Node().Start(ctx, "other", "other")
	}
	if err == nil {
		l.acknowledge("other")
	}
	return err
}

// valueOf is a value that names the operation it comes from and tells whether it is
// whole.
func valueOf(key string, n, size int) []byte {
	v := fmt.Appendf(nil, "%s %d ", key, n)
	v = append(v, bytes.Repeat([]byte{byte(n)}, size)...)
	return fmt.Appendf(v, "%08x", crc32.ChecksumIEEE(v))
}

// check compares what is there with what was acknowledged, and takes note of it.
func (l *ledger) check(t *testing.T, c *cocaine.Client) {
	t.Helper()
	var present []string
	for key := range both(l.acked, l.pending) {
		found := gone
		if key == "other" {
			found = l.checkApp(t, c)
		} else if found = stored(t, c, key); found != gone {
			present = append(present, key)
		}
		pending, open := l.pending[key]
		if found != l.acked[key] && !(open && found == pending) {
			t.Errorf("%s: operation %d was acknowledged last, %d is under way (%v), %d is found", key, l.acked[key], pending, open, found)
		}
		l.acked[key] = found
		delete(l.pending, key)
	}
	slices.Sort(present)
	keys, err := c.Storage().Find(t.Context(), "kills", "all")
	if slices.Sort(keys); err != nil || !slices.Equal(keys, present) {
		t.Errorf("find gives %q, %v; there are %q", keys, err, present)
	}
}

func both(a, b map[string]int) map[string]int {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// stored is the number of the operation that a key's value is of.
func stored(t *testing.T, c *cocaine.Client, key string) int {
	t.Helper()
	v, err := c.Storage().Read(t.Context(), "kills", key)
	if errors.Is(err, cocaine.ErrNotFound) {
		return gone
	}
	if err != nil {
		t.Errorf("%s: %v", key, err)
		return gone
	}
	var name string
	var n int
	if _, err := fmt.Sscanf(string(v[:min(len(v), 60)]), "%s %d", &name, &n); err != nil || name != key {
		t.Fatalf("the value of %s begins with %.60q", key, v)
	}
	if size := len(v) - len(valueOf(key, n, 0)); size < 0 || !bytes.Equal(v, valueOf(key, n, size)) {
		t.Errorf("the value of %s is torn", key)
	}
	return n
}

// checkApp waits until the other app is what it may be: the runtime starts what ran
// once it serves. Whether it is in the list is settled when the runtime is ready.
func (l *ledger) checkApp(t *testing.T, c *cocaine.Client) int {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		state := ""
		for _, a := range statusOf(t, c).Apps {
			if a.Name == "other" {
				state = a.State
			}
		}
		switch state {
		case "running":
			return running
		case "stopped":
			return gone
		}
		if time.Now().After(deadline) {
			t.Fatalf("the other app is %q", state)
		}
	}
}
