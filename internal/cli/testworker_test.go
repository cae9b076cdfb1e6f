package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/worker"
)

// testworker is an app for scripts. Its first argument says how it behaves:
//
//	serve      as a good worker (the default)
//	exit       it complains and ends with status 3 at once
//	mute       it never connects to the runtime
//	flood      it serves, and prints as fast as it can
//	stubborn   it serves, but neither signals nor the runtime can stop it
//	silent     no worker: it listens, prints the port, and never answers
//	banner     no worker: it listens, prints the port, and greets in a foreign tongue
func testworker() {
	mode := "serve"
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "--") {
		mode = os.Args[1]
	}
	switch mode {
	case "exit":
		fmt.Fprintln(os.Stderr, "starting up")
		fmt.Fprintln(os.Stderr, "cannot find the database")
		os.Exit(3)
	case "mute":
		select {}
	case "silent", "banner":
		listen(mode)
	case "flood":
		line := []byte(strings.Repeat("flood ", 30) + "\n")
		go func() {
			for {
				os.Stdout.Write(line)
			}
		}()
	}
	serve(mode)
}

func listen(mode string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ln.Addr().(*net.TCPAddr).Port)
	for {
		conn, err := ln.Accept()
		if err != nil {
			log.Fatal(err)
		}
		if mode == "banner" {
			fmt.Fprintf(conn, "SSH-2.0-OpenSSH\r\n")
		}
	}
}

func serve(mode string) {
	o := worker.Options{}
	if mode == "stubborn" {
		signal.Ignore(syscall.SIGTERM, os.Interrupt)
		o.Signals, o.Drain = []os.Signal{}, time.Hour
	}
	w, err := worker.New(o)
	if err != nil {
		log.Fatal(err)
	}
	worker.Handle(w, "greet", greet)
	w.HandleStream("echo", echo)
	w.HandleStream("version", func(ctx context.Context, s *worker.Stream) error {
		return s.Send(ctx, []byte(os.Getenv("VERSION")))
	})
	w.HandleStream("headers", func(ctx context.Context, s *worker.Stream) error {
		text, err := json.Marshal(s.Headers())
		if err != nil {
			return err
		}
		return s.Send(ctx, text)
	})
	w.HandleStream("print", func(ctx context.Context, s *worker.Stream) error {
		text, err := s.Recv(ctx)
		if err == nil {
			fmt.Printf("%s\n", text)
		}
		return err
	})
	w.HandleStream("hold", func(ctx context.Context, s *worker.Stream) error { return hold(ctx, s, mode == "stubborn") })
	w.HandleStream("fail", func(context.Context, *worker.Stream) error {
		return cocaine.Errorf(cocaine.CategoryUser, 7, "no luck today")
	})
	w.HandleStream("die", func(context.Context, *worker.Stream) error {
		fmt.Fprintln(os.Stderr, "I was fine a moment ago")
		fmt.Fprintln(os.Stderr, "panic: the disk is on fire")
		os.Exit(3)
		return nil
	})
	w.Main()
}

func greet(_ context.Context, in struct {
	Name string `json:"name"`
}) (map[string]any, error) {
	fmt.Println("greeting", in.Name)
	return map[string]any{"text": "hello " + in.Name}, nil
}

func echo(ctx context.Context, s *worker.Stream) error {
	for chunk, err := range s.All(ctx) {
		if err != nil {
			return err
		}
		if err := s.Send(ctx, chunk); err != nil {
			return err
		}
	}
	return nil
}

// hold answers "held", and "released" once the file that the first chunk names
// exists.
func hold(ctx context.Context, s *worker.Stream, stubborn bool) error {
	path, err := s.Recv(ctx)
	if err != nil {
		return err
	}
	if err := s.Send(ctx, []byte("held\n")); err != nil {
		return err
	}
	done := ctx.Done()
	if stubborn {
		done = nil
	}
	for {
		if _, err := os.Stat(string(path)); err == nil {
			return s.Send(ctx, []byte("released\n"))
		} else if !errors.Is(err, os.ErrNotExist) {
			return err
		}
		select {
		case <-done:
			return context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
