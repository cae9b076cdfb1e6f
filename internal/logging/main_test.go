package logging_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/internal/logging"
)

const patience = 20 * time.Second

// emitDir names the variable that turns the test binary into a process that emits
// records, says so, and waits to be killed.
const emitDir = "LOGGING_TEST_EMIT_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(emitDir); dir != "" {
		os.Exit(emitAndWait(dir))
	}
	goleak.VerifyTestMain(m)
}

func emitAndWait(dir string) int {
	s, err := logging.OpenStore(logging.StoreOptions{Dir: dir})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for i := range 1000 {
		s.Emit(logging.Record{Time: time.Now(), App: "app", Message: fmt.Sprint(i)})
	}
	n := 0
	for range s.Tail(context.Background(), nil, logging.Query{Last: -1}) {
		n++
	}
	fmt.Println("emitted", n)
	os.Stdin.Read(make([]byte, 1))
	return 0 // without Close
}

func openStore(t testing.TB, o logging.StoreOptions) *logging.Store {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := logging.OpenStore(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// emit emits messages of one app, one second apart, and returns the time after.
func emit(s logging.Sink, app string, at time.Time, messages ...string) time.Time {
	for _, m := range messages {
		s.Emit(logging.Record{Time: at, App: app, Severity: logging.Info, Message: m})
		at = at.Add(time.Second)
	}
	return at
}

// messages reads all records of a query as "app:message".
func messages(t testing.TB, s *logging.Store, apps []string, q logging.Query) []string {
	t.Helper()
	var got []string
	for r, err := range s.Tail(t.Context(), apps, q) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r.App+":"+r.Message)
	}
	return got
}
