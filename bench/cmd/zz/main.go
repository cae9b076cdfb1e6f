package main

import (
	"fmt"
	"os"
	"runtime/pprof"
	"strconv"
	"syscall"
	"time"

	"github.com/cocaine/cocaine-go/bench/internal/closedloop"
	"github.com/cocaine/cocaine-go/bench/internal/sdkecho"
)

func main() { // locator event inflight secs prof
	n, _ := strconv.Atoi(os.Args[3])
	d, _ := time.ParseDuration(os.Args[4])
	o := closedloop.Options{Connections: 1, InFlight: n, Duration: d, WarmUp: 200 * time.Millisecond}
	if len(os.Args) > 5 && os.Args[5] != "" {
		f, _ := os.Create(os.Args[5])
		pprof.StartCPUProfile(f)
		defer pprof.StopCPUProfile()
	}
	var a, b syscall.Rusage
	syscall.Getrusage(0, &a)
	r, al, err := sdkecho.Run(os.Args[1], "echo", os.Args[2], o, make([]byte, 128))
	syscall.Getrusage(0, &b)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	cpu := time.Duration(b.Utime.Nano()+b.Stime.Nano()-a.Utime.Nano()-a.Stime.Nano()) 
	fmt.Printf("total %d rps %.0f client %.3f us/call allocs %.1f %.1f\n", r.Total, float64(r.Total)/d.Seconds(), cpu.Seconds()*1e6/float64(r.Total), al.Client, al.Worker)
}
