package cocaine_test

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cocaine/cocaine-go"
)

func TestLineWriter(t *testing.T) {
	long := strings.Repeat("x", 64<<10)
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"", nil},
		{"one\n", []string{"one"}},
		{"one\ntwo", []string{"one", "two"}},
		{"one\r\n\r\ntwo\r", []string{"one", "", "two"}},
		{"\n\n", []string{"", ""}},
		{"a\rb\n", []string{"a\rb"}},
		{long + "\n", []string{long}},
		{long + "y\nz", []string{long, "y", "z"}},
		{long + long + "\n\n", []string{long, long, ""}},
	} {
		for name, r := range map[string]io.Reader{
			"whole":        strings.NewReader(c.in),
			"byte by byte": iotest.OneByteReader(strings.NewReader(c.in)),
			"by halves":    iotest.HalfReader(strings.NewReader(c.in)),
		} {
			var got []string
			w := cocaine.LineWriter(func(line string) { got = append(got, line) })
			n, err := io.Copy(w, struct{ io.Reader }{r})
			if n != int64(len(c.in)) || err != nil {
				t.Errorf("%d bytes were taken of %d, %v", n, len(c.in), err)
			}
			for range 2 {
				if err := w.Close(); err != nil {
					t.Error(err)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%.20q %s gave %.40q", c.in, name, got)
			}
		}
	}
}

func FuzzLineWriter(f *testing.F) {
	f.Add("one\ntwo\r\nthree", 2)
	f.Add("\r\n\n\r", 0)
	f.Fuzz(func(t *testing.T, in string, cut int) {
		var got []string
		w := cocaine.LineWriter(func(line string) { got = append(got, line) })
		cut = max(0, min(cut, len(in)))
		io.WriteString(w, in[:cut])
		io.WriteString(w, in[cut:])
		w.Close()
		var want []string
		for line := range strings.Lines(in) {
			want = append(want, strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"))
		}
		if len(in) < 64<<10 && !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// command runs a shell command as a future, and collects its lines.
func command(ctx context.Context, script string, out, errs *[]string) *cocaine.Future[int] {
	return cocaine.Go(ctx, func(ctx context.Context) (int, error) {
		stdout := cocaine.LineWriter(func(line string) { *out = append(*out, line) })
		stderr := cocaine.LineWriter(func(line string) { *errs = append(*errs, line) })
		defer stdout.Close()
		defer stderr.Close()
		cmd := exec.CommandContext(ctx, "sh", "-c", script)
		cmd.Stdout, cmd.Stderr = stdout, stderr
		err := cmd.Run()
		return cmd.ProcessState.ExitCode(), err
	})
}

func TestCommandExitStatus(t *testing.T) {
	var out, errs []string
	status, err := command(t.Context(), "echo one; echo oops >&2; printf 'two\nlast'", &out, &errs).Wait(patient(t))
	if status != 0 || err != nil || !slices.Equal(out, []string{"one", "two", "last"}) || !slices.Equal(errs, []string{"oops"}) {
		t.Errorf("status %d, %v, after %q and %q", status, err, out, errs)
	}
	out = nil
	status, err = command(t.Context(), "echo before; exit 3", &out, &errs).Wait(patient(t))
	exit, ok := errors.AsType[*exec.ExitError](err)
	if status != 3 || !ok || exit.ExitCode() != 3 || !slices.Equal(out, []string{"before"}) {
		t.Errorf("status %d, %v, after %q", status, err, out)
	}
	f := command(t.Context(), "exec sleep 3600", &out, &errs)
	f.Cancel()
	if status, err := f.Wait(patient(t)); err == nil {
		t.Errorf("a command that was canceled ended with status %d", status)
	}
}
