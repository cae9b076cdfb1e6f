package daemon_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// differences are what this runtime does otherwise than the original, by the name that
// the conversations have for them: the row of the table in docs/COMPATIBILITY.md that
// says so, or 0 for what stands below it, and words of the row.
var differences = map[string]struct {
	row   int
	words string
}{
	"mistake":    {1, "a mistake that leaves the framing intact"},
	"closed":     {1, "a channel that has ended, or was never open"},
	"unbound":    {1, "unbound (`settings`, `goaway`, `set_verbosity`)"},
	"nil":        {1, "nil for the headers"},
	"custom":     {1, "an error of `control`, `publish` or `routing`"},
	"control":    {1, "the close of an app's `control`"},
	"answered":   {6, "the close of node's `control`"},
	"verbatim":   {4, "a chunk of an app"},
	"broken":     {5, "`start_app` of an app that is broken"},
	"runlist":    {5, "an app of the runlist that cannot be started"},
	"pause":      {6, "requests that wait or run when their app is paused"},
	"stop":       {6, "or the runtime ends"},
	"waiting":    {6, "for workers that cannot be started"},
	"keys":       {7, "keys of the storage"},
	"isolate":    {0, "`isolate.type` of `process`, which needs a daemon"},
	"generation": {0, "of v0.11 on a port of v0.12"},
}

