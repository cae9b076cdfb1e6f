//go:build linux

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/cocaine/cocaine-go/bench/internal/forward"
	"github.com/cocaine/cocaine-go/bench/internal/frame"
)

// fakeRuntime stands in for `cocaine server`: it takes the same flags, says that
// it is ready, and serves as much of locator, storage and node as the benchmark
// uses, so that the benchmark is tested without the runtime it measures. Calls of
// the app go through the forwarder.
type fakeRuntime struct {
	mu       sync.Mutex
	dir      string
	services map[string]string
	records  map[string][]byte
	worker   *exec.Cmd
	ended    chan struct{} // the app's forwarder has
}

// runFakeRuntime never returns while all is well.
func runFakeRuntime(args []string) error {
	r := &fakeRuntime{services: make(map[string]string), records: make(map[string][]byte)}
	var host string
	var port int
	fs := flag.NewFlagSet("server", flag.ExitOnError)
	fs.StringVar(&r.dir, "dir", "", "")
	fs.StringVar(&host, "listen", "", "")
	fs.IntVar(&port, "locator-port", 0, "")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return err
	}
	serveDebug(os.Getenv("COCAINE_DEBUG_ADDR"))
	locator, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return err
	}
	for name, handle := range map[string]handler{"storage": r.storage, "node": r.node} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			return err
		}
		r.services[name] = l.Addr().String()
		go accept(l, handle)
	}
	fmt.Println("ready")
	accept(locator, r.locator)
	return nil
}

// A handler answers one request with the values of its result.
type handler func(f frame.Frame) (result [][]byte, err error)

func accept(l net.Listener, handle handler) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_ = answer(c, handle) // the client hung up
		}()
	}
}

func answer(c net.Conn, handle handler) error {
	var in []byte
	buf := make([]byte, 64<<10)
	for {
		f, n, err := frame.Next(in)
		if errors.Is(err, frame.ErrShort) {
			if n, err = c.Read(buf); err != nil {
				return err
			}
			in = append(in, buf[:n]...)
			continue
		}
		if err != nil {
			return err
		}
		in = in[n:]
		result, err := handle(f)
		tail := frame.Tail(frame.Value, result...)
		if err != nil {
			tail = frame.Tail(frame.ValueErr, []byte{0x92, 12, 22}, frame.Raw(err.Error()))
		}
		if _, err := c.Write(frame.AppendTail(nil, f.Channel, tail)); err != nil {
			return err
		}
	}
}

// texts reads the raws among the first arguments.
func texts(f frame.Frame, n int) ([]string, error) {
	_, b, err := frame.ArrayAt(f.Args())
	var all []string
	for range n {
		var v []byte
		if err == nil {
			v, b, err = frame.RawAt(b)
		}
		all = append(all, string(v))
	}
	return all, err
}

func (r *fakeRuntime) locator(f frame.Frame) ([][]byte, error) {
	args, err := texts(f, 1)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	addr, ok := r.services[args[0]]
	if !ok {
		return nil, fmt.Errorf("service %q is not available", args[0])
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	endpoints := frame.AppendUint(frame.AppendRaw([]byte{0x91, 0x92}, host), number)
	return [][]byte{endpoints, {1}, {0x80}}, nil
}

func (r *fakeRuntime) storage(f frame.Frame) ([][]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch f.Type {
	case 0:
		args, err := texts(f, 2)
		if err != nil {
			return nil, err
		}
		return [][]byte{frame.Raw(r.records[args[0]+"/"+args[1]])}, nil
	case 1:
		args, err := texts(f, 3)
		if err != nil {
			return nil, err
		}
		r.records[args[0]+"/"+args[1]] = []byte(args[2])
		return nil, nil
	}
	return nil, fmt.Errorf("no method %d", f.Type)
}

func (r *fakeRuntime) node(f frame.Frame) ([][]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch f.Type {
	case 0:
		args, err := texts(f, 2)
		if err != nil {
			return nil, err
		}
		return nil, r.startApp(args[0], args[1])
	case 1:
		return nil, r.pauseApp()
	}
	return nil, fmt.Errorf("no method %d", f.Type)
}

func (r *fakeRuntime) startApp(app, profile string) error {
	const wantManifest = "\x81\xa5slave\xa6worker"
	const wantProfile = "\x83\xaapool-limit\x01\xabconcurrency\xce\x00\x01\x86\xa0\xabqueue-limit\xce\x00\x01\x86\xa0"
	if got := string(r.records["manifests/"+app]); got != wantManifest {
		return fmt.Errorf("the manifest is %q", got)
	}
	if got := string(r.records["profiles/"+profile]); got != wantProfile {
		return fmt.Errorf("the profile is %q", got)
	}
	if err := r.unpack(r.records["apps/"+app]); err != nil {
		return fmt.Errorf("the archive: %w", err)
	}
	clients, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	socket := filepath.Join(r.dir, "app.sock")
	workers, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return err
	}
	r.ended = make(chan struct{})
	go func() {
		defer close(r.ended)
		defer workers.Close()
		if err := forward.Serve(clients, workers, func() {}); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	r.services[app] = clients.Addr().String()
	r.worker = exec.Command(filepath.Join(r.dir, "worker"),
		"--app", app, "--endpoint", socket, "--locator", "127.0.0.1:1", "--protocol", "1", "--uuid", "fake")
	return r.worker.Start()
}

func (r *fakeRuntime) unpack(blob []byte) error {
	archive, _, err := frame.RawAt(blob) // one more layer of msgpack
	if err != nil {
		return err
	}
	gz, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return err
	}
	t := tar.NewReader(gz)
	h, err := t.Next()
	if err != nil {
		return err
	}
	code, err := io.ReadAll(t)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.dir, h.Name), code, h.FileInfo().Mode())
}

func (r *fakeRuntime) pauseApp() error {
	if r.worker == nil {
		return errors.New("the app is not running")
	}
	_ = r.worker.Process.Kill()
	_ = r.worker.Wait() // it was killed
	<-r.ended
	r.worker = nil
	return os.Remove(filepath.Join(r.dir, "worker")) // an open executable cannot be written again
}
