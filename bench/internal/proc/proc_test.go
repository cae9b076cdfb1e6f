//go:build linux

package proc

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, script string) *Proc {
	t.Helper()
	p, err := Start("a script", []string{"GREETING=hello"}, "/bin/sh", "-c", script)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

func TestExpectFindsLinesInTurn(t *testing.T) {
	p := start(t, `echo starting; echo "$GREETING 1" >&2; echo "hello 2"; printf 'hello 3\n'; exec sleep 60`)
	for _, want := range []string{"1", "2", "3"} {
		if got, err := p.Expect(t.Context(), "hello "); got != want || err != nil {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
	}
}

func TestExpectExplainsAnEarlyEnd(t *testing.T) {
	p := start(t, `echo "cannot listen: address in use" >&2; exit 1`)
	_, err := p.Expect(t.Context(), "ready")
	if err == nil || !strings.Contains(err.Error(), "ended before it was ready") || !strings.Contains(err.Error(), "address in use") {
		t.Errorf("got %v", err)
	}
	p = start(t, `echo ready`)
	<-p.done
	if _, err := p.Expect(t.Context(), "ready"); err != nil {
		t.Errorf("the last line of an ended process: %v", err)
	}
}

func TestExpectEndsWithItsContext(t *testing.T) {
	p := start(t, `exec sleep 60`)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.Expect(ctx, "ready"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestStopEndsTheProcess(t *testing.T) {
	p := start(t, `exec sleep 60`)
	p.Stop()
	select {
	case <-p.done:
	default:
		t.Error("the process goes on")
	}
	p.Stop() // again does no harm
}

func TestOutput(t *testing.T) {
	out, cpu, err := Output(t.Context(), "a script", "/bin/sh", "-c", "echo result")
	if string(out) != "result\n" || cpu < 0 || err != nil {
		t.Errorf("got %q, %v, %v", out, cpu, err)
	}
	_, _, err = Output(t.Context(), "a script", "/bin/sh", "-c", "echo first >&2; echo second >&2; exit 3")
	if err == nil || err.Error() != "first" {
		t.Errorf("got %v", err)
	}
	if _, _, err = Output(t.Context(), "a script", "/bin/sh", "-c", "exit 3"); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v", err)
	}
}

func TestUsage(t *testing.T) {
	// The child has burnt time, which only the family shows, when it says so. The shell
	// takes it with it.
	p := start(t, `(i=0; while [ $i -lt 500000 ]; do i=$((i+1)); done; echo burnt; exec sleep 60) & trap "kill $!; exit" TERM; wait`)
	if _, err := p.Expect(t.Context(), "burnt"); err != nil {
		t.Fatal(err)
	}
	family, err := FamilyCPU(p.PID())
	if err != nil {
		t.Fatal(err)
	}
	own, err := CPU(p.PID())
	if err != nil {
		t.Fatal(err)
	}
	if family < own+50*time.Millisecond {
		t.Errorf("the child used nothing: %v of %v", own, family)
	}
	if m, err := MachineCPU(); err != nil || m <= 0 {
		t.Errorf("machine: %v, %v", m, err)
	}
	if r, err := Resident(os.Getpid()); err != nil || r < 1<<20 {
		t.Errorf("resident: %d, %v", r, err)
	}
	if _, err := Resident(1 << 30); err == nil {
		t.Error("a process that does not exist has memory")
	}
	if _, err := CPU(1 << 30); err == nil {
		t.Error("a process that does not exist has times")
	}
}
