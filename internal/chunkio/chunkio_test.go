package chunkio_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/internal/chunkio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// chunks gives those of a list, and then an error.
func chunks(last error, list ...string) func(context.Context) ([]byte, error) {
	return func(ctx context.Context) ([]byte, error) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if len(list) == 0 {
			return nil, last
		}
		chunk := []byte(list[0])
		list = list[1:]
		return chunk, nil
	}
}

func TestReader(t *testing.T) {
	text := strings.Repeat("0123456789", 20)
	r := chunkio.NewReader(t.Context(), chunks(io.EOF, "", text[:1], text[1:77], "", "", text[77:], ""))
	if err := iotest.TestReader(r, []byte(text)); err != nil {
		t.Error(err)
	}
	boom := errors.New("boom")
	r = chunkio.NewReader(t.Context(), chunks(boom, "ab"))
	got, err := io.ReadAll(r)
	if string(got) != "ab" || err != boom {
		t.Errorf("got %q, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := chunkio.NewReader(ctx, chunks(boom, "ab")).Read(make([]byte, 1)); n != 0 || err != context.Canceled {
		t.Errorf("got %d, %v", n, err)
	}
}

// pieces keeps each write, of which it takes no more than some bytes.
type pieces struct {
	list []string
	room int
}

var errFull = errors.New("full")

func (p *pieces) Write(b []byte) (int, error) {
	n := min(len(b), p.room)
	p.room -= n
	if n > 0 {
		p.list = append(p.list, string(b[:n]))
	}
	if n < len(b) && p.room == 0 && len(p.list) > 1 {
		return n, errFull
	}
	return n, nil
}

// Chunks are passed on whole, and nothing is lost that was not written.
func TestReaderWriteTo(t *testing.T) {
	boom := errors.New("boom")
	for _, c := range []struct {
		room int
		end  error
		want []string
		err  error
		rest string
	}{
		{100, io.EOF, []string{"bcd", "ef"}, nil, ""},
		{100, boom, []string{"bcd", "ef"}, boom, ""},
		{4, io.EOF, []string{"bcd", "e"}, errFull, "f"},
		{2, io.EOF, []string{"bc"}, io.ErrShortWrite, "def"},
	} {
		r := chunkio.NewReader(t.Context(), chunks(c.end, "abcd", "", "ef"))
		if _, err := io.ReadFull(r, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		w := &pieces{room: c.room}
		n, err := io.Copy(w, r)
		if !slices.Equal(w.list, c.want) || err != c.err || n != int64(len(strings.Join(c.want, ""))) {
			t.Errorf("room for %d: wrote %q, %d bytes, %v", c.room, w.list, n, err)
		}
		if rest, _ := io.ReadAll(r); string(rest) != c.rest {
			t.Errorf("room for %d: %q is left", c.room, rest)
		}
	}
}

func TestWriter(t *testing.T) {
	var got [][]byte
	send := func(_ context.Context, chunk []byte) error {
		if len(got) == 3 {
			return errFull
		}
		got = append(got, bytes.Clone(chunk))
		return nil
	}
	w := chunkio.NewWriter(t.Context(), send, 3)
	for _, c := range []struct {
		text string
		n    int
		err  error
	}{{"", 0, nil}, {"abcd", 4, nil}, {"xyzab", 3, errFull}} {
		if n, err := w.Write([]byte(c.text)); n != c.n || err != c.err {
			t.Errorf("%q: %d, %v", c.text, n, err)
		}
	}
	if s := bytes.Join(got, []byte("|")); string(s) != "abc|d|xyz" {
		t.Errorf("sent %q", s)
	}
	if n, err := chunkio.NewWriter(t.Context(), func(context.Context, []byte) error { return nil }, 0).Write([]byte("ab")); n != 2 || err != nil {
		t.Errorf("without a limit: %d, %v", n, err)
	}
}
