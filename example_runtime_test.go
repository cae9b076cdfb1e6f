package cocaine_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/cocainetest"
)

// withRuntime makes a runtime that lives for one example and a client of it. In a
// program the client comes from cocaine.New(cocaine.Options{}) and is closed at the
// end.
func withRuntime(serve func(rt *cocainetest.Runtime)) (client *cocaine.Client, stop func()) {
	t := &exampleT{}
	rt := cocainetest.NewRuntime(t)
	serve(rt)
	return rt.Client(), func() {
		for _, f := range t.cleanups {
			f()
		}
	}
}

// exampleT is what a runtime in memory wants of a test, without one.
type exampleT struct {
	testing.TB
	cleanups []func()
}

func (t *exampleT) Helper()                      {}
func (t *exampleT) Failed() bool                 { return false }
func (t *exampleT) Logf(string, ...any)          {}
func (t *exampleT) Cleanup(f func())             { t.cleanups = append(t.cleanups, f) }
func (t *exampleT) Context() context.Context     { return context.Background() }
func (t *exampleT) Fatal(args ...any)            { panic(fmt.Sprint(args...)) }
func (t *exampleT) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }
