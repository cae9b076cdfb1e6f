//go:build linux

package main

import (
	"context"
	"encoding/json"
	_ "expvar" // serves /debug/vars when asked to
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"

	"github.com/cocaine/cocaine-go/bench/internal/closedloop"
	"github.com/cocaine/cocaine-go/bench/internal/control"
	"github.com/cocaine/cocaine-go/bench/internal/deploy"
	"github.com/cocaine/cocaine-go/bench/internal/forward"
	"github.com/cocaine/cocaine-go/bench/internal/grpcecho"
	"github.com/cocaine/cocaine-go/bench/internal/load"
	"github.com/cocaine/cocaine-go/bench/internal/natsecho"
	"github.com/cocaine/cocaine-go/bench/internal/result"
	"github.com/cocaine/cocaine-go/bench/internal/sdkecho"
)

// runClient is one measurement; it prints a result.Sample.
func runClient(args []string) error {
	var c clientOptions
	parse("client", args, func(fs *flag.FlagSet) {
		fs.StringVar(&c.protocol, "protocol", "cocaine", "cocaine (the forwarder too), nats, nats-request, grpc or sdk")
		fs.StringVar(&c.address, "address", "", "where the target listens; for sdk the locator")
		fs.StringVar(&c.method, "method", "echo", "echo, or of the runtime: resolve, storage.write, storage.read; for sdk the event")
		fs.IntVar(&c.bytes, "bytes", 128, "size of the payload")
		fs.IntVar(&c.Connections, "connections", 1, "how many")
		fs.IntVar(&c.InFlight, "inflight", 1, "requests, over all connections")
		fs.DurationVar(&c.WarmUp, "warmup", 0, "time that does not count")
		fs.DurationVar(&c.Duration, "duration", 0, "time that does")
	})
	if c.Connections < 1 || c.InFlight < 1 || c.bytes < 0 || c.Duration <= 0 {
		return fmt.Errorf("cannot measure %d requests in flight over %d connections for %v", c.InFlight, c.Connections, c.Duration)
	}
	r, allocs, err := c.run()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result.Sample{
		RPS:   r.Rate(),
		P50:   float64(r.Latency.Quantile(0.5).Nanoseconds()) / 1e3,
		P99:   float64(r.Latency.Quantile(0.99).Nanoseconds()) / 1e3,
		Total: r.Total,

		ClientAllocs: allocs.Client, WorkerAllocs: allocs.Worker,
	})
}

type clientOptions struct {
	closedloop.Options
	protocol, address, method string
	bytes                     int
}

func (c *clientOptions) run() (r *closedloop.Result, allocs sdkecho.Allocs, err error) {
	payload := make([]byte, c.bytes)
	for i := range payload {
		payload[i] = byte(i * 7)
	}
	switch c.protocol {
	case "cocaine":
		shape, err := c.shape(payload)
		if err != nil {
			return nil, allocs, err
		}
		r, err = load.Run(load.Options{Options: c.Options, Network: "tcp", Address: c.address, Shape: shape})
		return r, allocs, err
	case "nats":
		r, err = natsecho.Run(c.address, c.Options, payload)
		return r, allocs, err
	case "nats-request":
		r, err = natsecho.RunRequests(c.address, c.Options, payload)
		return r, allocs, err
	case "grpc":
		r, err = grpcecho.Run(c.address, c.Options, payload)
		return r, allocs, err
	case "sdk":
		return sdkecho.Run(c.address, deploy.SDKApp, c.method, c.Options, payload)
	}
	return nil, allocs, fmt.Errorf("no protocol %q", c.protocol)
}

// keys is over how many keys the storage tests spread.
const keys = 64

func (c *clientOptions) shape(payload []byte) (load.Shape, error) {
	const collection = "bench"
	var requests [][]byte
	switch c.method {
	case "echo":
		return load.Echo(deploy.Event, payload), nil
	case "resolve":
		return load.Method(control.ResolveRequest("storage")), nil
	case "storage.write":
		for i := range keys {
			requests = append(requests, control.WriteRequest(collection, "key"+strconv.Itoa(i), payload))
		}
		return load.Method(requests...), nil
	case "storage.read":
		for i := range keys {
			requests = append(requests, control.ReadRequest(collection, "key"+strconv.Itoa(i)))
		}
		return load.Method(requests...), nil
	}
	return load.Shape{}, fmt.Errorf("no method %q", c.method)
}

// runForwarder says "listening ADDRESS", then, when its worker has come, "ready".
func runForwarder(args []string) error {
	var socket string
	parse("forwarder", args, func(fs *flag.FlagSet) {
		fs.StringVar(&socket, "unix", "", "path of the socket for the worker")
	})
	serveDebug(os.Getenv("COCAINE_DEBUG_ADDR"))
	workers, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return fmt.Errorf("cannot listen for a worker: %w", err)
	}
	clients, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return fmt.Errorf("cannot listen for clients: %w", err)
	}
	fmt.Println("listening", clients.Addr())
	return forward.Serve(clients, workers, func() { fmt.Println("ready") })
}

// serveDebug serves expvar, for counting allocations, until the process ends.
func serveDebug(addr string) {
	if addr == "" {
		return
	}
	go func() {
		fmt.Fprintln(os.Stderr, "cannot serve /debug/vars:", http.ListenAndServe(addr, nil))
	}()
}

func runNATSServer(args []string) error {
	parse("nats-server", args, func(*flag.FlagSet) {})
	return untilSignal(func(ctx context.Context) error {
		return natsecho.Serve(ctx, func(url string) { fmt.Println("ready", url) })
	})
}

func runNATSWorker(args []string) error {
	var url string
	parse("nats-worker", args, func(fs *flag.FlagSet) { fs.StringVar(&url, "address", "", "URL of the server") })
	return untilSignal(func(ctx context.Context) error {
		return natsecho.Work(ctx, url, func() { fmt.Println("ready") })
	})
}

func runGRPCServer(args []string) error {
	parse("grpc-server", args, func(*flag.FlagSet) {})
	return untilSignal(func(ctx context.Context) error {
		return grpcecho.Serve(ctx, func(addr string) { fmt.Println("ready", addr) })
	})
}
