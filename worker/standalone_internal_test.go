package worker

import (
	"context"
	"testing"
)

func TestProgramName(t *testing.T) {
	for _, c := range []struct {
		program, packagePath, dir, want string
	}{
		{"/usr/bin/hello", "example.org/x/other", "/src/third", "hello"},
		{`hello.exe`, "", "/", "hello"},
		{"/tmp/go-build1/b001/worker.test", "", "", "worker"},
		{"/tmp/go-build1/b001/exe/main", "command-line-arguments", "/src/hello", "hello"},
		{"/src/hello/__debug_bin4711", "example.org/x/hello", "/src", "hello"},
		{"", "", "", "worker"},
		{"main", "", "/", "worker"},
	} {
		if got := programName([]string{c.program}, c.packagePath, c.dir); got != c.want {
			t.Errorf("%+v is called %q", c, got)
		}
	}
	if got := programName(nil, "", ""); got != "worker" {
		t.Errorf("nobody is called %q", got)
	}
}

func TestGreeting(t *testing.T) {
	w, err := New(Options{App: "hello", Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	want := func(locator, line string) {
		t.Helper()
		if got := w.alone.greeting(locator); got != line {
			t.Errorf("it says\n%s\nwant\n%s", got, line)
		}
	}
	want("127.0.0.1:10053", "hello serves on 127.0.0.1:10053, but has no events")
	for _, event := range []string{"wave", "greet"} {
		Handle(w, event, func(context.Context, any) (any, error) { return nil, nil })
	}
	want("127.0.0.1:10053", "hello serves on 127.0.0.1:10053; try: cocaine call hello greet '{...}'")
	w.alone.moved = true
	want("127.0.0.1:7", "hello serves on 127.0.0.1:7 (127.0.0.1:10053 is taken); try: cocaine --locator 127.0.0.1:7 call hello greet '{...}'")
}
