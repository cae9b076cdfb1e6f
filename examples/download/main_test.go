package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pages serves pages that answer one after the other: each waits until the line of
// the one before it has been printed.
func pages(t *testing.T, turns map[string]chan struct{}) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if turn, ok := turns[r.URL.Path]; ok {
			select {
			case <-turn:
			case <-r.Context().Done():
			}
			io.WriteString(w, "page")
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(func() {
		s.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return s.URL
}

// printer gives the next page its turn with each line printed.
type printer struct {
	strings.Builder
	next []chan struct{}
}

func (p *printer) Write(b []byte) (int, error) {
	if len(p.next) > 0 {
		close(p.next[0])
		p.next = p.next[1:]
	}
	return p.Builder.Write(b)
}

var times = regexp.MustCompile(` +[0-9]+\.[0-9]{3} s`)

func TestPagesComeInTheOrderOfCompletion(t *testing.T) {
	a, b, c := make(chan struct{}), make(chan struct{}), make(chan struct{})
	base := pages(t, map[string]chan struct{}{"/a": a, "/b": b, "/c": c})
	out := &printer{next: []chan struct{}{a, b}}
	close(c)
	if err := run(t.Context(), []string{base + "/a", base + "/b", base + "/c"}, out); err != nil {
		t.Fatal(err)
	}
	got := times.ReplaceAllString(strings.ReplaceAll(out.String(), base, ""), "TIME")
	if want := "TIME  /c\nTIME  /a\nTIME  /b\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFailures(t *testing.T) {
	ready := make(chan struct{})
	close(ready)
	base := pages(t, map[string]chan struct{}{"/a": ready})
	var out strings.Builder
	err := run(t.Context(), []string{base + "/missing", base + "/a", "::not a url"}, &out)
	if err != errSome || !strings.Contains(out.String(), "404 Not Found") || strings.Count(out.String(), "failed") != 2 || strings.Count(out.String(), " s  ") != 1 {
		t.Errorf("got %v after %q", err, out.String())
	}
}

func TestInterrupt(t *testing.T) {
	base := pages(t, map[string]chan struct{}{"/never": make(chan struct{})})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out strings.Builder
	if err := run(ctx, []string{base + "/never"}, &out); err != errSome || !strings.Contains(out.String(), "canceled") {
		t.Errorf("got %v after %q", err, out.String())
	}
}
