package worker_test

import (
	"io"
	"log"
	"testing/fstest"
)

var (
	discardLog = log.New(io.Discard, "", 0)
	page       = fstest.MapFS{"a.txt": {Data: []byte("contents")}}
)
