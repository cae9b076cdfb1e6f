package worker_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/worker"
)

// The two ends of a conversation have one vocabulary: what is written for the one
// reads the same for the other, and an interface can stand for both.
func TestTheTwoEndsSpeakAlike(t *testing.T) {
	// What only one side has, and why.
	only := map[string]string{
		"caller Close":    "a handler gives up by its return",
		"caller Stream":   "what the conversation runs on is the caller's to choose",
		"caller Trailer":  "headers of the end come from the handler",
		"handler Channel": "the number of a request is for the worker's log",
		"handler Closed":  "the time of a handler may be over without its doing",
		"handler Event":   "the caller has named it",
		"handler Headers": "the caller has sent them",
	}
	caller, handler := methods[*cocaine.AppStream](), methods[*worker.Stream]()
	for name, signature := range caller {
		if handler[name] != signature && only["caller "+name] == "" {
			t.Errorf("the caller's %s%s is %q for the handler", name, signature, handler[name])
		}
	}
	for name := range handler {
		if caller[name] == "" && only["handler "+name] == "" {
			t.Errorf("the caller has no %s", name)
		}
	}
	for name := range only {
		side, method, _ := strings.Cut(name, " ")
		if (side == "caller") != (caller[method] != "") || (side == "handler") != (handler[method] != "") {
			t.Errorf("%s is out of date", name)
		}
	}
}

// methods are those of a type, with their signatures.
func methods[T any]() map[string]string {
	all := map[string]string{}
	for m := range reflect.TypeFor[T]().Methods() {
		all[m.Name] = strings.Replace(m.Type.String(), reflect.TypeFor[T]().String(), "", 1)
	}
	return all
}
