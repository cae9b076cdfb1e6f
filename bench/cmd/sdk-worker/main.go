// Sdk-worker is the worker that the benchmark deploys to measure package worker: it
// answers every call with what it was sent.
package main

import (
	"fmt"
	"os"

	"github.com/cocaine/cocaine-go/bench/internal/sdkecho"
	"github.com/cocaine/cocaine-go/worker"
)

func main() {
	w, err := worker.New(worker.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, "sdk-worker:", err)
		os.Exit(1)
	}
	sdkecho.Bind(w)
	w.Main()
}
