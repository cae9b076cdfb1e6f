package cli_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/internal/cli"
)

// The test binary is also the programs that scripts run: cocaine itself, and an
// app that does what it is told.
func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){
		"cocaine":      func() { os.Exit(cli.Main()) },
		"cocaine-tool": func() { os.Exit(cli.Main()) },
		"testworker":   testworker,
	})
}

// leakChecked fails a run that left goroutines behind.
type leakChecked struct{ m *testing.M }

func (l leakChecked) Run() int {
	code := l.m.Run()
	if code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
