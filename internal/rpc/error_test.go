package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

func TestAsError(t *testing.T) {
	coded := rpc.Errorf(42, 1, "event %q not found", "x")
	tests := []struct {
		err            error
		category, code int
		text           string
	}{
		{coded, 42, 1, `event "x" not found`},
		{fmt.Errorf("around it: %w", coded), 42, 1, `event "x" not found`},
		{errors.New("anything"), 12, 22, "anything"},
		{fmt.Errorf("cannot read: %w", fs.ErrNotExist), 12, 2, "cannot read: file does not exist"},
		{&os.PathError{Op: "open", Path: "/x", Err: syscall.EACCES}, 12, 13, "open /x: permission denied"},
		{fs.ErrExist, 12, 17, "file already exists"},
		{context.DeadlineExceeded, 12, 110, "context deadline exceeded"},
		{context.Canceled, 12, 125, "context canceled"},
		{rpc.ErrClosed, 7, 3, "session is closed"},
		{fmt.Errorf("%w: %w", rpc.ErrDisconnected, io.EOF), 7, 3, "disconnected: EOF"},
	}
	for _, tt := range tests {
		if e := rpc.AsError(tt.err); e.Category != tt.category || e.Code != tt.code || e.Message != tt.text {
			t.Errorf("AsError(%v) = %+v, want [%d, %d] %q", tt.err, e, tt.category, tt.code, tt.text)
		}
	}
	if e := rpc.AsError(nil); e != nil {
		t.Errorf("AsError(nil) = %v", e)
	}
}

func TestErrorIsByCode(t *testing.T) {
	e := fmt.Errorf("call: %w", &rpc.Error{Category: 10, Code: 1, Message: "a"})
	if !errors.Is(e, &rpc.Error{Category: 10, Code: 1}) {
		t.Error("an error is not the same as one with its category and code")
	}
	if errors.Is(e, &rpc.Error{Category: 10, Code: 2}) || errors.Is(e, &rpc.Error{Category: 11, Code: 1}) || errors.Is(e, io.EOF) {
		t.Error("an error is the same as one with another code")
	}
}

func TestErrorText(t *testing.T) {
	if got := (&rpc.Error{Category: 21247, Code: 1, Message: "queue of app is full"}).Error(); got != "queue of app is full [21247, 1]" {
		t.Error(got)
	}
	if got := (&rpc.Error{Category: idl.CategoryDispatch, Code: idl.DispatchUnbound}).Error(); got != "message is not bound [7, 5]" {
		t.Error(got)
	}
}

func TestErrorOnTheWire(t *testing.T) {
	for _, e := range []*rpc.Error{{1, 2, "text"}, {-83055815, -110, ""}, {20735, 1 << 30, strings.Repeat("x", 300)}} {
		got, err := rpc.DecodeError(rpc.AppendError(nil, e))
		if err != nil || *got != *e {
			t.Errorf("%v became %v, %v", e, got, err)
		}
	}
	tests := []struct {
		name string
		args string
		want string // "" for an error
	}{
		{"no message", "\x91\x92\x01\x02", "[1, 2]"},
		{"nil message", "\x92\x92\x01\x02\xc0", "[1, 2]"},
		{"more arguments", "\x93\x92\x01\x02\xa1m\xc0", "m [1, 2]"},
		{"longer code", "\x92\x93\x01\x02\x03\xa1m", ""},
		{"no arguments", "\x90", ""},
		{"code is a number", "\x92\x05\xa1m", ""},
		{"half a code", "\x92\x91\x01\xa1m", ""},
		{"code of text", "\x92\x92\xa1a\xa1b\xa1m", ""},
		{"message is a number", "\x92\x92\x01\x02\x05", ""},
	}
	for _, tt := range tests {
		e, err := rpc.DecodeError([]byte(tt.args))
		switch {
		case tt.want == "" && err == nil:
			t.Errorf("%s: decoded as %v", tt.name, e)
		case tt.want != "" && (err != nil || !strings.HasSuffix(e.Error(), tt.want)):
			t.Errorf("%s: %v, %v, want %s", tt.name, e, err, tt.want)
		}
	}
}

