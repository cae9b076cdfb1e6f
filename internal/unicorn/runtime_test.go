package unicorn_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"

	"github.com/cocaine/cocaine-go/internal/jetstream"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/unicorn"
)

// runtimeDir names the variable that turns the test binary into a process that
// serves unicorn, with its state in a directory, until it is killed.
const runtimeDir = "UNICORN_TEST_RUNTIME_DIR"

func runUntilKilled(dir string) int {
	r := &inProcess{dir: dir}
	addr, err := r.start()
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	fmt.Println("ready", addr)
	select {}
}

// A life is a runtime that can end and start again with the same state.
type life interface {
	start() (addr string, err error)
	stop() error
}

// inProcess is a runtime as a daemon builds it, as far as unicorn is concerned.
type inProcess struct {
	dir string
	// rude ends it without a word to its clients, as far as that goes in one process.
	rude bool

	state  *jetstream.State
	store  *unicorn.JetStream
	server *rpc.Server
	served chan error
}

func (r *inProcess) start() (addr string, err error) {
	if r.state, err = jetstream.Open(context.Background(), jetstream.Options{Dir: r.dir}); err != nil {
		return "", err
	}
	if r.store, err = unicorn.NewJetStream(context.Background(), r.state); err != nil {
		return "", errors.Join(err, r.state.Close())
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", errors.Join(err, r.store.Close(), r.state.Close())
	}
	r.server = rpc.NewServer(rpc.ServerOptions{})
	r.served = make(chan error, 1)
	go func() {
		r.served <- r.server.Serve(context.Background(), ln, unicorn.Service(r.store, rpc.MuxOptions{}))
	}()
	return ln.Addr().String(), nil
}

func (r *inProcess) stop() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // nobody is waited for
	var errs []error
	if r.rude {
		errs = append(errs, r.state.Close())
		_ = r.server.Shutdown(ctx) // it says that it did not wait
	} else {
		errs = append(errs, r.store.Close())
		_ = r.server.Shutdown(ctx)
	}
	errs = append(errs, <-r.served, r.store.Close(), r.state.Close())
	return errors.Join(errs...)
}

// killed is a runtime in a process of its own, which ends by kill -9.
type killed struct {
	dir string
	cmd *exec.Cmd
}

func (k *killed) start() (addr string, err error) {
	k.cmd = exec.Command(os.Args[0])
	k.cmd.Env = append(os.Environ(), runtimeDir+"="+k.dir)
	k.cmd.Stderr = os.Stderr
	out, err := k.cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := k.cmd.Start(); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	addr, ready := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	if err != nil || !ready {
		return "", errors.Join(fmt.Errorf("the runtime says %q", line), err, k.stop())
	}
	return addr, nil
}

func (k *killed) stop() error {
	err := k.cmd.Process.Kill()
	_ = k.cmd.Wait() // it says that it was killed
	return err
}
