// Package grpcecho is a unary echo over gRPC-Go, client straight to server: one
// hop less than a call through the runtime, and no broker.
//
// Payloads are bytes as they are, through a codec that copies nothing, so the
// figure is that of the transport and not of protobuf. Windows are
// large and calls are served by a pool of workers; the client has one goroutine
// for each request in flight, as gRPC wants it.
package grpcecho

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"

	"github.com/cocaine/cocaine-go/bench/internal/closedloop"
)

const (
	method = "/bench.Echo/Echo"
	window = 16 << 20

	// streamWorkers serve calls without a goroutine each. 64 took less processor
	// time a call, on two cores, than none or one for each processor.
	streamWorkers = 64
)

// rawCodec passes bytes through.
type rawCodec struct{}

func (rawCodec) Name() string { return "raw" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	p, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("cannot encode a %T", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(*p)}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	p, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("cannot decode into a %T", v)
	}
	*p = data.Materialize()
	return nil
}

// Serve echoes on a free loopback port, calls ready with its address and stops
// when ctx ends.
func Serve(ctx context.Context, ready func(addr string)) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("cannot listen: %w", err)
	}
	s := grpc.NewServer(
		grpc.ForceServerCodecV2(rawCodec{}),
		grpc.NumStreamWorkers(streamWorkers),
		grpc.InitialWindowSize(window), grpc.InitialConnWindowSize(window),
	)
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "bench.Echo",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Echo", Handler: echo}},
	}, nil)
	stop := context.AfterFunc(ctx, s.Stop)
	defer stop()
	ready(l.Addr().String())
	if err := s.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("cannot serve: %w", err)
	}
	return nil
}

func echo(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var in []byte
	if err := decode(&in); err != nil {
		return nil, err
	}
	return &in, nil
}

// Run keeps requests in flight over o.Connections connections to addr.
func Run(addr string, o closedloop.Options, payload []byte) (*closedloop.Result, error) {
	var conns []*grpc.ClientConn
	for range o.Connections {
		c, err := grpc.NewClient(addr,
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})),
			grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window),
		)
		if err != nil {
			return nil, fmt.Errorf("cannot connect to %s: %w", addr, err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	ctx := context.Background()
	return closedloop.RunBlocking(o, func(conn int) error {
		var out []byte
		if err := conns[conn].Invoke(ctx, method, &payload, &out); err != nil {
			return fmt.Errorf("cannot call %s: %w", method, err)
		}
		if !bytes.Equal(out, payload) {
			return errors.New("an answer that is not what was sent")
		}
		return nil
	})
}