// The end of a session looks to its channels as it did to those of the original.
func TestLostError(t *testing.T) {
	tests := []struct {
		err            error
		category, code int
	}{
		{io.EOF, 5, 2},
		{fmt.Errorf("%w: %w", rpc.ErrDisconnected, io.ErrUnexpectedEOF), 5, 2},
		{&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, 2, 104},
		{&net.OpError{Op: "write", Err: os.NewSyscallError("write", syscall.EPIPE)}, 2, 104},
		{rpc.ErrClosed, 2, 125},
		{rpc.ErrStalled, 2, 125},
		{rpc.Errorf(21503, 8, "heartbeat"), 21503, 8},
	}
	for _, tt := range tests {
		if e := rpc.LostError(tt.err); e.Category != tt.category || e.Code != tt.code {
			t.Errorf("LostError(%v) = %v, want [%d, %d]", tt.err, e, tt.category, tt.code)
		}
	}
}

func TestParseTrace(t *testing.T) {
	id := func(v byte) string { return string([]byte{v, 0, 0, 0, 0, 0, 0, 0}) }
	ids := func(trace, span, parent string) []hpack.Header {
		return []hpack.Header{{Name: "trace_id", Value: trace}, {Name: "span_id", Value: span}, {Name: "parent_id", Value: parent}}
	}
	bit := func(v string) []hpack.Header { return []hpack.Header{{Name: "trace_bit", Value: v}} }
	tests := []struct {
		name string
		hs   []hpack.Header
		want rpc.Trace
		fail bool
	}{
		{"none", nil, rpc.Trace{}, false},
		{"zero", ids(id(0), id(0), id(0)), rpc.Trace{}, false},
		{"root", ids(id(5), id(5), id(0)), rpc.Trace{ID: 5, Span: 5}, false},
		{"child", ids(id(5), id(6), id(5)), rpc.Trace{ID: 5, Span: 6, Parent: 5}, false},
		{"little endian", ids("\x00\x01\x00\x00\x00\x00\x00\x00", id(1), id(0)), rpc.Trace{ID: 256, Span: 1}, false},
		{"two of three", ids(id(5), id(6), id(5))[:2], rpc.Trace{}, false},
		{"verbose", append(ids(id(5), id(5), id(0)), bit("1")...), rpc.Trace{ID: 5, Span: 5, Verbose: true}, false},
		{"verbose without ids", bit("1"), rpc.Trace{Verbose: true}, false},
		{"not verbose", bit("0"), rpc.Trace{}, false},
		{"first header counts", append(ids(id(5), id(5), id(0)), ids(id(9), id(9), id(0))...), rpc.Trace{ID: 5, Span: 5}, false},
		{"bad bit", bit("yes"), rpc.Trace{}, true},
		{"short id", ids("1234567", id(1), id(0)), rpc.Trace{}, true},
		{"long id", ids(id(1), id(1)+"x", id(0)), rpc.Trace{}, true},
		{"no span", ids(id(1), id(0), id(0)), rpc.Trace{}, true},
		{"span of no trace", ids(id(0), id(1), id(0)), rpc.Trace{}, true},
		{"parent of no trace", ids(id(0), id(0), id(1)), rpc.Trace{}, true},
	}
	for _, tt := range tests {
		got, err := rpc.ParseTrace(tt.hs)
		if got != tt.want || (err != nil) != tt.fail {
			t.Errorf("%s: %+v, %v, want %+v", tt.name, got, err, tt.want)
		}
		if err != nil {
			continue
		}
		var table hpack.Table
		hs, err := table.Decode(nil, got.Append(nil))
		back, _ := rpc.ParseTrace(hs)
		back.Verbose = got.Verbose // has no place in the triple
		if err != nil || back != got {
			t.Errorf("%s: came back as %+v, %v", tt.name, back, err)
		}
	}
}