// TestDifferencesAreTold: a difference that a conversation needs is in the table that
// people read, and one that none needs is not here.
func TestDifferencesAreTold(t *testing.T) {
	docs := read(t, "../../docs/COMPATIBILITY.md")
	_, below, _ := strings.Cut(docs, "### Not counted, and why")
	used := map[string]bool{}
	files, err := filepath.Glob("testdata/captures/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		for _, m := range regexp.MustCompile(`(?m)^ours (\w+)`).FindAllStringSubmatch(read(t, f), -1) {
			used[m[1]] = true
		}
	}
	for name, d := range differences {
		text := below
		if d.row > 0 {
			text = regexp.MustCompile(fmt.Sprintf(`(?m)^\| %d \|.*$`, d.row)).FindString(docs)
		}
		if !strings.Contains(text, d.words) {
			t.Errorf("row %d of the docs does not say %q", d.row, d.words)
		}
		if !used[name] {
			t.Errorf("no conversation needs the difference %q", name)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// captured are the conversations of the original programs that there are, and where
// each is played; or why it cannot be.
var captured = map[string]string{
	"master-py27-client-and-worker":                "the answers are those of a stand-in, whose services this runtime has not; its worker is played to the engine, as python3-latest",
	"master-py3-client-and-worker":                 "the answers are those of a stand-in, whose services this runtime has not; its worker is played to the engine, as python3-latest",
	"master-py3-worker-torture":                    "../engine/testdata/conversations/python3-latest.txt",
	"native-01-storage":                            "testdata/captures/native-01-storage.txt",
	"native-02-errors":                             "testdata/captures/native-02-errors.txt",
	"native-03-locator":                            "testdata/captures/native-03-locator.txt",
	"native-04-logging":                            "testdata/captures/native-04-logging.txt",
	"native-05-node":                               "testdata/captures/native-05-node.txt",
	"native-06-app":                                "testdata/captures/native-06-app.txt",
	"native-07-trace":                              "testdata/captures/native-07-trace.txt",
	"native-08-client-error":                       "testdata/captures/native-08-client-error.txt",
	"native-09-client-leaves":                      "testdata/captures/native-09-client-leaves.txt",
	"orig-01-locator-resolve":                      "../locator/testdata/resolve.txt",
	"orig-02-locator-connect":                      "testdata/captures/orig-02-locator-connect.txt",
	"orig-03-locator-cluster-uuid-refresh-routing": "../locator/testdata/routing.txt",
	"orig-04-locator-publish":                      "../locator/testdata/publish.txt",
	"orig-05-storage-ok":                           "testdata/captures/orig-05-storage-ok.txt",
	"orig-06-storage-errors":                       "testdata/captures/orig-06-storage-errors.txt",
	"orig-07-locator-connect-cluster":              "../locator/testdata/connect.txt",
	"orig-08-locator-two-nodes":                    "../locator/testdata/cluster.txt",
	"orig-09-runtime-sigterm":                      "testdata/captures/orig-09-runtime-sigterm.txt",
	"orig-10-node":                                 "testdata/captures/orig-10-node.txt",
	"orig-11-app-enqueue":                          "testdata/captures/orig-11-app-enqueue.txt",
	"orig-12-app-errors":                           "testdata/captures/orig-12-app-errors.txt",
	"orig-13-app-control":                          "testdata/captures/orig-13-app-control.txt",
	"orig-14-logging":                              "testdata/captures/orig-14-logging.txt",
	"orig-15-resolve-all-services":                 "testdata/captures/orig-15-resolve-all-services.txt",
	"orig-16-runlist":                              "testdata/captures/orig-16-runlist.txt",
	"orig-20-unknown-method":                       "testdata/captures/orig-20-unknown-method.txt",
	"orig-21-malformed":                            "testdata/captures/orig-21-malformed.txt",
	"orig-22-trace-headers":                        "testdata/captures/orig-22-trace-headers.txt",
	"orig-23-control-messages":                     "testdata/captures/orig-23-control-messages.txt",
	"orig-24-big-messages":                         "TestReplayOfBigMessages",
	"orig-30-worker-lifecycle":                     "testdata/captures/orig-30-worker-lifecycle.txt",
	"orig-31-worker-idle-terminate":                "testdata/captures/orig-31-worker-idle-terminate.txt",
	"orig-32-client-disconnect":                    "testdata/captures/orig-32-client-disconnect.txt",
	"orig-33-worker-heartbeat-timeout":             "testdata/captures/orig-33-worker-heartbeat-timeout.txt",
	"orig-34-handshake-timeout":                    "testdata/captures/orig-34-handshake-timeout.txt",
	"orig-35-bad-spool":                            "testdata/captures/orig-35-bad-spool.txt",
	"orig-40-worker-odd-replies":                   "testdata/captures/orig-40-worker-odd-replies.txt",
	"orig-41-worker-after-error":                   "testdata/captures/orig-41-worker-after-error.txt",
	"orig-42-worker-closed-channel":                "testdata/captures/orig-42-worker-closed-channel.txt",
	"orig-43-worker-unknown-channel":               "testdata/captures/orig-43-worker-unknown-channel.txt",
	"orig-44-worker-unknown-message":               "testdata/captures/orig-44-worker-unknown-message.txt",
	"orig-45-worker-bad-args":                      "testdata/captures/orig-45-worker-bad-args.txt",
	"orig-46-worker-no-args":                       "testdata/captures/orig-46-worker-no-args.txt",
	"orig-47-worker-bad-error":                     "testdata/captures/orig-47-worker-bad-error.txt",
	"orig-48-worker-suicide":                       "testdata/captures/orig-48-worker-suicide.txt",
	"orig-49-worker-garbage":                       "testdata/captures/orig-49-worker-garbage.txt",
	"orig-50-worker-exit":                          "testdata/captures/orig-50-worker-exit.txt",
	"orig-51-worker-closes-socket":                 "testdata/captures/orig-51-worker-closes-socket.txt",
	"orig-52-worker-suicide-and-exit":              "testdata/captures/orig-52-worker-suicide-and-exit.txt",
	"orig-53-worker-wrong-uuid":                    "testdata/captures/orig-53-worker-wrong-uuid.txt",
	"orig-54-worker-no-handshake":                  "testdata/captures/orig-54-worker-no-handshake.txt",
	"orig-55-worker-garbage-first":                 "testdata/captures/orig-55-worker-garbage-first.txt",
	"orig-56-worker-channel7":                      "testdata/captures/orig-56-worker-channel7.txt",
	"orig-57-worker-silent-terminate":              "testdata/captures/orig-57-worker-silent-terminate.txt",
	"orig-58-worker-stubborn":                      "testdata/captures/orig-58-worker-stubborn.txt",
	"orig-59-worker-heartbeats":                    "testdata/captures/orig-59-worker-heartbeats.txt",
	"orig-60-worker-no-heartbeat":                  "testdata/captures/orig-60-worker-no-heartbeat.txt",
	"orig-61-control-population":                   "testdata/captures/orig-61-control-population.txt",
	"orig-70-unicorn":                              "testdata/captures/orig-70-unicorn.txt",
	"orig-71-cache-chrono":                         "testdata/captures/orig-71-cache-chrono.txt",
	"orig-72-uniresis":                             "testdata/captures/orig-72-uniresis.txt",
	"orig-73-logging-v2":                           "testdata/captures/orig-73-logging-v2.txt",
	"rust-01-storage":                              "testdata/captures/rust-01-storage.txt",
	"rust-02-unicorn":                              "testdata/captures/rust-02-unicorn.txt",
	"rust-03-locator":                              "testdata/captures/rust-03-locator.txt",
	"rust-04-app":                                  "testdata/captures/rust-04-app.txt",
	"rust-05-client-error":                         "testdata/captures/rust-05-client-error.txt",
	"v011-broken":                                  "the client alone: what it makes of a runtime that restarts between two calls",
	"v011-calltimeout":                             "../v011/testdata/client-calltimeout.txt",
	"v011-chain":                                   "../v011/testdata/client-chain.txt",
	"v011-cocaine-tool":                            "../v011/testdata/client-cocaine-tool.txt",
	"v011-conntimeout":                             "the client alone: nobody accepts its connection",
	"v011-drop":                                    "../v011/testdata/client-drop.txt",
	"v011-get":                                     "../v011/testdata/client-get.txt",
	"v011-malformed":                               "../v011/testdata/client-malformed.txt",
	"v011-misc":                                    "../v011/testdata/client-misc.txt",
	"v011-odds":                                    "../v011/testdata/client-odds.txt",
	"v011-psync":                                   "../v011/testdata/client-psync.txt",
	"v011-race":                                    "../v011/testdata/client-race.txt",
	"v011-reset":                                   "the client alone: the service that resets its connection is a part of the script",
	"v011-resolve":                                 "../v011/testdata/client-resolve.txt",
	"v011-seed-get":                                "../v011/testdata/client-seed-get.txt",
	"v011-seed-internet":                           "the client alone: it calls an HTTP server, and no service",
	"v011-seed-yield":                              "../v011/testdata/client-seed-yield.txt",
	"v011-subprocess":                              "the client alone: it runs a process, and calls no service",
	"v011-worker-blocked":                          "the worker alone: its handler blocks and it disowns its runtime, which says nothing",
	"v011-worker-disowned":                         "the worker alone: a runtime that does not answer heartbeats, which this one always does",
	"v011-worker-echo":                             "../engine/testdata/conversations/python-v0.11-echo.txt",
	"v011-worker-heartbeats":                       "../engine/testdata/conversations/python-v0.11-heartbeats.txt",
	"v011-worker-socket-closed":                    "the worker alone: a runtime that closes the socket of a healthy worker, which this one never does",
	"v011-worker-torture":                          "../engine/testdata/conversations/python-v0.11.txt",
	"v012-py27-client-and-worker":                  "the answers are those of a stand-in, whose services this runtime has not; its worker is played to the engine, as python-v0.12",
	"v012-py27-worker-torture":                     "../engine/testdata/conversations/python-v0.12.txt",
	"v012-py3-client-and-worker":                   "the answers are those of a stand-in, whose services this runtime has not; its worker is played to the engine, as python3-v0.12",
	"v012-py3-worker-torture":                      "../engine/testdata/conversations/python3-v0.12.txt",
	"v012-worker-disowned":                         "the worker alone: a runtime that does not answer heartbeats, which this one always does",
	"v012-worker-heartbeats":                       "../engine/testdata/conversations/python-v0.12-heartbeats.txt",
	"v012-worker-socket-closed":                    "the worker alone: a runtime that closes the socket of a healthy worker, which this one never does",
}

// TestEveryConversationIsPlayed: none of them has been left out by mistake.
func TestEveryConversationIsPlayed(t *testing.T) {
	played := map[string]bool{}
	for name, where := range captured {
		if !strings.Contains(where, "testdata/") {
			continue
		}
		if _, err := os.Stat(where); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		played[where] = true
	}
	files, err := filepath.Glob("testdata/captures/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !played[f] {
			t.Errorf("%s is not listed", f)
		}
	}
}

// TestReplayOfBigMessages: a megabyte and sixteen through storage, four through an app,
// and not a byte of them is lost. (The original was heard with these sizes. Their 50 MB
// are made here.)
func TestReplayOfBigMessages(t *testing.T) {
	r := newReplay(t)
	t.Cleanup(r.stop)
	r.runtime()
	r.upload("cap", []string{"python"})
	r.step("start", []string{"start", "cap"})
	for _, size := range []int{1 << 20, 16 << 20} {
		value := append([]byte{0xdb, byte(size >> 24), byte(size >> 16), byte(size >> 8), byte(size)}, strings.Repeat("z", size)...)
		const key = "92a774657374636f6ca3626967"
		r.dial("main", "storage")
		p := r.peers["main"]
		p.sends(append(unhex(t, "93010193a774657374636f6ca3626967"), value...))
		p.step("written", []string{"gets", "9401009090"})
		p.sends(unhex(t, "930200"+key))
		got, err := p.next()
		if err != nil {
			t.Fatal(err)
		}
		if want := string(unhex(t, "94020091")) + string(value) + "\x90"; string(got) != want {
			t.Errorf("read %d bytes, want %d", len(got), len(want))
		}
		p.sends(unhex(t, "930302"+key))
		p.step("removed", []string{"gets", "9403009090"})
		p.silent("main")
	}
	r.dial("app", "cap")
	p, size := r.peers["app"], 4<<20
	chunk := append([]byte{0x93, 1, 0, 0x91, 0xdb, 0, 0x40, 0, 0}, strings.Repeat("q", size)...)
	p.sends(append(unhex(t, "93010091a470696e67"), chunk...))
	got, err := p.next()
	if err != nil {
		t.Fatal(err)
	}
	if want := "\x94" + string(chunk[1:]) + "\x90"; string(got) != want {
		t.Errorf("echo of %d bytes, want %d", len(got), len(want))
	}
	p.step("closed", []string{"gets", "9401029090"})
}
